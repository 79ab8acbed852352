"""Peak SRAM of a network, planned by the lifetimes of its tensors.

A tensor lives from the operator that writes it to the last one that reads it. While an operator
runs, the tensors alive are its operands, its output, and whatever a later operator still needs (a
shortcut, the image held for the uplink). The runtime's model adds scratch buffers, takes off what
an operator saves by writing over its input, and knows what is kept for the whole run.

Everything here is vectorised over networks that are wired alike: `live_bytes` plans many at once,
`plan` plans one and tells where its peak is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from hybrid_nas.errors import HybridNasError
from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.hardware.runtimes import Runtime, SramModel, evaluate
from hybrid_nas.hardware.uplink import NO_UPLINK, UplinkImage
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.typing import FloatArray, IntArray

Wiring = tuple[tuple[int, int], ...]
"""(source, residual) of each operator, as in `OpSpec`."""

INPUT = -1
"""Index of the network's input among the operators' outputs."""

ROUTER = "router"
"""Name of the step after the last operator, when the router runs."""


@dataclass(frozen=True)
class Tensor:
    """An activation: written by operator ``first`` (-1: the input), needed until ``last``."""

    name: str
    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class SramPlan:
    """What is in memory when.

    Attributes:
        live_bytes: for each operator, tensors and its own scratch at its busiest moment.
        router_bytes: the same while the router runs, after the last operator.
        buffer_bytes: scratch shared by all operators, by name.
        persistent_bytes: what the runtime keeps for itself.
        reserve_bytes: kept free for the radio and the application.
        tensors: with their lifetimes, the input first.
    """

    live_bytes: tuple[int, ...]
    router_bytes: int
    buffer_bytes: dict[str, int]
    persistent_bytes: int
    reserve_bytes: int
    tensors: tuple[Tensor, ...]

    @property
    def peak_index(self) -> int:
        """Operator at the peak (the first of equals); their number where it is the router."""
        steps = [*self.live_bytes, self.router_bytes]
        return steps.index(max(steps))

    @property
    def overhead_bytes(self) -> int:
        """What is there beside the tensors at any time."""
        return sum(self.buffer_bytes.values()) + self.persistent_bytes + self.reserve_bytes

    @property
    def peak_bytes(self) -> int:
        """The SRAM that the network needs."""
        return max(*self.live_bytes, self.router_bytes) + self.overhead_bytes


def last_uses(wiring: Wiring, hold: frozenset[int] = frozenset()) -> list[int]:
    """Last operator that needs each tensor; tensor 0 is the input, t + 1 the output of operator t.

    The network's output, and the outputs of the operators in `hold`, live one step longer than the
    last operator.
    """
    end = len(wiring)
    last = list(range(-1, end))  # a tensor that nobody reads dies where it was born
    for number, (source, residual) in enumerate(wiring):
        for distance in (source, residual) if residual else (source,):
            tensor = number + 1 - distance
            if distance < 1 or tensor < 0:
                raise HybridNasError(
                    f"operator {number} reads the output of operator {number - distance}, which "
                    "does not come before it"
                )
            last[tensor] = number
    for producer in (*hold, end - 1):
        last[producer + 1] = end
    return last


def live_bytes(
    wiring: Wiring,
    sizes: IntArray,
    padded: IntArray,
    scratch: IntArray,
    reuse: FloatArray,
    hold: frozenset[int] = frozenset(),
    *,
    whole_places: bool = False,
) -> IntArray:
    """Live bytes at each of k operators of n networks that are wired alike.

    Args:
        wiring: of the k operators.
        sizes: bytes of the input and of the k outputs, (n, k + 1).
        padded: bytes of each operator's padded copy of its input, 0 for none, (n, k).
        scratch: bytes that live while the operator runs, (n, k).
        reuse: share of the smaller tensor that is saved where the input dies, (n, k).
        hold: operators whose outputs are kept to the end (`INPUT` for the input).
        whole_places: an output that is written over a larger input has all of its place for as long
            as it lives.

    Returns:
        int64 (n, k): the busiest moment of each operator.
    """
    last = last_uses(wiring, hold)
    live = np.empty(padded.shape, np.int64)
    sizes = sizes.copy()
    alive = [0]
    for number, (source, _) in enumerate(wiring):
        alive = [tensor for tensor in alive if last[tensor] >= number]
        before = sizes[:, alive].sum(1)
        operand, output = number + 1 - source, sizes[:, number + 1]
        border = padded[:, number]
        dies = last[operand] == number  # nobody needs the operand after this operator
        copied = border > 0
        read = np.where(copied, border, sizes[:, operand])
        free = np.floor(reuse[:, number] * np.minimum(read, output)).astype(np.int64)
        saved = free if dies else np.where(copied, free, 0)
        gone = np.where(copied, sizes[:, operand], 0) if dies else 0
        running = before - gone + border + output - saved + scratch[:, number]
        live[:, number] = np.maximum(before + border, running)
        if whole_places and dies:
            over = reuse[:, number] > 0
            sizes[:, number + 1] = np.where(over, np.maximum(sizes[:, operand], output), output)
        alive.append(number + 1)
    return live


def block_live_bytes(
    model: SramModel, arrays: OpArrays, wiring: Wiring, hold: frozenset[int] = frozenset()
) -> IntArray:
    """Live bytes at each operator of n equally wired networks, whose operators follow each other.

    `arrays` has n * k operators; the result has shape (n, k).
    """
    k = len(wiring)
    inputs = model.align(arrays.in_bytes).reshape(-1, k)[
        :, :1
    ]  # the first operator reads the input
    sizes = np.concatenate([inputs, model.align(arrays.out_bytes).reshape(-1, k)], axis=1)
    padded = model.padded_bytes(arrays).reshape(-1, k)
    scratch = model.scratch_bytes(arrays).reshape(-1, k)
    reuse = model.reuse(arrays).reshape(-1, k)
    whole = model.own_kernels
    return live_bytes(wiring, sizes, padded, scratch, reuse, hold, whole_places=whole)


def plan(
    ops: Sequence[OpSpec],
    input_shape: tuple[int, int, int],
    runtime: Runtime,
    uplink: UplinkImage = NO_UPLINK,
    *,
    hold: frozenset[int] = frozenset(),
    router_bytes: int = 0,
    reserve_bytes: int = 0,
) -> SramPlan:
    """Plan one network, op by op.

    Args:
        ops: the network.
        input_shape: (height, width, channels) of its input.
        runtime: whose memory model is used.
        uplink: the image held until the router has decided.
        hold: operators whose outputs the router reads; they are kept until it has run.
        router_bytes: the router's own tensors, and signals that are not tensors of the network.
        reserve_bytes: for the radio and the application.

    Example:
        >>> from hybrid_nas.hardware.runtimes import load_runtime
        >>> ops = [OpSpec("conv", 8, 8, 3, 4), OpSpec("conv", 8, 8, 4, 2)]
        >>> plan(ops, (8, 8, 3), load_runtime("tinyengine")).live_bytes
        (448, 384)
    """
    model = runtime.sram
    arrays = OpArrays.of(ops)
    wiring = tuple((op.source, op.residual) for op in ops)
    if uplink.holds_input:
        hold = hold | {INPUT}
    live = block_live_bytes(model, arrays, wiring, hold)[0] + uplink.extra_bytes
    last = last_uses(wiring, hold)
    itemsize = ops[0].itemsize
    sizes = [prod(input_shape) * itemsize, *(op.out_bytes for op in ops)]
    names = ["input", *(f"{number}:{op.op}" for number, op in enumerate(ops))]
    tensors = tuple(
        Tensor(name, size, number - 1, last[number])
        for number, (name, size) in enumerate(zip(names, sizes, strict=True))
    )
    kept = sum(int(model.align(np.array(tensors[producer + 1].bytes))) for producer in hold)
    persistent = int(model.persistent_bytes(arrays).sum()) + model.fixed_bytes
    return SramPlan(
        live_bytes=tuple(live.tolist()),
        router_bytes=kept + uplink.extra_bytes + router_bytes if router_bytes else 0,
        buffer_bytes={
            name: int(evaluate(formula, arrays).max())
            for name, formula in model.network_buffers.items()
        },
        persistent_bytes=persistent,
        reserve_bytes=reserve_bytes,
        tensors=tensors,
    )
