"""What the exported C code needs beside tensors: scratch memory, constants, and what runs in place.

The formulas are those of the kernels in `firmware/kernels` (``hnas_conv_scratch`` and its like) and
of the code that `hybrid_nas.export.c_code` writes for a 32-bit core. They are exact: tests compare
them with the C functions and with the sizes of what the compiler makes.
"""

from __future__ import annotations

import numpy as np

from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.typing import BoolArray, IntArray

ALIGNMENT = 4
"""Bytes that tensors, scratch and arrays of constants start at a multiple of."""

CHANNEL_BYTES = 8
"""Bias (int32) and scale (float32) of an output channel."""
_WINDOW_BYTES = 44  # hnas_window: 11 int32
_REQUANT_BYTES = 24  # hnas_requant: 4 int32, 2 pointers
_ADD_BYTES = 28  # hnas_add_params: 7 int32
_LANES = 4  # channels that hnas_depthwise has in its ring at a time


def aligned(sizes: IntArray) -> IntArray:
    """`sizes` rounded up to multiples of `ALIGNMENT`."""
    return np.asarray(-(-sizes // ALIGNMENT) * ALIGNMENT)


def scratch_bytes(arrays: OpArrays) -> IntArray:
    """Scratch memory of each operator's kernel call, bytes, int64 (n,); 0 without a kernel.

    >>> from hybrid_nas.spaces.opspec import OpSpec
    >>> conv = OpSpec("conv", 8, 8, 3, 16, kernel=3, padding=1)
    >>> scratch_bytes(OpArrays.of([conv])).tolist()
    [140]
    """
    classes = arrays.classes
    column = aligned(arrays.kernel**2 * arrays.cin)  # elements under a window, in whole words
    size = np.where(classes["pointwise"], 2 * 2 * column, 0)  # two columns of int16
    size = np.where(classes["conv"], 2 * 2 * column + column, size)  # and the window's bytes
    size = np.where(classes["dense"], 2 * aligned(arrays.cin), size)
    return np.where(classes["dwconv"], _ring_bytes(arrays), size)


def _ring_bytes(arrays: OpArrays) -> IntArray:
    """Rows under the window, channel by channel, int16, with their weights and places."""
    padded_w = (arrays.out_w - 1) * arrays.stride + arrays.kernel
    row = _even(padded_w + 1) + _even(arrays.kernel)
    return arrays.kernel * (4 + _LANES * 2 * row)


def _even(sizes: IntArray) -> IntArray:
    return np.asarray((sizes + 1) // 2 * 2)


def runs_in_place(arrays: OpArrays) -> BoolArray:
    """Which operators may write their output over an operand that nobody needs any more.

    Additions over either operand; depthwise convolutions where the image gets no larger.
    """
    smaller = (arrays.out_h <= arrays.h) & (arrays.out_w <= arrays.w)
    return np.asarray(arrays.classes["add"] | (arrays.classes["dwconv"] & smaller))


def constant_bytes(arrays: OpArrays) -> IntArray:
    """Constants of each operator in flash, bytes, int64 (n,): weights, channels, parameters."""
    classes = arrays.classes
    weighted = arrays.weights > 0
    window = weighted & ~classes["dense"] | classes["avgpool"] | classes["maxpool"]
    size = aligned(arrays.weights) + np.where(weighted, CHANNEL_BYTES * arrays.cout, 0)
    size += np.where(weighted, _REQUANT_BYTES, 0) + np.where(window, _WINDOW_BYTES, 0)
    return np.asarray(size + np.where(classes["add"], _ADD_BYTES, 0))
