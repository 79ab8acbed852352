"""Where a network's tensors stand in a board's arena, so that nothing alive is overwritten.

Offline memory planning is dynamic storage allocation: tensors have a lifetime and a size, those
that live at the same time must not overlap. Placing the largest first into the smallest gap that
fits is close to optimal on networks (Pisarchyk & Lee, "Efficient Memory Management for Deep Neural
Net Inference", 2020); from there, single moves in that order are tried as long as the result is
above the lower bound, as in Arm's Vela compiler (its hill-climb allocator).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_nas.errors import InputError
from hybrid_nas.profiling.protocol import NO_OFFSET, Place
from hybrid_nas.spaces.opspec import OpSpec

ALIGNMENT = 4
"""Bytes; kernels load words."""

_MOVES = 300


@dataclass(frozen=True)
class Tensor:
    """An activation: bytes, and the first and last operator (from 0) during which it must stay."""

    bytes: int
    first: int
    last: int

    def meets(self, other: Tensor) -> bool:
        """Whether both are alive during some operator."""
        return self.first <= other.last and other.first <= self.last


def tensors(ops: Sequence[OpSpec]) -> list[Tensor]:
    """The network's input, then the output of every operator.

    An operator's operands and its output are alive together: kernels do not work in place. The
    network's output stays to the end.

    Raises:
        InputError: an operator reads from one that does not come before it.
    """
    if not ops:
        raise InputError("a network of no operators cannot be placed: give at least one")
    sizes = [ops[0].in_bytes, *(op.out_bytes for op in ops)]
    last = [0, *range(len(ops))]  # at least the operator that writes it
    for index, op in enumerate(ops):
        for distance in _reads(op):
            if not 1 <= distance <= index + 1:
                raise InputError(
                    f"operator {index} ({op.op}) reads the output of operator {index - distance}: "
                    "operands come from earlier operators, or from the input (-1)"
                )
            operand = index + 1 - distance
            last[operand] = index
            sizes[operand] = max(sizes[operand], op.in_bytes)
    last[-1] = len(ops) - 1
    first = [0, *range(len(ops))]
    return [Tensor(*values) for values in zip(sizes, first, last, strict=True)]


def place(wanted: Sequence[Tensor]) -> list[int]:
    """An offset in bytes for every tensor; those that are alive together do not overlap."""
    bound = _largest_moment(wanted)
    order = sorted(range(len(wanted)), key=lambda i: (-wanted[i].bytes, wanted[i].first))
    best, best_order = _greedy(wanted, order), order
    rng = random.Random(0)
    for _ in range(_MOVES):
        if extent(wanted, best) <= bound:
            break
        order = _moved(wanted, best, best_order, rng)
        offsets = _greedy(wanted, order)
        if extent(wanted, offsets) <= extent(wanted, best):
            best, best_order = offsets, order
    return best


def extent(wanted: Sequence[Tensor], offsets: Sequence[int]) -> int:
    """Bytes of arena that a placement needs."""
    return max(o + tensor.bytes for o, tensor in zip(offsets, wanted, strict=True))


def network_places(ops: Sequence[OpSpec], arena_bytes: int) -> list[Place]:
    """The ``NOP`` requests that put a network on a board.

    Raises:
        InputError: it needs more than the arena; or as in `tensors`.
    """
    wanted = tensors(ops)
    offsets = place(wanted)
    needed = extent(wanted, offsets)
    if needed > arena_bytes:
        raise InputError(
            f"the network's tensors need {needed} bytes of arena, the board has {arena_bytes}: "
            "take a smaller network or resolution, or a board with more memory"
        )
    return [
        Place(
            index,
            source=offsets[index + 1 - op.source],
            target=offsets[index + 1],
            second=offsets[index + 1 - op.residual] if op.op == "add" else NO_OFFSET,
            op=op,
        )
        for index, op in enumerate(ops)
    ]


def _reads(op: OpSpec) -> tuple[int, ...]:
    return (op.source, op.residual) if op.op == "add" else (op.source,)


def _largest_moment(wanted: Sequence[Tensor]) -> int:
    """Bytes alive together at the worst moment: no placement needs less."""
    return max(
        sum(_aligned(t.bytes) for t in wanted if t.first <= moment.first <= t.last)
        for moment in wanted
    )


def _moved(
    wanted: Sequence[Tensor], offsets: Sequence[int], order: Sequence[int], rng: random.Random
) -> list[int]:
    """Another order: the topmost tensor, or one that is alive with it, is placed earlier."""
    top = max(range(len(wanted)), key=lambda i: offsets[i] + wanted[i].bytes)
    chosen = rng.choice([i for i, tensor in enumerate(wanted) if tensor.meets(wanted[top])])
    moved = [i for i in order if i != chosen]
    moved.insert(rng.randrange(order.index(top) + 1), chosen)
    return moved


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _greedy(wanted: Sequence[Tensor], order: Sequence[int]) -> list[int]:
    offsets = [0] * len(wanted)
    placed: list[int] = []
    for index in order:
        tensor = wanted[index]
        busy = sorted(
            (offsets[other], offsets[other] + wanted[other].bytes)
            for other in placed
            if wanted[other].meets(tensor)
        )
        offsets[index] = _best_gap(busy, tensor.bytes)
        placed.append(index)
    return offsets


def _best_gap(busy: Sequence[tuple[int, int]], size: int) -> int:
    """Start of the smallest gap between sorted intervals that holds `size` bytes, or their end."""
    best, best_size = None, 0
    end = 0
    for start, stop in busy:
        gap = start - end
        if gap >= size and (best is None or gap < best_size):
            best, best_size = end, gap
        end = max(end, _aligned(stop))
    return end if best is None else best
