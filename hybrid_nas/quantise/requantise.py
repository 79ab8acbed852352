"""From real scales to the arithmetic of kernels.

As XNNPACK derives it (src/microparams-init.c, src/operators/convolution-nhwc.c): scales and their
quotients are float32. Clamps are TFLite's (tensorflow/lite/kernels/kernel_util.cc).
"""

from __future__ import annotations

import math

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.quantise.int8_kernels import Addition, Requantisation
from hybrid_nas.quantise.scheme import Q_MAX, Q_MIN, Affine
from hybrid_nas.spaces.opspec import Activation
from hybrid_nas.typing import Float32Array

_ADD_BITS = 20
"""The larger multiplier of an addition has one bit more."""
_ADD_SHIFT_MAX = 30
_ADD_SCALE_MAX = 256.0


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
    scale = np.float32(source.scale) * weight_scales.astype(np.float32) / np.float32(output.scale)
    low, high = clamp_of(activation, output)
    return Requantisation(scale, output.zero, low, high)


def addition(a: Affine, b: Affine, output: Affine, activation: Activation) -> Addition:
    """Of an element-wise addition.

    Raises:
        InputError: an operand's step is 256 times the output's or more.
    """
    ratios = [np.float32(x.scale) / np.float32(output.scale) for x in (a, b)]
    if max(ratios) >= _ADD_SCALE_MAX:
        raise InputError(
            f"an addition's operands have steps of {a.scale:g} and {b.scale:g}, its output of "
            f"{output.scale:g}: expected less than {_ADD_SCALE_MAX:g} of the output's"
        )
    exponent = math.frexp(max(ratios))[1] - 1
    shift = min(_ADD_BITS - exponent, _ADD_SHIFT_MAX)
    first, second = (int(np.rint(math.ldexp(float(ratio), shift))) for ratio in ratios)
    low, high = clamp_of(activation, output)
    return Addition((a.zero, b.zero), (first, second), shift, output.zero, low, high)
