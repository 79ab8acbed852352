"""A device made of a formula: exact, instant, and lost, full or refusing when a test wants it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.latency_table import Identity, Measurement
from hybrid_nas.profiling.backend import Backend, DeviceLostError, Refused, Timed
from hybrid_nas.spaces.opspec import OpSpec

IDENTITY = Identity(
    board="simulated",
    core="formula",
    clock_hz=100_000_000,
    runtime="hnas-c",
    runtime_version="1",
    kernels="formula/1",
    placement="sram",
    cache="none",
    unit="cycles",
)
SCALE, PER_OP = 1.07, 900.0


def cycles(op: OpSpec) -> float:
    """What one operator takes: work, and what a call costs."""
    per_mac = {"conv": 1.3, "dwconv": 2.9, "dense": 1.9}.get(op.op, 0.0)
    return 400 + per_mac * op.macs + 2.0 * op.out_elements + 0.7 * op.in_bytes


class Simulated(Backend):
    """Times operators by `cycles`; a whole network takes SCALE x their sum + PER_OP x number.

    Args:
        arena: operators whose input and output are larger are refused.
        lost_after: the device is gone after so many answers.
        identity: instead of `IDENTITY`.
        jitter: whole networks are off by this much, alternately up and down.
    """

    kind = "measured"
    source = "a formula"

    def __init__(
        self,
        arena: int = 1 << 30,
        lost_after: int | None = None,
        identity: Identity = IDENTITY,
        jitter: float = 0.0,
    ) -> None:
        self.identity = identity
        self.arena, self.lost_after, self.jitter = arena, lost_after, jitter
        self.asked: list[OpSpec] = []
        self.networks = 0
        self.closed = 0

    def measure(self, ops: Sequence[OpSpec]) -> Iterator[Timed | Refused]:
        for op in ops:
            if self.lost_after is not None and len(self.asked) >= self.lost_after:
                raise DeviceLostError("simulated: the cable came out")
            self.asked.append(op)
            if op.in_bytes + op.out_bytes > self.arena:
                yield Refused(op, f"needs {op.in_bytes + op.out_bytes} bytes, has {self.arena}")
            else:
                yield Timed(op, Measurement(cycles(op), 0.0, 1))

    def measure_network(self, ops: Sequence[OpSpec]) -> Measurement:
        for number, op in enumerate(ops):
            if op.in_bytes + op.out_bytes > self.arena:
                raise InputError(f"operator {number} ({op.op}) needs more than {self.arena} bytes")
        self.networks += 1
        off = 1 + self.jitter * (-1) ** self.networks
        return Measurement(off * (SCALE * sum(map(cycles, ops)) + PER_OP * len(ops)), 0.0, 1)

    def close(self) -> None:
        self.closed += 1
