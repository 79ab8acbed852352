"""Elementary functions in float32, step by step as firmware/router/hnas_router.c does them.

Only sums, differences, products, quotients, conversions and shifts, each rounded as IEEE 754 says,
so that NumPy and any C compiler that keeps to it agree to the bit. Relative errors, largest over
the arguments that routers have (tests/export/test_device_math.py): 1.0e-7 of `exp_minus`, 2e-7 of
`log` and `sigmoid`, 2.5e-7 of `sqrt`, 3e-7 of `log1p`; one unit in the last place is 0.6e-7 to
1.2e-7.

Polynomials are fits at Chebyshev nodes of (e^r - 1 - r) / r^2 on |r| <= 0.3475, and of
(atanh(s) / s - 1) / s^2 in s^2 on |s| <= 0.1716.
"""

from __future__ import annotations

import numpy as np

from hybrid_nas.typing import Float32Array


def _float32(literal: str) -> np.float32:
    return np.float32(float.fromhex(literal))


_ONE, _HALF, _THREE_HALVES = np.float32(1.0), np.float32(0.5), np.float32(1.5)
_LN2_HIGH, _LN2_LOW = _float32("0x1.62e4p-1"), _float32("0x1.7f7d1cp-20")
_LOG2_E = _float32("0x1.715476p+0")
_EXP_END = np.float32(86.0)
_EXP = [
    _float32(c)
    for c in ("0x1.6d44b6p-10", "0x1.120cbep-7", "0x1.5554e8p-5", "0x1.5554dcp-3", "0x1p-1")
]
_LOG = [_float32(c) for c in ("0x1.2ee9a6p-3", "0x1.997c18p-3", "0x1.55555cp-2")]
_SQRT_HALF_BITS = np.int32(0x3F3504F3)
_INVERSE_SQRT_BITS = np.int32(0x5F375A86)


def exp_minus(x: Float32Array) -> Float32Array:
    """e^-x of x >= 0; 0 beyond 86, where it would soon be subnormal."""
    inside = np.minimum(x, _EXP_END)
    halvings = (inside * _LOG2_E + _HALF).astype(np.int32)
    n = halvings.astype(np.float32)
    r = (n * _LN2_HIGH - inside) + n * _LN2_LOW
    p = _polynomial(_EXP, r)
    p = (p * r) * r + r
    power = ((np.int32(127) - halvings) << np.int32(23)).view(np.float32)
    y: Float32Array = np.where(x > _EXP_END, np.float32(0.0), (p + _ONE) * power)
    return y


def log(x: Float32Array) -> Float32Array:
    """ln x of positive normal numbers."""
    bits = np.ascontiguousarray(x).view(np.int32)
    exponent = (bits - _SQRT_HALF_BITS) >> np.int32(23)
    f = (bits - (exponent << np.int32(23))).view(np.float32) - _ONE
    n = exponent.astype(np.float32)
    s = f / (np.float32(2.0) + f)
    z = s * s
    twice = s + s
    tail = (twice * z) * _polynomial(_LOG, z) + n * _LN2_LOW
    y: Float32Array = n * _LN2_HIGH + (twice + tail)
    return y


def log1p(x: Float32Array) -> Float32Array:
    """ln (1 + x) of x >= 0: the rounding of 1 + x is made good by a quotient."""
    total = _ONE + x
    rounded_off = total == _ONE
    step = np.where(rounded_off, _ONE, total - _ONE)
    y: Float32Array = np.where(rounded_off, x, log(total) * (x / step))
    return y


def sqrt(x: Float32Array) -> Float32Array:
    """The square root of 0 and of positive normal numbers, by Newton's method on its inverse."""
    half = _HALF * x
    y = (_INVERSE_SQRT_BITS - (np.ascontiguousarray(x).view(np.int32) >> 1)).view(np.float32)
    for _ in range(3):
        y = y * (_THREE_HALVES - (half * y) * y)
    return np.where(x == 0.0, np.float32(0.0), x * y)


def sigmoid(x: Float32Array) -> Float32Array:
    """1 / (1 + e^-x), small values as exact as large ones."""
    e = exp_minus(np.abs(x))
    y: Float32Array = np.where(x < 0.0, e, _ONE) / (_ONE + e)
    return y


def sum_in_order(x: Float32Array) -> Float32Array:
    """x[:, 0] + x[:, 1] + ... of (n, k), from left to right, as a loop adds them."""
    total: Float32Array = np.add.accumulate(x, axis=1)[:, -1]
    return total


def float32_below(x: float) -> float:
    """The largest finite float32 number that is at most `x`.

    A float32 number is above the one exactly where it is above the other.
    """
    with np.errstate(over="ignore"):
        rounded = np.float32(x)
    if float(rounded) > x or np.isposinf(rounded):
        rounded = np.nextafter(rounded, np.float32(-np.inf))
    return float(rounded)


def _polynomial(coefficients: list[np.float32], x: Float32Array) -> Float32Array:
    p = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        p = p * x + coefficient
    return p
