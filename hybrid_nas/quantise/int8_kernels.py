"""Kernels of quantised networks, exact to the bit, in NumPy.

Tensors are int8, channels last, (..., h, w, c): any axes before those are batches. Sums are
integers; they become int8 as in XNNPACK (its fp32 requantisation, and its qs8-vadd), which is what
LiteRT runs by default, and as in onnxruntime's integer convolutions (MLAS): the sum and one scale
per channel in float32, one product, halves to even.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from hybrid_nas.typing import Float32Array

Int8Array = npt.NDArray[np.int8]
Integers = npt.NDArray[Any]

Padding = int | tuple[tuple[int, int], tuple[int, int]]
"""Pixels around an image: as many on each side, or ((top, bottom), (left, right))."""

_FLOAT32_EXACT = 1 << 24
"""Integers up to here are exact in float32, and sums of them in any order."""


@dataclass(frozen=True)
class Requantisation:
    """From int32 accumulators to int8.

    Attributes:
        scale: float32; one number, or one per channel.
        zero: zero point of the output.
        low, high: what the output is clamped to (the fused activation).
    """

    scale: Float32Array
    zero: int
    low: int = -128
    high: int = 127

    def __call__(self, accumulators: Integers) -> Int8Array:
        """int8 of the shape of `accumulators`, whose last axis is the channels."""
        steps = accumulators.astype(np.float32)
        steps *= self.scale
        np.clip(steps, self.low - self.zero, self.high - self.zero, out=steps)
        np.rint(steps, out=steps)
        steps += self.zero
        rounded: Int8Array = steps.astype(np.int8)
        return rounded


def conv2d(
    x: Int8Array,
    weights: Int8Array,
    bias: Integers,
    requantise: Requantisation,
    *,
    in_zero: int,
    stride: int = 1,
    padding: Padding = 0,
) -> Int8Array:
    """Convolution, padded with the input's zero point.

    Args:
        x: (..., h, w, cin).
        weights: (cout, kernel, kernel, cin), symmetric (zero point 0).
        bias: (cout,), int32.
        requantise: with `cout` scales, or one for all.
        in_zero: zero point of `x`.
        stride: in both directions.
        padding: pixels around the image.

    Returns:
        (..., out_h, out_w, cout).
    """
    products = weights[0].size
    # GEMM in floating point is many times faster than in integers, and exact within the mantissa.
    largest = 128 * (128 + abs(in_zero)) * products
    dtype = np.dtype(np.float32 if largest <= _FLOAT32_EXACT else np.float64)
    padded = _pad((x.astype(np.int32) - in_zero).astype(dtype), padding, 0)
    total: Any = 0
    for row, column, pixels in _taps(padded, weights.shape[1], stride):
        total = total + pixels @ weights[:, row, column].T.astype(dtype)
    return requantise(total.astype(np.int64) + bias)


def depthwise2d(
    x: Int8Array,
    weights: Int8Array,
    bias: Integers,
    requantise: Requantisation,
    *,
    in_zero: int,
    stride: int = 1,
    padding: Padding = 0,
) -> Int8Array:
    """Depthwise convolution with one filter per channel.

    Args:
        x: (..., h, w, channels).
        weights: (kernel, kernel, channels), symmetric.
        bias, requantise, in_zero, stride, padding: as in `conv2d`.

    Returns:
        (..., out_h, out_w, channels).
    """
    padded = _pad(x.astype(np.int32) - in_zero, padding, 0)
    total: Any = np.asarray(bias, np.int32)
    for row, column, pixels in _taps(padded, len(weights), stride):
        total = total + pixels * weights[row, column].astype(np.int32)
    return requantise(total)


def dense(
    x: Int8Array, weights: Int8Array, bias: Integers, requantise: Requantisation, *, in_zero: int
) -> Int8Array:
    """Matrix-vector product: `x` (..., cin), `weights` (cout, cin), result (..., cout)."""
    pixel, filters = x[..., None, None, :], weights[:, None, None]
    return conv2d(pixel, filters, bias, requantise, in_zero=in_zero)[..., 0, 0, :]


@dataclass(frozen=True)
class Addition:
    """How two int8 operands become their sum.

    Attributes:
        zeros: zero points of the operands.
        multipliers: scales of the operands over that of the output, times ``2^shift``; at most
            2^21, so that sums stay within 31 bits.
        shift: bits behind the point, 1 to 30.
        zero: zero point of the output.
        low, high: what the output is clamped to.
    """

    zeros: tuple[int, int]
    multipliers: tuple[int, int]
    shift: int
    zero: int
    low: int = -128
    high: int = 127

    @property
    def bias(self) -> int:
        """What the zero points come to, and the half that rounds."""
        offsets = sum(m * zero for m, zero in zip(self.multipliers, self.zeros, strict=True))
        return (1 << (self.shift - 1)) - offsets

    def __call__(self, a: Int8Array, b: Int8Array) -> Int8Array:
        """Sum of two tensors of one shape, halves upwards."""
        total = a.astype(np.int32) * self.multipliers[0]
        total += b.astype(np.int32) * self.multipliers[1]
        total += self.bias
        return _clamp((total >> self.shift) + self.zero, self.low, self.high)


def average_pool(
    x: Int8Array,
    kernel: int,
    stride: int = 1,
    padding: Padding = 0,
    *,
    low: int = -128,
    high: int = 127,
) -> Int8Array:
    """Mean of each window's pixels inside the image, halves away from zero; scale is kept.

    Args:
        x: (..., h, w, channels).
        kernel: side of the square window; 0 pools the whole image to one pixel.
        stride: in both directions.
        padding: pixels around, fewer than `kernel` on each side; they are not counted.
        low, high: clamp.

    Returns:
        (..., out_h, out_w, channels).
    """
    total = _windows(_pad(x.astype(np.int32), padding, 0), kernel, stride).sum(axis=(-2, -1))
    ones = _pad(np.ones((*x.shape[-3:-1], 1), np.int32), padding, 0)
    count = _windows(ones, kernel, stride).sum(axis=(-2, -1))
    mean = np.sign(total) * ((np.abs(total) + count // 2) // count)
    return _clamp(mean, low, high)


def max_pool(
    x: Int8Array,
    kernel: int,
    stride: int = 1,
    padding: Padding = 0,
    *,
    low: int = -128,
    high: int = 127,
) -> Int8Array:
    """Largest of each window's pixels inside the image; arguments as in `average_pool`."""
    windows = _windows(_pad(x, padding, -128), kernel, stride)
    return _clamp(windows.max(axis=(-2, -1)), low, high)


def _clamp(values: Integers, low: int, high: int) -> Int8Array:
    clamped: Int8Array = np.clip(values, low, high).astype(np.int8)
    return clamped


def _pad(x: Integers, padding: Padding, value: int) -> Integers:
    if not padding:
        return x
    sides = ((padding, padding),) * 2 if isinstance(padding, int) else padding
    around = [(0, 0)] * (x.ndim - 3) + [*sides, (0, 0)]
    return np.pad(x, around, constant_values=value)


def _taps(padded: Integers, kernel: int, stride: int) -> Iterator[tuple[int, int, Integers]]:
    """For each place in the window: row, column, the pixels there, (..., out_h, out_w, cin)."""
    height, width = (size - kernel + 1 for size in padded.shape[-3:-1])
    for row in range(kernel):
        rows = padded[..., row : row + height : stride, :, :]
        for column in range(kernel):
            yield row, column, rows[..., column : column + width : stride, :]


def _windows(padded: Integers, kernel: int, stride: int) -> Integers:
    """View of shape (..., out_h, out_w, channels, window height, window width)."""
    height, width = (kernel, kernel) if kernel else padded.shape[-3:-1]
    every = sliding_window_view(padded, (height, width), axis=(-3, -2))
    return every[..., ::stride, ::stride, :, :, :]
