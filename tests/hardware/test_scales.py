"""Scales: what instructions take, where that comes from, and the tables that they make."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_nas.errors import InputError
from hybrid_nas.hardware import latency_files
from hybrid_nas.hardware.boards import board_ids, load_board
from hybrid_nas.hardware.latency import LatencyModel
from hybrid_nas.hardware.latency_document import parse_table, table_text
from hybrid_nas.hardware.latency_files import find_table, shipped_tables, tables_of
from hybrid_nas.hardware.latency_table import (
    Correction,
    Energy,
    Identity,
    LatencyTable,
    Measurement,
    Validation,
)
from hybrid_nas.hardware.limits import REFUSED_ABOVE
from hybrid_nas.hardware.scales import (
    Scale,
    parse_scales,
    scaled,
    scales_document,
    shipped_scales,
)
from hybrid_nas.search.provenance import describe_latency
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.yaml_documents import parse_yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
from mlperf_rows import NETWORKS, Submission, read_submissions
from published import load_figures, load_networks
from scale_fit import Counts, fit, fit_energy, left_out, shared_conv_ratio

SHARED = Path(__file__).resolve().parents[3] / "shared"
RESULTS = SHARED / "data" / "boards" / "mlperf_tiny_v0.5-v1.1.csv"
COUNTED = Identity(
    "emulated-cortex-m7", "cortex-m7", 25_000_000, "hnas-c", "1", "build-a", unit="instructions"
)
CONV, POINT = OpSpec("conv", 8, 8, 3, 16, 3, 1, 1), OpSpec("conv", 8, 8, 16, 16)
DENSE = OpSpec("dense", 1, 1, 64, 10)
TABLE = LatencyTable(
    COUNTED,
    "emulated",
    "counted",
    {CONV: Measurement(7000.0), POINT: Measurement(3000.0, 10.0), DENSE: Measurement(900.0)},
    correction=Correction(1.0, 0.001),
    validation=Validation(0.001, 0.002, 8, "networks counted whole"),
    name="counts",
)
SCALE = Scale(
    "stm32h7a3",
    "cortex-m7",
    280_000_000,
    "x-cube-ai",
    "9.9.9",
    COUNTED,
    {"rest": 0.5, "conv": 0.25, "dense": 2.0},
    "somebody",
    Validation(0.03, 0.05, 3, "each predicted from two"),
    Energy(150.0, 0.1, 0.2, 3, "somebody"),
)


class TestScaledTable:
    def test_every_row_takes_its_class_s_cycles(self) -> None:
        table = scaled(TABLE, SCALE)
        ms = {op: row.value * table.identity.unit_ms for op, row in table.rows.items()}
        expected = {CONV: 7000 * 0.25, POINT: 3000 * 0.5, DENSE: 900 * 2.0}
        assert ms == pytest.approx({op: cycles / 280e3 for op, cycles in expected.items()})
        assert table.rows[POINT].spread == pytest.approx(5.0)

    def test_a_network_is_the_sum_of_its_operators(self) -> None:
        model = LatencyModel(scaled(TABLE, SCALE))
        found = model.ops([CONV, POINT]).ms.sum()
        assert model.network_ms(found, 2) == pytest.approx((1750 + 1500) / 280e3)

    def test_it_says_what_it_is(self) -> None:
        table = scaled(TABLE, SCALE)
        identity = table.identity
        assert (identity.board, identity.clock_hz) == ("stm32h7a3", 280_000_000)
        assert (identity.runtime, identity.runtime_version) == ("x-cube-ai", "9.9.9")
        assert identity.unit == "cycles"
        assert table.kind == "emulated"
        assert table.scaled_from == COUNTED
        assert table.validation == SCALE.validation
        assert table.energy == SCALE.energy
        assert "instruction counts of emulated-cortex-m7" in table.source
        assert "somebody" in table.source

    def test_it_can_be_written_and_read(self) -> None:
        table = scaled(TABLE, SCALE)
        text = table_text(table)
        document = parse_yaml(text, "text", "hybrid-nas/latency-table/1")
        assert parse_table(document, table.name) == table

    @pytest.mark.parametrize("change", [{"kernels": "build-b"}, {"placement": "elsewhere"}])
    def test_counts_of_another_build_are_refused(self, change: dict[str, str]) -> None:
        other = replace(TABLE, identity=replace(COUNTED, **change))
        with pytest.raises(InputError, match="fit it again"):
            scaled(other, SCALE)

    def test_versions_do_not_mix(self) -> None:
        later = scaled(TABLE, replace(SCALE, runtime_version="10.0"))
        with pytest.raises(InputError, match="runtime_version"):
            scaled(TABLE, SCALE).merged(later)


class TestScalesFile:
    def test_what_is_written_is_read(self) -> None:
        assert parse_scales(scales_document((SCALE,))) == (SCALE,)

    @pytest.mark.parametrize("cycles", [{"rest": 1.0, "cnov": 2.0}, {"conv": 2.0}])
    def test_a_factor_of_no_class_is_refused(self, cycles: dict[str, float]) -> None:
        document = scales_document((SCALE,))
        document["scales"][0]["cycles"] = cycles
        with pytest.raises(InputError, match="cycles must have 'rest'"):
            parse_scales(document)

    def test_shipped_scales_are_for_shipped_counts(self) -> None:
        """After a change of the firmware, benchmarks/build_emulated_tables.sh makes both anew."""
        counts = {table.identity for table in shipped_tables()}
        assert shipped_scales()
        assert {scale.counts for scale in shipped_scales()} <= counts

    def test_shipped_scales_are_distinct_and_of_use(self) -> None:
        scales = shipped_scales()
        names = {(one.board, one.runtime, one.runtime_version) for one in scales}
        assert len(names) == len({one.name for one in scales}) == len(scales)
        for one in scales:
            assert one.board in board_ids()
            assert (one.core, one.clock_hz) == (
                load_board(one.board).core,
                load_board(one.board).clock_hz,
            )
            assert one.validation.mean <= REFUSED_ABOVE
            assert one.validation.worst >= one.validation.mean
            assert all(0.1 < cycles < 5 for cycles in one.cycles.values())

    @pytest.mark.parametrize("figures", load_figures("mlperf_tiny"), ids=lambda one: one.board)
    def test_scaled_tables_give_the_published_latencies(self, figures: object) -> None:
        """Operators that were not counted are predicted; that adds to the error of the scale."""
        version = figures.versions["x-cube-ai"]
        (table,) = (
            one
            for one in tables_of(figures.board)
            if one.kind == "emulated"
            and (one.identity.runtime, one.identity.runtime_version) == ("x-cube-ai", version)
        )
        nets, published = load_networks("mlperf_tiny", Path()), figures.ms["x-cube-ai"]
        model = LatencyModel(table)
        for name, ms in published.items():
            error = model.ops(nets[name].ops).ms.sum() / ms - 1
            assert abs(error) <= table.validation.worst + 0.03


class TestChoice:
    def table(self, kind: str, mean: float | None) -> LatencyTable:
        error = None if mean is None else Validation(mean, mean, 3, "made up")
        return replace(scaled(TABLE, SCALE), kind=kind, validation=error, name=f"{kind} {mean}")

    @pytest.mark.parametrize(
        ("offered", "chosen"),
        [
            ([("predicted", 0.02), ("emulated", 0.01)], ("emulated", 0.01)),
            ([("predicted", 0.02), ("emulated", 0.03)], ("predicted", 0.02)),
            ([("predicted", 0.01), ("measured", 0.09)], ("measured", 0.09)),
            ([("predicted", 0.01), ("measured", None)], ("measured", None)),
            ([("emulated", None), ("predicted", 0.3)], ("predicted", 0.3)),
        ],
    )
    def test_measured_first_then_the_smaller_error(
        self,
        offered: list[tuple[str, float]],
        chosen: tuple[str, float],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for order in (offered, offered[::-1]):
            tables = tuple(self.table(*one) for one in order)
            monkeypatch.setattr(latency_files, "tables_of", lambda board, found=tables: found)
            found = find_table("stm32h7a3", "x-cube-ai")
            assert found is not None
            assert found.name == "{} {}".format(*chosen)

    def test_a_run_says_what_kind_of_number_its_latency_is(self) -> None:
        found = describe_latency(scaled(TABLE, SCALE))
        assert found["is"] == "emulated"
        assert "instructions of emulated-cortex-m7" in found["scaled_from"]
        assert (found["mean_error"], found["worst_error"]) == (0.03, 0.05)
        assert "somebody" in found["source"]
        assert "9.9.9" in found["runtime"]
        assert describe_latency(None) == {"table": None}


class TestFit:
    def counts(self) -> dict[str, Counts]:
        return {
            "vww": Counts(2e6, 2e3, 16e6, 7e6),
            "kws": Counts(0.0, 2e3, 6e6, 3e6),
            "ic": Counts(20e6, 2e3, 2e6, 12e6),
            "ad": Counts(0.0, 5e5, 0.0, 3e5),
        }

    def submission(self, rest: float, conv: float, dense: float, board: str = "a") -> Submission:
        """Latencies of a board whose cycles per instruction are known."""
        ms = {
            name: (one.rest * rest + one.conv * conv + one.dense * dense) / 100e3
            for name, one in self.counts().items()
        }
        uj = {name: 50 * value for name, value in ms.items()}
        return Submission(board, "cortex-m4", 100_000_000, "r", "1", "made up", ms, uj)

    @given(st.lists(st.tuples(st.floats(1, 1e6), st.floats(1, 1e6)), min_size=3, max_size=6))
    def test_left_out_errors_are_those_of_refits(self, points: list[tuple[float, float]]) -> None:
        x, y = np.array(points).T
        for out, error in enumerate(left_out(x, y)):
            kept = np.arange(len(x)) != out
            a = (x / y)[kept, None]
            factor = np.linalg.lstsq(a, np.ones(len(a)), rcond=None)[0][0]
            assert error == pytest.approx(factor * x[out] / y[out] - 1, rel=1e-6, abs=1e-9)

    @given(st.floats(0.2, 3), st.floats(0.2, 3))
    def test_known_factors_are_found(self, factor: float, dense: float) -> None:
        found = fit(self.submission(factor, factor, dense), self.counts())
        assert found.cycles == pytest.approx({"rest": factor, "dense": dense})
        assert found.worst < 1e-9

    def test_convolutions_are_told_apart_with_another_board_s_help(self) -> None:
        one, other = self.submission(1.0, 0.8, 2.0), self.submission(1.5, 1.2, 2.0, "b")
        counts = {"cortex-m4": self.counts()}
        ratio = shared_conv_ratio(one, [one, other], counts)
        assert ratio == pytest.approx(0.8, rel=1e-3)
        assert fit(one, self.counts()).worst > 0.1
        assert fit(one, self.counts(), ratio).worst < 1e-3

    @pytest.mark.parametrize(
        "stranger", [{"version": "2"}, {"runtime": "q"}, {"board": "a"}], ids=str
    )
    def test_another_version_never_helps(self, stranger: dict[str, str]) -> None:
        one, other = self.submission(1.0, 0.8, 2.0), self.submission(1.5, 1.2, 2.0, "b")
        counts = {"cortex-m4": self.counts()}
        assert shared_conv_ratio(one, [one, replace(other, **stranger)], counts) is None

    def test_energy_is_latency_times_power(self) -> None:
        found = fit_energy(self.submission(1.0, 1.0, 1.0), np.array([0.1, 0.0, -0.2]))
        assert found is not None
        assert found.power_mw == pytest.approx(50.0)
        assert (found.mean, found.worst) == pytest.approx((0.1, 0.2))


@pytest.mark.skipif(not RESULTS.is_file(), reason=f"no {RESULTS.name} beside this checkout")
class TestSubmissions:
    def test_versions_are_never_pooled(self) -> None:
        found, _ = read_submissions(RESULTS)
        keys = [(one.board, one.runtime, one.version) for one in found]
        assert len(set(keys)) == len(keys)
        x_cube_ai = {one.version for one in found if one.runtime == "x-cube-ai"}
        assert {"7.3.0", "8.0.0", "8.1.0", "as submitted to MLPerf Tiny v1.0"} <= x_cube_ai

    def test_rows_of_the_issue_are_there(self) -> None:
        found, left_out_because = read_submissions(RESULTS)
        v10 = {one.board: one for one in found if "v1.0, STM" in one.source}
        assert v10["stm32h7a3"].ms["kws"] == 16.7597
        assert v10["stm32l4r5"].clock_hz == 120_000_000
        assert v10["stm32u585"].uj["vww"] == 3364.456
        assert {one.board for one in found if "v1.0, plumerai" in one.source} >= {"stm32f746"}
        assert all(set(NETWORKS) <= one.ms.keys() for one in found)
        assert "accelerator" in left_out_because["v1.0 silicon_labs silicon_labs_xG24_DK2601B"]


def test_the_documentation_has_the_errors_of_the_shipped_scales() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "scaling.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("|")]
    for scale in shipped_scales():
        error = scale.validation
        version = scale.runtime_version.removeprefix("as submitted to MLPerf Tiny ")
        (line,) = (
            one
            for one in lines
            if one.startswith(f"| {scale.board} ") and f" {scale.runtime}, {version} " in one
        )
        assert f"**{100 * error.mean:.1f} / {100 * error.worst:.1f}**" in line
