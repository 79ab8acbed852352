"""Logs matched with models, identities, and the command itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from hybrid_nas import cli
from hybrid_nas.cli.latency import import_
from hybrid_nas.errors import InputError
from hybrid_nas.hardware.board_files import board_entry
from hybrid_nas.hardware.boards import load_board
from hybrid_nas.hardware.latency_files import load_table
from hybrid_nas.profiling.imports.identity import Given, identity_of
from hybrid_nas.profiling.imports.importing import Imported, ImportJob, import_log, write
from hybrid_nas.profiling.imports.log import Facts
from hybrid_nas.profiling.imports.units import parse_hz
from hybrid_nas.spaces.opspec import OpSpec
from tests.conftest import shared_data
from tests.profiling import import_samples as samples
from tests.profiling.import_samples import SAMPLES, mutations, save_network

H743 = Given(board="stm32h743")
ANY = Given("my-board", "cortex-m7", 80_000_000, None, "tflm", "1")
VWW = "models/mlperf_tiny/vww_96_int8.tflite"


def run(
    folder: Path, text: str, given: Given = ANY, model: Path | None = None, name: str = "log.txt"
) -> Imported:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return import_log(ImportJob(path, model=model, given=given))


def vww_log(runs: int = 1, wrong: int | None = None, lost: int | None = None) -> str:
    """A TFLM log of the visual wake words network: operator i takes 1000 + 10 i ticks."""
    words = ["CONV_2D"] + ["DEPTHWISE_CONV_2D", "CONV_2D"] * 13
    words += ["AVERAGE_POOL_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"]
    if wrong is not None:
        words[wrong] = "MAX_POOL_2D"
    lines = [
        f"{word} took {1000 + 10 * number + run} ticks (0 ms)."
        for run in range(runs)
        for number, word in enumerate(words)
    ]
    if lost is not None:
        del lines[lost]
    return "\n".join(lines)


# -- matching


def test_tflm_log_and_model_give_every_operator_its_time(tmp_path: Path) -> None:
    found = run(tmp_path, vww_log(), model=shared_data(VWW))
    assert found.table is not None
    rows = found.table.rows
    assert rows[OpSpec("conv", 96, 96, 3, 8, 3, 2, 1, "relu")].value == 1000
    assert rows[OpSpec("dense", 1, 1, 256, 2)].value == 1290
    assert rows[OpSpec("avgpool", 3, 3, 256, 256, 0, bias=False)].value == 1270
    # Five identical pairs on 6x6x128: operators 13, 15, .. 21, and 14, 16, .. 22.
    same = rows[OpSpec("dwconv", 6, 6, 128, 128, 3, 1, 1, "relu")]
    assert (same.value, same.count) == (1170, 5)
    assert same.spread == pytest.approx(31.62, abs=0.01)  # of 1130, 1150, .. 1210
    assert [one.row.word for one in found.left_out] == ["RESHAPE", "SOFTMAX"]
    assert found.table.identity.unit == "cycles"


def test_several_invocations_are_combined(tmp_path: Path) -> None:
    found = run(tmp_path, vww_log(runs=3), model=shared_data(VWW))
    assert found.table is not None
    row = found.table.rows[OpSpec("conv", 96, 96, 3, 8, 3, 2, 1, "relu")]
    assert (row.value, row.spread, row.count) == (1001, 1.0, 3)
    assert len(found.timed) == 31


def test_a_log_of_another_network_is_refused_with_line_and_operator(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 8 is MAX_POOL_2D, but operator 7 \(DEPTHWISE"):
        run(tmp_path, vww_log(wrong=7), model=shared_data(VWW))
    with pytest.raises(InputError, match=r"line 30 .*operator 30 \(SOFTMAX.*30 operators.*31"):
        run(tmp_path, vww_log(lost=30), model=shared_data(VWW))
    with pytest.raises(InputError, match=r"line 5 is DEPTHWISE_CONV_2D, but operator 4"):
        run(tmp_path, vww_log(lost=4), model=shared_data(VWW))
    with pytest.raises(InputError, match="give --model"):
        run(tmp_path, vww_log())


def test_layout_operators_may_be_fused_or_inserted(tmp_path: Path) -> None:
    model = save_network(tmp_path)
    found = run(tmp_path, samples.ST_7, H743, model)
    assert found.table is not None
    first = OpSpec("conv", 32, 32, 3, 8, 3, 2, 1, "relu", dtype="float32")
    assert found.table.rows[first].value == 4.5
    assert [(one.row.word, one.values) for one in found.left_out] == [("NL (0x107)", (0.01,))]
    # With the activation timed on its own, the convolution is one without.
    activation = " 1     1     NL (0x107)        (1,16,16,8)/float32/8192B    0.125    1.4%"
    lines = samples.ST_7.split("\n")
    at = next(n for n, line in enumerate(lines) if line.startswith(" 0     0"))
    apart = run(tmp_path, "\n".join([*lines[: at + 1], activation, *lines[at + 1 :]]), H743, model)
    assert apart.table is not None
    assert apart.table.rows[replace(first, activation="none")].value == 4.5


def test_padding_is_folded_where_the_tool_fuses_it(tmp_path: Path) -> None:
    path = shared_data("boards/st_reports/st-edge-ai-2.1_model.tflite")
    from hybrid_nas.profiling.models.model import load_model

    ops = load_model(path).ops
    every = "\n".join(f"{op.type} took {100 + op.index} ticks" for op in ops)
    apart = run(tmp_path, every, model=path)
    words = {"conv": "Conv2D", "dwconv": "Conv2D", "dense": "Dense", "add": "Eltwise/add"}
    words |= {"avgpool": "Pool"}
    fused = "c_id  m_id  type         dur (ms)\n" + "\n".join(
        f"{op.index}     {op.index}     {words[op.kind]}       {100 + op.index}"
        for op in ops
        if op.kind
    )
    together = run(
        tmp_path, f"ST Edge AI Core v2.1.0\n{fused}", replace(H743, clock_hz=10**6), path
    )
    assert apart.table is not None and together.table is not None
    padded = OpSpec("dwconv", 65, 65, 48, 48, 3, 2, 0, "relu6")
    assert apart.table.rows[padded].value == 106
    assert together.table.rows[replace(padded, h=64, w=64, padding=1)].value == 106
    assert padded not in together.table.rows


def test_shapes_and_types_of_values_must_agree(tmp_path: Path) -> None:
    model = save_network(tmp_path)
    with pytest.raises(InputError, match=r"line 2 computes in int8, but operator 0"):
        run(tmp_path, samples.TINYENGINE, model=model, given=replace(ANY, runtime="tinyengine"))
    other = run(tmp_path, samples.ST_7.replace("(1,16,16,8)", "(1,16,16,9)", 1), H743, model)
    assert other.table is None and "16x16x9 and 8x16x16" in other.refused


def test_fused_additions_of_onnxruntime_are_no_rows(tmp_path: Path) -> None:
    events = json.loads(samples.ort_profile(runs=2))
    small = {"float": [1, 8, 16, 16]}
    kept = [event for event in events if not event["name"].startswith("add")]
    for event in kept:
        if event["name"].startswith("conv_2"):
            event["args"]["input_type_shape"].append(small)
    found = run(
        *(tmp_path, json.dumps(kept), replace(ANY, runtime="onnxruntime")),
        save_network(tmp_path),
        "profile.json",
    )
    assert found.table is not None and len(found.table.rows) == 4
    assert "fused" in next(one.reason for one in found.left_out if one.row.name == "conv_2")


def test_times_below_the_resolution_are_left_out(tmp_path: Path) -> None:
    text = samples.ST_10.replace(" 0.050 ", " 0.000 ")
    found = run(tmp_path, text, H743)
    assert found.table is not None
    assert all(op.op != "dense" for op in found.table.rows)
    assert any(one.row.word == "Dense (0x104)" for one in found.left_out)


# -- units and identity


@pytest.mark.parametrize(("text", "hz"), [("216MHz", 216e6), ("25e6", 25e6), ("32.768 kHz", 32768)])
def test_frequencies(text: str, hz: float) -> None:
    assert parse_hz(text) == hz


@pytest.mark.parametrize("text", ["", "fast", "0", "-5", "1e30", "3 GB"])
def test_what_is_no_frequency(text: str) -> None:
    with pytest.raises(InputError):
        parse_hz(text)


def test_ticks_need_the_frequency_of_their_timer(tmp_path: Path) -> None:
    model = save_network(tmp_path)
    with pytest.raises(InputError, match="--clock-hz"):
        run(tmp_path, samples.tflm_text(), replace(ANY, clock_hz=None), model)
    with pytest.raises(InputError, match=r"line \d+ gives ticks and milliseconds.*--tick-hz"):
        run(tmp_path, samples.tflm_text(), replace(ANY, clock_hz=480_000_000), model)
    found = run(
        tmp_path, samples.tflm_text(), replace(ANY, clock_hz=480_000_000, tick_hz=80e6), model
    )
    assert found.table is not None and found.table.identity.unit == "ms"
    first = OpSpec("conv", 32, 32, 3, 8, 3, 2, 1, "relu", dtype="float32")
    assert found.table.rows[first].value == pytest.approx(4.5, rel=1e-3)


def test_the_log_fills_in_what_flags_leave_out() -> None:
    facts = Facts(boards=("stm32h743", "stm32h753"), clock_hz=480_000_000, runtime="x-cube-ai")
    facts = replace(facts, runtime_version="7.2.0", cache="icache+dcache")
    identity = identity_of(H743, facts, "ms", "log")
    assert (identity.core, identity.clock_hz, identity.cache) == (
        *("cortex-m7", 480_000_000, "icache+dcache"),
    )
    assert identity_of(replace(H743, cache="warm"), facts, "ms", "log").cache == "warm"
    assert identity_of(replace(H743, board="nucleo-h753zi", core="cortex-m7"), facts, "ms", "log")


def test_a_core_is_not_another_one_whose_name_begins_alike() -> None:
    given = replace(ANY, board="emulated-cortex-m3")
    for core in ("cortex-m3", "Cortex-M3", "arm cortex-m3"):
        assert identity_of(replace(given, core=core), Facts(), "ms", "log").core == core.lower()
    with pytest.raises(InputError, match=r"--core cortex-m33 contradicts .* cortex-m3"):
        identity_of(replace(given, core="cortex-m33"), Facts(), "ms", "log")
    assert identity_of(replace(ANY, core="cortex-m4f"), Facts(core="cortex-m4"), "ms", "log")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"board": "stm32f746"}, "stm32f746"),
        ({"board": "host"}, "host"),
        ({"core": "cortex-m4"}, "cortex-m4"),
        ({"clock_hz": 216_000_000}, "216000000"),
        ({"runtime": "tflm"}, "tflm"),
        ({"runtime_version": "8.0.0"}, "8.0.0"),
        ({"cache": "off"}, "off"),
    ],
)
def test_flags_that_contradict_the_log_are_refused(change: dict[str, Any], word: str) -> None:
    facts = Facts(("stm32h743", "stm32h753"), "", 480_000_000, None, None, "x-cube-ai", "7.2.0")
    facts = replace(facts, cache="icache+dcache")
    with pytest.raises(InputError, match=f"{word}.* contradicts"):
        identity_of(replace(H743, **change), facts, "ms", "log")


def test_all_missing_flags_are_named_at_once() -> None:
    with pytest.raises(InputError, match="--board, --core, --clock-hz, --runtime, --runtime-ver"):
        identity_of(Given(), Facts(), "ms", "log")
    with pytest.raises(InputError, match="stm32h743 or stm32h753"):
        identity_of(Given(), Facts(boards=("stm32h743", "stm32h753")), "ms", "log")


# -- writing


def test_rows_are_added_to_a_table_of_the_same_identity_only(tmp_path: Path) -> None:
    out = tmp_path / "table.yaml"
    first = run(tmp_path, samples.ST_10, H743)
    write(first, out)
    assert dict(load_table(out).rows) == dict(first.table.rows if first.table else {})
    again = run(tmp_path, samples.ST_10.replace("4.500", "5.000"), H743, name="second.txt")
    merged = write(again, out)
    assert len(merged.rows) == 5
    assert load_table(out).rows[OpSpec("conv", 32, 32, 3, 8, 3, 2, 1)].value == 5.0
    assert "second.txt" in merged.source and "log.txt" in merged.source
    other = run(tmp_path, samples.ST_10, replace(H743, placement="external"))
    before = out.read_bytes()
    with pytest.raises(InputError, match="placement"):
        write(other, out)
    assert out.read_bytes() == before


def command(*argv: str) -> int:
    app = cli.new_app()
    group = typer.Typer()
    import_.register(group)
    group.command("other")(lambda: None)  # a group of one command would not be a group
    app.add_typer(group, name="latency")
    return cli.run(app, ("latency", "import", *argv))


def test_the_command_writes_and_summarises(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, out = tmp_path / "report.txt", tmp_path / "new" / "table.yaml"
    log.write_text(samples.ST_10, encoding="utf-8")
    assert command(str(log), "--board", "stm32h743", "--out", str(out), "--json") == 0
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert printed.err == ""
    assert (document["format"], document["kind"], document["rows_in_table"]) == (
        "st",
        "measured",
        5,
    )
    assert document["imported"]["sum"] + document["other"]["sum"] == pytest.approx(8.675)
    assert document["left_out"][0]["op"] == "Pool (0x10b)"
    assert load_table(out).identity.board == "stm32h743"
    assert command(str(log), "--board", "stm32h743") == 0
    text = capsys.readouterr().out
    assert "conv 3x3/2 32x32x3 to 8" in text and "Nothing is written" in text


def test_a_board_of_the_users_own_gives_its_id_and_core(tmp_path: Path) -> None:
    log, board, out = (tmp_path / name for name in ("log.csv", "door.yaml", "table.yaml"))
    log.write_text("op,h,w,cin,cout,value,unit\nadd,8,8,16,16,0.25,ms\n", encoding="utf-8")
    entry = board_entry(load_board("rp2040"))
    document = {"schema": "hybrid-nas/boards/1", "boards": {"door": entry}}
    board.write_text(yaml.safe_dump(document), encoding="utf-8")
    rest = ("--clock-hz", "133MHz", "--runtime", "tflm", "--runtime-version", "1")
    assert command(str(log), "--board", str(board), *rest, "--out", str(out)) == 0
    identity = load_table(out).identity
    assert (identity.board, identity.core) == ("door", "cortex-m0plus")
    assert command(str(log), "--board", str(board), *rest, "--core", "cortex-m4") == 2


def test_a_report_without_times_prints_its_memory_and_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = shared_data("boards/st_reports")
    report, model = folder / "st-edge-ai-2.1_generate.txt", folder / "st-edge-ai-2.1_model.tflite"
    assert command(str(report), "--model", str(model), "--json") == 2
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    memory = {one["what"]: one for one in document["memory"]}
    assert memory["weights"]["bytes"] == 411492
    assert abs(memory["weights"]["error"]) < 0.001
    assert memory["network ram"]["estimate"] > 0
    assert document["identity"] is None and "no times" in document["refused"]
    assert "no times per layer" in printed.err and printed.err.count("\n") == 1


@pytest.mark.parametrize(
    "name",
    [
        "tflm_logs/CFU-Playground_step-by-step.rst",
        "tflm_logs/tflite-micro_benchmarking_README.md",
        "st_reports/st-edge-ai-2.1_generate.txt",
        "st_reports/st-edge-ai-2.2_validate_host.txt",
        "st_reports/st_c_info.json",
        "st_reports/x-cube-ai-7.2_analyze.txt",
        "st_reports/x-cube-ai-7.2_validate_on_target.txt",
    ],
)
def test_every_real_sample_is_imported_or_refused_in_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = shared_data(f"boards/{name}"), tmp_path / "table.yaml"
    flags = ("--board", "my-board", "--clock-hz", "25MHz") if name.endswith("md") else ()
    status = command(str(path), *flags, "--out", str(out))
    printed = capsys.readouterr()
    if name.endswith("md"):
        assert status == 0 and len(load_table(out).rows) == 20
        assert load_table(out).kind == "emulated"
    else:
        assert status == 2 and not out.exists()
        assert printed.err.count("\n") == 1 and Path(name).name in printed.err


def test_damaged_logs_are_imported_or_refused(tmp_path: Path) -> None:
    model = save_network(tmp_path)
    for number, (name, text) in enumerate(SAMPLES.items()):
        for turn, damaged in enumerate(mutations(text, 12, seed=100 + number)):
            path = tmp_path / name
            path.write_text(damaged, encoding="utf-8", errors="replace", newline="")
            given = H743 if name.startswith("st") else ANY
            try:
                found = import_log(ImportJob(path, model=model if turn % 2 else None, given=given))
            except InputError as error:
                assert str(error)
            else:
                assert (found.table is None) == bool(found.refused)
                if found.table is not None:
                    assert all(row.value > 0 for row in found.table.rows.values())
