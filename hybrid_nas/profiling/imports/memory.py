"""Memory figures of a report beside our estimate of the same network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_nas.hardware.flash import flash_bytes
from hybrid_nas.hardware.runtimes import Runtime
from hybrid_nas.hardware.sram import plan
from hybrid_nas.profiling.imports.log import MemoryFigure
from hybrid_nas.profiling.models.windows import Shape
from hybrid_nas.spaces.opspec import OpSpec

_BIAS_BYTES = 4


@dataclass(frozen=True)
class Compared:
    """A figure of the report, and our estimate of it; None where we estimate no such thing."""

    figure: MemoryFigure
    estimate: int | None

    @property
    def error(self) -> float | None:
        """Relative error of the estimate; None without one."""
        if self.estimate is None or not self.figure.bytes:
            return None
        return self.estimate / self.figure.bytes - 1


def compare(
    figures: Sequence[MemoryFigure],
    ops: Sequence[OpSpec],
    input_shape: Shape | None,
    runtime: Runtime,
) -> tuple[Compared, ...]:
    """Every figure, with our estimate where the network is known.

    Args:
        figures: of the report.
        ops: the network's operators, wired; empty where it is not known.
        input_shape: height, width, channels.
        runtime: whose memory model estimates.
    """
    estimates: dict[str, int] = {}
    if ops and input_shape is not None:
        planned = plan(ops, input_shape, runtime)
        network = planned.peak_bytes - planned.persistent_bytes  # without the runtime's own
        estimates = {
            "activations": network,
            "network ram": network,
            "ram": planned.peak_bytes,
            "weights": sum(_weight_bytes(op) for op in ops),
            "flash": flash_bytes(ops, runtime),
        }
        stated = {figure.what: figure.bytes for figure in figures}
        if stated.get("network ram", 0) > stated.get("activations", 0):
            del estimates["activations"]  # its input lies outside of them, ours does not
    return tuple(Compared(figure, estimates.get(figure.what)) for figure in figures)


def _weight_bytes(op: OpSpec) -> int:
    return op.weights * op.itemsize + (_BIAS_BYTES * op.cout if op.bias and op.weights else 0)
