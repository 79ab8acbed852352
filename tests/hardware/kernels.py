"""Instruction counts of made-up kernels, loop by loop: a machine to predict, with real edges.

The loops are unrolled (channels by four, output channels and pixels by two), their remainders run
one at a time, and a depthwise window at the border takes a slow path that skips what is outside.
"""

from __future__ import annotations

import numpy as np

from hybrid_nas.spaces.loader import load_space
from hybrid_nas.spaces.opspec import OpSpec

_STORE = 14  # requantise and write one value


def instructions(op: OpSpec) -> int:
    """How many instructions the operator takes."""
    match op.op:
        case "conv":
            return _columns(op) if op.kernel == 1 else _windows(op)
        case "dwconv":
            return _depthwise(op)
        case "dense":
            return 50 + op.cout * (20 + op.cin // 4 * 9 + op.cin % 4 * 5)
        case "add":
            return 60 + op.out_elements * 23
        case _:
            return 80 + op.h * op.w * op.cin * 4 + op.out_elements * 20


def _columns(op: OpSpec) -> int:
    def block(pixels: int, channels: int) -> int:
        four = pixels * channels * 2 + pixels * 4 + channels * 4 + 3
        rest = pixels * channels + pixels + channels + 2
        return 9 + op.cin // 4 * four + op.cin % 4 * rest + pixels * channels * _STORE

    def row(pixels: int) -> int:
        return 12 + op.cout // 2 * block(pixels, 2) + op.cout % 2 * block(pixels, 1)

    pairs, odd = divmod(op.out_h * op.out_w, 2)
    return 120 + pairs * row(2) + odd * row(1)


def _windows(op: OpSpec) -> int:
    n = op.kernel**2 * op.cin
    two, one = 9 + n // 4 * 14 + n % 4 * 7 + 2 * _STORE, 9 + n // 4 * 10 + n % 4 * 5 + _STORE
    return 300 + op.out_h * op.out_w * (20 + n * 3 + op.cout // 2 * two + op.cout % 2 * one)


def _depthwise(op: OpSpec) -> int:
    taps = op.kernel**2
    inner = op.cout // 4 * (10 + taps * 9 + 4 * _STORE) + op.cout % 4 * (8 + taps * 4 + _STORE)
    total = 200
    for y in range(op.out_h):
        rows = window(y, op.h, op)
        total += 8
        for x in range(op.out_w):
            columns = window(x, op.w, op)
            if rows * columns == taps:
                total += 12 + inner
            else:
                total += 12 + op.cout * (11 + _STORE + rows * (5 + columns * 5))
    return total


def window(at: int, size: int, op: OpSpec) -> int:
    """How many pixels of the window that makes output `at` lie inside the image, in one axis."""
    first = at * op.stride - op.padding
    return max(0, min(size, first + op.kernel) - max(0, first))


def space_ops(n: int, seed: int, space: str = "mcunet") -> list[OpSpec]:
    """Different operators of random networks of a space."""
    made, rng = load_space(space), np.random.default_rng(seed)
    found = {op.shape for row in made.sample(n, rng) for op in made.architecture(row).ops}
    ops = sorted(found, key=str)
    return [ops[number] for number in rng.permutation(len(ops))[:n]]
