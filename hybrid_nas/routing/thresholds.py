"""From a target coverage to the threshold that a device compares its send score with."""

from __future__ import annotations

import sys

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.typing import BoolArray, FloatArray

NEVER_SEND = sys.float_info.max
"""The threshold for coverage 1: no score is above it (finite, as JSON has no infinity)."""


def fit_threshold(score: FloatArray, coverage: float, *, break_even: bool = False) -> float:
    """The threshold above which inputs are sent so that at least `coverage` of them are kept.

    The target is a floor: inputs tied at the quota's edge all stay. Between the last sent score and
    the first kept one the threshold lies in the middle, so that rounding on the device changes
    nothing. With `break_even` it is never below 0, where sending stops to pay.

    Raises:
        InputError: if the coverage is not in (0, 1].
    """
    check_coverage(coverage)
    n = len(score)
    quota = int(np.floor((1.0 - coverage) * n + 1e-9))
    if coverage == 1.0:
        return NEVER_SEND
    ranked = -np.sort(-score)
    first_kept = float(ranked[quota])
    threshold = first_kept if quota == 0 else float(ranked[quota - 1] + first_kept) / 2.0
    if break_even:
        threshold = max(threshold, 0.0)
    return threshold


def sent(score: FloatArray, threshold: float) -> BoolArray:
    """Which inputs go to the cloud: those whose score is above the threshold."""
    return score > threshold


def realised_coverage(score: FloatArray, threshold: float) -> float:
    """The share of inputs that stay on the device."""
    return 1.0 - float(sent(score, threshold).mean())


def check_coverage(coverage: float) -> None:
    """Refuse what is no coverage.

    Raises:
        InputError: unless 0 < `coverage` <= 1.
    """
    if not 0.0 < coverage <= 1.0:
        raise InputError(
            f"coverage {coverage:g} is out of range: it is the share of inputs kept on the device, "
            "above 0 and at most 1, such as 0.7"
        )
