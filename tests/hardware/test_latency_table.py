"""Latency tables: what a file must say, what never mixes, what survives writing and reading."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.latency_document import parse_table, table_text
from hybrid_nas.hardware.latency_files import (
    find_table,
    load_table,
    named_table,
    save_table,
    shipped_tables,
    table_fingerprint,
    table_for,
    tables_of,
)
from hybrid_nas.hardware.latency_rows import COLUMNS
from hybrid_nas.hardware.latency_table import (
    Correction,
    Energy,
    HeldOut,
    Identity,
    LatencyTable,
    Measurement,
    Validation,
)
from hybrid_nas.spaces.opspec import OpSpec
from tests.hardware.graphs import graphs

IDENTITY = Identity("stm32f746", "cortex-m7", 216_000_000, "tinyengine", "1.0", "-O2", "DTCM", "on")


def table(rows: dict[OpSpec, Measurement], **changes: Any) -> LatencyTable:
    made = LatencyTable(IDENTITY, "measured", "a test", {op.shape: m for op, m in rows.items()})
    return replace(made, **changes)


ROW = {OpSpec("conv", 8, 8, 3, 16, 3, 2, 1, "relu6"): Measurement(1.5, 0.1, 20)}
positive = st.floats(1e-9, 1e9)
measurements = st.builds(Measurement, positive, st.floats(0, 1e6), st.integers(1, 99))


@settings(max_examples=40)
@given(st.lists(st.tuples(graphs(), measurements), max_size=4), measurements)
def test_a_table_survives_writing_and_reading(
    rows: list[tuple[tuple[OpSpec, ...], Measurement]], first: Measurement
) -> None:
    ops = {op: m for graph, m in rows for op in graph} | {next(iter(ROW)): first}
    made = table(
        ops,
        correction=Correction(1.25, 1e-5),
        validation=Validation(0.05, 0.1, 3, "as told", 1.0),
        held_out={"conv": HeldOut(0.01, 0.02, 1e-5, 7, 0.9)},
        energy=Energy(75.5, 0.05, 0.1, 3, "a paper: with a colon"),
        scaled_from=replace(IDENTITY, unit="instructions"),
    )
    again = parse_table(yaml.safe_load(table_text(made)), "")
    assert again == made
    assert table_fingerprint(again) == table_fingerprint(made)


def test_files_are_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    save_table(table(ROW), path, comment="two\nlines")
    assert path.read_text().startswith("# two\n# lines\nschema: hybrid-nas/latency-table/1\n")
    assert load_table(path) == table(ROW, name="mine")
    assert table_for("stm32f746", "tinyengine", path) == table(ROW, name="mine")


def test_a_table_for_another_board_or_runtime_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    save_table(table(ROW), path)
    with pytest.raises(InputError, match="is for board stm32f746, not for stm32h743: give --board"):
        table_for("stm32h743", "tinyengine", path)
    with pytest.raises(InputError, match="is for runtime tinyengine, not for tflm"):
        table_for("stm32f746", "tflm", path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("board", "stm32h743"), ("clock_hz", 1), ("runtime_version", "2.0"), ("kernels", "-O3"),
        ("placement", "SRAM1"), ("cache", "off"), ("unit", "us"), ("core", "cortex-m4"),
    ],
)  # fmt: skip
def test_rows_of_different_identities_never_mix(key: str, value: object) -> None:
    other = table(ROW, identity=replace(IDENTITY, **{key: value}))
    with pytest.raises(InputError, match=f"latency tables of different {key} cannot be mixed"):
        table(ROW).merged(other)


def test_rows_scaled_from_other_counts_never_mix() -> None:
    counts = replace(IDENTITY, unit="instructions", kernels="a")
    one, same = table(ROW, scaled_from=counts), table(ROW, scaled_from=replace(counts))
    assert one.merged(same).scaled_from == counts
    with pytest.raises(InputError, match="of different scaled_from kernels cannot be mixed"):
        one.merged(table(ROW, scaled_from=replace(counts, kernels="b")))
    with pytest.raises(InputError, match="of different scaled_from board cannot be mixed"):
        one.merged(table(ROW))


def test_a_table_without_the_newer_keys_reads_and_writes_as_before() -> None:
    """Files and fingerprints of tables made by earlier versions stay what they are."""
    text = table_text(table(ROW, validation=Validation(0.05, 0.1, 3, "as told")))
    for key in ("held_out", "energy", "scaled_from", "kendall_tau", "null"):
        assert key not in text
    assert parse_table(yaml.safe_load(text), "").validation == Validation(0.05, 0.1, 3, "as told")


def test_rows_of_one_identity_are_merged_and_the_new_ones_win() -> None:
    op, more = next(iter(ROW)), OpSpec("dense", 1, 1, 8, 10)
    other = table({op: Measurement(2.0), more: Measurement(3.0)})
    merged = table(ROW, validation=Validation(0.0, 0.0, 1, "")).merged(other)
    assert {m.value for m in merged.rows.values()} == {2.0, 3.0}
    assert merged.validation is None
    with pytest.raises(InputError, match="measured and emulated latencies cannot be mixed"):
        table(ROW).merged(table(ROW, kind="emulated"))


@pytest.mark.parametrize(
    ("unit", "ms"),
    [("ms", 1.0), ("us", 0.001), ("cycles", 1 / 216_000), ("instructions", 1 / 216_000)],
)
def test_units_are_turned_into_milliseconds(unit: str, ms: float) -> None:
    assert replace(IDENTITY, unit=unit).unit_ms == pytest.approx(ms)


def document() -> dict[str, Any]:
    made = table(
        ROW,
        model={"conv_mmac": 1.0},
        validation=Validation(0.05, 0.1, 3, "as told", 0.9),
        held_out={"conv": HeldOut(0.01, 0.02, 0.03, 7, 0.9)},
        energy=Energy(75.5, 0.05, 0.1, 3, "a paper"),
        scaled_from=replace(IDENTITY, unit="instructions"),
    )
    return yaml.safe_load(table_text(made))


def change(path: str, value: object) -> dict[str, Any]:
    changed = document()
    at: Any = changed
    *keys, last = path.split("/")
    for key in keys:
        at = at[int(key) if key.isdigit() else key]
    at[int(last) if last.isdigit() else last] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("kind", "guessed", "'kind' must be one of measured, emulated, predicted"),
        ("source", None, "'source' must be of type str"),
        ("identity", None, "'identity' must be of type dict"),
        ("identity/clock_hz", "216 MHz", "'clock_hz' must be of type int"),
        ("identity/clock_hz", 0, "clock_hz must be above 0"),
        ("identity/unit", "s", "unit must be one of ms, us"),
        ("identity/colour", "red", "identity must have the keys board"),
        ("model", {"magic": 1}, "'model' must map some of conv_mmac"),
        ("model/conv_mmac", -1, "model term conv_mmac must be 0 or more"),
        ("correction/scale", "one", "'scale' must be of type float"),
        ("correction/scale", -1.0, "correction: scale must be above 0 "),
        ("correction/scale", 0, "correction: scale must be above 0 "),
        ("correction/per_op_ms", -0.1, "correction: per_op_ms must be 0 or more "),
        pytest.param(
            *("correction/per_op_ms", 10**400, "'per_op_ms' must be of type float"), id="too large"
        ),
        ("validation/kendall_tau", "high", "'kendall_tau' must be of type float"),
        ("validation/networks", None, "'networks' must be of type int"),
        ("held_out", [1], "held_out must map some of pointwise"),
        ("held_out/wavelet", {}, "held_out must map some of pointwise"),
        ("held_out/conv", 0.1, "held_out: conv must be a mapping"),
        ("held_out/conv/n", 0.5, "'n' must be of type int"),
        ("energy/power_mw", 0, "power_mw must be above 0"),
        ("energy/unit", "mJ", "energy must have the keys power_mw"),
        ("scaled_from", "m7", "scaled_from must be a mapping"),
        ("scaled_from/unit", "beats", "scaled_from: unit must be one of ms"),
        ("columns", ["op"], "'columns' must be"),
        ("rows", "none", "'rows' must be a list"),
        ("rows/0", [1, 2], f"row 1 must have {len(COLUMNS)} entries"),
        ("rows/0/0", "relu", "row 1: op must be one of conv"),
        ("rows/0/1", -8, "row 1: h must be an integer, 1 or more"),
        ("rows/0/8", "gelu", "row 1: activation must be one of none"),
        ("rows/0/9", 1, "row 1: bias must be one of False, True"),
        ("rows/0/1", 10**30, "row 1: h must be at most"),
        ("rows/0/5", 99, "row 1: there is no such operator: kernel 99, stride 2, padding 1 on 8x8"),
        ("rows/0/0", "dwconv", "row 1: there is no such operator: dwconv with 3 input and 16 out"),
        ("rows/0/0", "dense", "row 1: there is no such operator: dense on 8x8 pixels"),
        ("rows/0/12", 0, "row 1: value must be above 0"),
        ("rows/0/12", float("nan"), "row 1: value must be above 0"),
        ("rows/0/13", -0.5, "row 1: spread must be 0 or more"),
        ("rows/0/14", 0, "row 1: count must be an integer, 1 or more"),
    ],
)
def test_what_is_wrong_in_a_table_is_named(path: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse_table(change(path, value), "mine")
    assert "\n" not in str(caught.value)


def test_a_repeated_operator_is_refused() -> None:
    twice = document()
    twice["rows"] *= 2
    with pytest.raises(InputError, match="row 2 repeats an operator"):
        parse_table(twice, "mine")


def test_a_table_needs_something_to_predict_from() -> None:
    with pytest.raises(InputError, match="neither rows nor a model"):
        parse_table({**document(), "rows": [], "model": {}}, "mine")
    with pytest.raises(InputError, match="its kind must be predicted"):
        parse_table({**document(), "rows": []}, "mine")


@pytest.mark.parametrize("text", ["[1, 2]", "schema: other/1", "a: [", "\x00"])
def test_other_files_are_no_tables(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"t\.yaml"):
        load_table(path)
    with pytest.raises(InputError, match="no file"):
        load_table(tmp_path / "absent.yaml")


def test_the_table_in_the_documentation_can_be_read() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "latency-table.md").read_text()
    examples = [part.split("```")[0] for part in text.split("```yaml\n")[1:]]
    document = next(yaml.safe_load(part) for part in examples if part.startswith("schema:"))
    assert parse_table(document, "docs").require("stm32f746", "tinyengine").rows


def test_shipped_tables_are_found_by_board_and_runtime() -> None:
    for one in shipped_tables():
        assert one.name == f"{one.identity.board}.{one.identity.runtime}"
        assert one in tables_of(one.identity.board)
        found = find_table(one.identity.board, one.identity.runtime)
        assert found is not None
        assert found.identity.runtime == one.identity.runtime
        assert found.validation.mean <= one.validation.mean
    assert find_table("rp2040", "tflm") is None


def test_a_table_is_named_by_its_file_or_its_board(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    save_table(table(ROW), path)
    assert named_table(str(path)) == named_table(str(path), "tinyengine") == load_table(path)
    with pytest.raises(InputError, match="is for runtime tinyengine, not for tflm"):
        named_table(str(path), "tflm")
    assert named_table("stm32f746") == find_table("stm32f746", "tinyengine")
    assert named_table("stm32f746", "tflm") == find_table("stm32f746", "tflm")
    assert named_table("STM32F746", "TFLM") == find_table("stm32f746", "tflm")
    assert named_table("stm32l4r5") == find_table("stm32l4r5", "x-cube-ai")
    with pytest.raises(InputError, match="with runtime 'hnas': give one of"):
        named_table("stm32l4r5", "hnas")
    with pytest.raises(InputError, match="is called 'nowhere': give a YAML file or one of"):
        named_table("nowhere")
    with pytest.raises(InputError, match=r"no file absent\.yaml"):
        named_table("absent.yaml")
