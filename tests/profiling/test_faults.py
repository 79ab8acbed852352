"""Bad lines: benchmarks/fault_runs.py in small, and each fault alone."""

from __future__ import annotations

import pytest

from benchmarks.fault_runs import PATIENCE, Tally, fault_run
from hybrid_nas.hardware.latency_table import Measurement
from hybrid_nas.profiling import session
from hybrid_nas.profiling.backend import Timed
from hybrid_nas.profiling.board import open_board
from hybrid_nas.profiling.protocol import GarbledError
from hybrid_nas.spaces.opspec import OpSpec
from tests.profiling.fake_board import (
    FakeBoard,
    Faults,
    expected_crc,
    op_instructions,
    words_of,
)

RUNS = 50


def test_no_row_is_lost_and_no_wrong_row_accepted() -> None:
    tally = Tally()
    for seed in range(RUNS):
        fault_run(seed, tally)
    assert (tally.lost, tally.wrong) == (0, 0)
    assert tally.rows == 13 * RUNS
    assert all(tally.faults[kind] for kind in ("corrupt", "drop", "delay", "reset", "unplug"))


def test_the_count_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the check of a line, wrong rows do get in, and are counted."""

    def careless(line: bytes) -> str:
        payload, star, _ = line.rpartition(b"*")
        if not star or not payload.isascii():
            raise GarbledError
        return payload.decode()

    monkeypatch.setattr(session.protocol, "decode_line", careless)
    tally = Tally()
    for seed in range(RUNS):
        fault_run(seed, tally)
        if tally.lost or tally.wrong:
            return
    pytest.fail("nothing was lost and nothing wrong")


OPS = [OpSpec("conv", 6, 6, c, 8) for c in range(1, 31)]
ROWS = [Timed(op, Measurement(float(op_instructions(words_of(op))))) for op in OPS]


@pytest.mark.parametrize(
    "faults",
    [
        Faults(corrupt=0.15),
        Faults(drop=0.15),
        Faults(delay=0.2, delay_s=0.02),
        Faults(duplicate=1.0),
        Faults(reset=0.1),
        Faults(hang=0.1),
    ],
    ids=lambda faults: next(k for k, v in vars(faults).items() if v),
)
def test_each_fault_alone(faults: Faults) -> None:
    with (
        FakeBoard(faults=faults, seed=1) as fake,
        open_board(
            fake.port, emulated=True, patience=PATIENCE, expected_crc=expected_crc
        ) as backend,
    ):
        assert list(backend.measure(OPS)) == ROWS
        assert sum(fake.injected.values()) > 0
