"""The numbers that boards compute with: one linear congruential generator, five seeds.

The firmware steps the generator byte by byte; here whole streams come from its closed form, so that
the program knows every weight and every input of a board without a byte being sent. The streams
are defined in ``docs/protocol.md``.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hybrid_nas.typing import ByteArray, Float32Array

Int8Array = npt.NDArray[np.int8]
Int32Array = npt.NDArray[np.int32]

WEIGHTS, INPUT, SECOND_OPERAND, BIAS, SCALE = 1, 2, 3, 4, 5
"""Seeds of the streams."""

_A = np.uint32(1664525)
_C = np.uint32(1013904223)
_SHORTEST = 1 << 16


def stream(seed: int, count: int, start: int = 0) -> Int8Array:
    """`count` bytes of a stream from byte `start` on, read as int8; shape (count,), read-only.

    >>> stream(INPUT, 4).tolist()
    [60, 117, 48, -67]
    """
    return _unsigned(seed, count, start).view(np.int8)


def biases(channels: int) -> Int32Array:
    """Bias of every output channel: 16 times the signed byte; int32 of shape (channels,)."""
    return stream(BIAS, channels).astype(np.int32) * 16


def scales(channels: int, products: int) -> Float32Array:
    """Requantisation scale of every output channel, float32 of shape (channels,).

    (2^23 + 2^15 byte) 2^-(24 + places), where the places are half the bits that `products`
    uncorrelated products add to an output value, so that most outputs of every shape stay inside
    int8 and use much of it. Odd channels have one place more.
    """
    places = 6 + ((products - 1).bit_length() + 1) // 2 + (np.arange(channels) & 1)
    mantissas = (1 << 23) + (_unsigned(SCALE, channels).astype(np.int32) << 15)
    exact: Float32Array = np.ldexp(mantissas.astype(np.float32), -24 - places)
    return exact


def _unsigned(seed: int, count: int, start: int = 0) -> ByteArray:
    length = max(_SHORTEST, 1 << (start + count - 1).bit_length()) if count else _SHORTEST
    return _prefix(seed, length)[start : start + count]


@lru_cache(maxsize=32)
def _prefix(seed: int, length: int) -> ByteArray:
    """The first `length` bytes of a stream.

    s[n] = a^n s[0] + c (a^0 + ... + a^(n-1)), all modulo 2^32: a cumulative product and a
    cumulative sum that wrap around as the generator does.
    """
    powers = np.multiply.accumulate(np.full(length, _A))  # a^1 ... a^n
    sums = np.add.accumulate(powers) - powers + np.uint32(1)  # of a^0 ... a^(n-1)
    states = powers * np.uint32(seed) + sums * _C
    values: ByteArray = (states >> np.uint32(24)).astype(np.uint8)
    values.flags.writeable = False
    return values
