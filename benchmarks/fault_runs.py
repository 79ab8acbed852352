"""Measure on a fake board whose line is bad, again and again; count rows lost and wrong rows.

    python -m benchmarks.fault_runs [--runs 1000] [--first-seed 0]

A run measures a dozen operators and a network over a pseudo-terminal. Lines are damaged (one bit),
dropped in whole or part, delayed beyond the time-out and repeated; the board resets, hangs, and in
every fourth run is unplugged and measured on from there in a second session. Rates are drawn per
run, up to one fault of a kind in twelve lines. Every row is known beforehand: one that is missing
in the end counts as lost, one that differs as wrong, a refusal of what the board can run as lost.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from dataclasses import dataclass, field

from hybrid_nas.hardware.latency_table import Measurement
from hybrid_nas.profiling.backend import DeviceLostError, Refused
from hybrid_nas.profiling.board import BoardBackend
from hybrid_nas.profiling.link import PortLink
from hybrid_nas.profiling.session import Patience
from hybrid_nas.spaces.opspec import OpSpec
from tests.profiling import fake_board
from tests.profiling.fake_board import FakeBoard, Faults

PATIENCE = Patience(
    hello_s=0.01, floor_s=0.01, factor=0.0, garbled_s=0.003, restarts=5, reopen_s=0.02
)
_MOST_SESSIONS = 5


@dataclass
class Tally:
    """What happened in a number of runs.

    Attributes:
        rows: rows that there should be.
        lost, wrong: rows that are missing, rows with another value; both must be 0.
        sessions: times a device was connected to; `given_up`: those that ended in `DeviceLostError`
            though the board was still there.
        faults: injected, by kind.
    """

    rows: int = 0
    lost: int = 0
    wrong: int = 0
    sessions: int = 0
    given_up: int = 0
    faults: Counter[str] = field(default_factory=Counter)


def draw_faults(rng: random.Random, unplug: bool) -> Faults:
    """Rates of a run."""
    rates = {name: rng.random() / 12 for name in ("corrupt", "drop", "delay", "duplicate")}
    rates |= {"reset": rng.random() / 30, "hang": rng.random() / 60}
    return Faults(**rates, delay_s=0.015, unplug_after=rng.randint(1, 25) if unplug else 0)


def draw_ops(rng: random.Random) -> list[OpSpec]:
    """A dozen different operators, among them one without a kernel and one too large."""
    channels = rng.sample(range(1, 150), 10)
    ops = [OpSpec(rng.choice(("conv", "dwconv")), 12, 12, c, c, kernel=3) for c in channels]
    ops.append(OpSpec("maxpool", 12, 12, 8, 8, kernel=2, stride=2))
    ops.append(OpSpec("conv", 4, 4, 8, 1000))
    rng.shuffle(ops)
    return ops


def fault_run(seed: int, tally: Tally) -> None:
    """One run; adds to the tally."""
    rng = random.Random(seed)
    ops = draw_ops(rng)
    network = [OpSpec("conv", 12, 12, 8, 8) for _ in range(rng.randint(1, 8))]
    faults = draw_faults(rng, unplug=seed % 4 == 0)
    answers: dict[OpSpec, Measurement | str] = {}
    total: Measurement | None = None
    board = FakeBoard(faults=faults, seed=seed)
    try:
        for _ in range(_MOST_SESSIONS):
            tally.sessions += 1
            try:
                with _connect(board.port) as backend:
                    for answer in backend.measure([op for op in ops if op not in answers]):
                        refused = isinstance(answer, Refused)
                        answers[answer.op] = answer.reason if refused else answer.measurement
                    total = backend.measure_network(network)
                    break
            except DeviceLostError:
                if not board.unplugged:
                    tally.given_up += 1
                    continue
                tally.faults.update(board.injected)
                tally.faults["unplug"] += 1
                board.close()
                board = FakeBoard(faults=draw_faults(rng, unplug=False), seed=seed + 1)
    finally:
        tally.faults.update(board.injected)
        board.close()
    _count(tally, ops, answers, network, total)


def _connect(port: str) -> BoardBackend:
    return BoardBackend(
        lambda: PortLink(port),
        emulated=True,
        patience=PATIENCE,
        expected_crc=fake_board.expected_crc,
        expected_network_crc=fake_board.expected_network_crc,
    )


def _count(
    tally: Tally,
    ops: list[OpSpec],
    answers: dict[OpSpec, Measurement | str],
    network: list[OpSpec],
    total: Measurement | None,
) -> None:
    truth: dict[object, Measurement | str] = {op: _true_answer(op) for op in ops}
    found: dict[object, Measurement | str | None] = {op: answers.get(op) for op in ops}
    truth["network"] = Measurement(float(sum(_instructions(op) for op in network)))
    found["network"] = total
    for key, right in truth.items():
        tally.rows += 1
        got = found[key]
        if got is None or (isinstance(got, str) and isinstance(right, Measurement)):
            tally.lost += 1
        elif got != right:
            tally.wrong += 1


def _instructions(op: OpSpec) -> int:
    return fake_board.op_instructions(fake_board.words_of(op))


def _true_answer(op: OpSpec) -> Measurement | str:
    if op.op == "maxpool":
        return "the firmware has no kernel for it (maxpool)"
    if op.cout == 1000:
        return "too large: needs 12000 bytes of work memory, the board has 8192"
    return Measurement(float(_instructions(op)))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--first-seed", type=int, default=0)
    arguments = parser.parse_args()
    tally, begun = Tally(), time.monotonic()
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.runs):
        fault_run(seed, tally)
    print(f"{arguments.runs} runs, {tally.sessions} sessions, {time.monotonic() - begun:.0f} s")
    print("faults:", ", ".join(f"{count} {name}" for name, count in sorted(tally.faults.items())))
    print(f"sessions given up though the board was there: {tally.given_up}")
    print(f"rows: {tally.rows}, lost: {tally.lost}, wrong: {tally.wrong}")
    raise SystemExit(bool(tally.lost or tally.wrong))


if __name__ == "__main__":
    main()
