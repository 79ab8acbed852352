"""Where tensors stand in an arena, so that nothing alive is overwritten.

Offline memory planning is dynamic storage allocation: tensors have a lifetime and a size, those
that live at the same time must not overlap. Placing the largest first into the smallest gap that
fits is close to optimal on networks (Pisarchyk & Lee, "Efficient Memory Management for Deep Neural
Net Inference", 2020); from there, single moves in that order are tried as long as the result is
above the lower bound, as in Arm's Vela compiler (its hill-climb allocator).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from hybrid_nas.hardware.sram import Tensor

ALIGNMENT = 4
"""Bytes; kernels load words."""

_MOVES = 300


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


def _meet(a: Tensor, b: Tensor) -> bool:
    """Whether both are alive during some operator."""
    return a.first <= b.last and b.first <= a.last


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
    chosen = rng.choice([i for i, tensor in enumerate(wanted) if _meet(tensor, wanted[top])])
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
            if _meet(wanted[other], tensor)
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
