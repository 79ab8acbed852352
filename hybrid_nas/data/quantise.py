"""Bringing features of any range to the uint8 that images are stored as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hybrid_nas.errors import InputError
from hybrid_nas.typing import ByteArray

_BLOCK = 1024


@dataclass(frozen=True)
class ByteScale:
    """A linear map of ``low .. high`` to ``0 .. 255``."""

    low: float
    high: float

    @classmethod
    def of_training_values(cls, values: npt.NDArray[Any], where: str) -> ByteScale:
        """The map for a training set: the identity if all values are integers in 0 .. 255.

        Raises:
            InputError: if a value is not finite, all are equal, or their range is no float64.
        """
        low, high = float(values.min()), float(values.max())
        if not np.isfinite(low) or not np.isfinite(high):
            raise InputError(f"{where} have values that are not finite: replace NaN and infinity")
        if values.dtype.kind in "ui" and low >= 0 and high <= 255:
            return cls(0.0, 255.0)
        if low == high:
            raise InputError(f"{where} all have the one value {low:g}: there is nothing to learn")
        if not 0 < (high - low) / 255 < np.inf:
            raise InputError(
                f"{where} lie in {low:g} .. {high:g}, which 255 steps of a float64 cannot divide: "
                "scale them"
            )
        return cls(low, high)

    def notes(self, dtype: np.dtype[Any]) -> list[str]:
        """What the user should know about it."""
        if (self.low, self.high) == (0.0, 255.0):
            return []
        return [
            f"{dtype} values are stored as uint8: 0 .. 255 stands for {self.low:g} .. "
            f"{self.high:g}, the range of the training values; others are clipped"
        ]


def store_as_bytes(values: npt.NDArray[Any], scale: ByteScale, where: str) -> ByteArray:
    """`values` by `scale`, rounded to the nearest step and clipped.

    Raises:
        InputError: if a value is not finite.
    """
    if values.dtype == np.uint8 and (scale.low, scale.high) == (0.0, 255.0):
        return values
    stored = np.empty(values.shape, np.uint8)
    step = (scale.high - scale.low) / 255
    for start in range(0, len(values), _BLOCK):
        block = values[start : start + _BLOCK].astype(np.float64)
        if not np.isfinite(block).all():
            raise InputError(f"{where} have values that are not finite: replace NaN and infinity")
        stored[start : start + _BLOCK] = np.clip((block - scale.low) / step, 0, 255) + 0.5
    return stored
