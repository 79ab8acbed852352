"""From real scales to the integer arithmetic of kernels.

TFLite's conventions (tensorflow/lite/kernels/internal/quantization_util.cc, kernel_util.cc and
add.cc): scales are float32, their quotients double, a factor is a Q31 multiplier and a power of
two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hybrid_nas.quantise.int8_kernels import AddScales, Requantisation
from hybrid_nas.quantise.scheme import Q_MAX, Q_MIN, Affine
from hybrid_nas.spaces.opspec import Activation
from hybrid_nas.typing import Float32Array, IntArray

ADD_LEFT_SHIFT = 20
_Q31 = 1 << 31
_MAX_SHIFT = 30


def fixed_point(factor: float) -> tuple[int, int]:
    """Multiplier and shift with ``factor = multiplier * 2 ** (shift - 31)``, nearly.

    The multiplier is in [2^30, 2^31). Factors below 2^-32 become 0, those of 2^30 and more the
    largest there is, as in TFLite.

    >>> fixed_point(0.5)
    (1073741824, 0)
    """
    if factor == 0.0:
        return 0, 0
    mantissa, shift = math.frexp(factor)
    multiplier = math.floor(mantissa * _Q31 + 0.5)
    if multiplier == _Q31:
        multiplier, shift = multiplier // 2, shift + 1
    if shift < -31:
        return 0, 0
    if shift > _MAX_SHIFT:
        return _Q31 - 1, _MAX_SHIFT
    return multiplier, shift


def fixed_points(factors: Sequence[float]) -> tuple[IntArray, IntArray]:
    """`fixed_point` of each: multipliers and shifts, int64 (n,)."""
    pairs = np.array([fixed_point(float(factor)) for factor in factors], np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def clamp_of(activation: Activation, output: Affine) -> tuple[int, int]:
    """Lowest and highest int8 that an activation leaves of an output.

    Raises:
        ValueError: integers have no such activation.
    """
    low, high = Q_MIN, Q_MAX
    if activation not in ("none", "relu", "relu6"):
        raise ValueError(f"{activation} is no clamp")
    if activation != "none":
        low = max(low, output.zero)
    if activation == "relu6":
        # float32, as TFLite divides; halves away from zero, as C rounds
        steps = float(np.float32(6.0) / np.float32(output.scale))
        high = min(high, output.zero + math.floor(steps + 0.5))
    return low, high


def conv_requantisation(
    source: Affine, weight_scales: Float32Array, output: Affine, activation: Activation
) -> Requantisation:
    """Of a convolution or dense layer with one weight scale per channel."""
    factors = float(source.scale) * weight_scales.astype(np.float64) / float(output.scale)
    low, high = clamp_of(activation, output)
    return Requantisation(*fixed_points(factors.tolist()), output.zero, low, high)


def add_scales(
    a: Affine, b: Affine, output: Affine, activation: Activation
) -> tuple[AddScales, Requantisation]:
    """Of an element-wise addition."""
    twice = 2.0 * max(a.scale, b.scale)
    first, second = fixed_point(a.scale / twice), fixed_point(b.scale / twice)
    scales = AddScales(
        zeros=(a.zero, b.zero),
        multipliers=(first[0], second[0]),
        shifts=(first[1], second[1]),
        left_shift=ADD_LEFT_SHIFT,
    )
    factor = twice / ((1 << ADD_LEFT_SHIFT) * output.scale)
    low, high = clamp_of(activation, output)
    return scales, Requantisation(*fixed_point(factor), output.zero, low, high)
