"""Checks of the arrays a user's outputs consist of; each message starts with the array's name.

`what` is that name, with the file it came from: ``base.npz: logits``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hybrid_nas.errors import InputError
from hybrid_nas.typing import BoolArray, IntArray

RealArray = npt.NDArray[np.floating[Any]]
AnyArray = npt.NDArray[Any]

LARGEST = 1e30
"""Larger numbers are refused: their spread, or the product of two, may be beyond float64."""

ROW_SUM_TOLERANCE = 0.05
"""How far a row of probabilities may sum from 1: an 8-bit softmax leaves 0.99 or 1.01."""

_CONFIDENCE_SLACK = 1e-3


def real_array(given: object, ndim: int, what: str) -> RealArray:
    """`given` as float32 or float64 numbers within `LARGEST`, with `ndim` axes, none empty."""
    array: AnyArray = np.asarray(given)
    if array.dtype.kind not in "fiu":
        raise InputError(f"{what} is {array.dtype}: expected floating-point numbers")
    if array.ndim != ndim or 0 in array.shape:
        expected = "(n, columns)" if ndim == 2 else "(n,)"
        raise InputError(f"{what} has shape {array.shape}: expected {expected}, not empty")
    wide = array.dtype.itemsize > 4
    array = array.astype(np.float64 if wide else np.float32, copy=False)
    rows = array.reshape(len(array), -1)
    unknown: BoolArray = np.any(~np.isfinite(rows), axis=1)
    _refuse_rows(unknown, what, "NaN or infinity")
    huge: BoolArray = np.any(np.abs(rows) > LARGEST, axis=1)
    _refuse_rows(huge, what, f"numbers beyond {LARGEST:g}")
    return array


def _refuse_rows(bad: BoolArray, what: str, why: str) -> None:
    if bad.any():
        ruled_out = "; -1e9 can stand for minus infinity" if what.endswith("logits") else ""
        raise InputError(
            f"{what} has {why} in row {_first(bad)} ({int(bad.sum())} rows in all): drop or mend "
            f"those inputs{ruled_out}"
        )


def class_indices(given: object, what: str) -> IntArray:
    """`given` as class indices (n,), 0 or more."""
    array: AnyArray = np.asarray(given)
    if array.dtype.kind not in "iu":
        raise InputError(f"{what} is {array.dtype}: expected integers, the index of a class")
    if array.ndim != 1 or len(array) == 0:
        raise InputError(f"{what} has shape {array.shape}: expected (n,), not empty")
    if int(array.min()) < 0:
        raise InputError(f"{what} has {int(array.min())}: expected class indices, 0 or more")
    return array.astype(np.int64)


def group_numbers(given: object, what: str) -> IntArray:
    """Integers or strings (n,) as numbers 0, 1, ... of the groups they name."""
    array: AnyArray = np.asarray(given)
    if array.ndim != 1 or array.dtype.kind not in "iuSU":
        raise InputError(
            f"{what} is {array.dtype} of shape {array.shape}: expected (n,) integers or strings"
        )
    return np.unique(array, return_inverse=True)[1].astype(np.int64)


def check_probabilities(probabilities: RealArray, what: str) -> None:
    """Refuse what is negative or does not sum to about 1 in each row."""
    negative: BoolArray = probabilities.min(axis=1) < 0
    if negative.any():
        raise InputError(
            f"{what} is negative in row {_first(negative)}: expected probabilities; save logits as "
            "`logits`"
        )
    sums = probabilities.sum(axis=1)
    row = int(np.abs(sums - 1.0).argmax())
    if abs(float(sums[row]) - 1.0) > ROW_SUM_TOLERANCE:
        raise InputError(
            f"{what} sums to {sums[row]:.3g} in row {row}: expected 1; save logits as `logits`"
        )


def check_confidence(confidence: RealArray, what: str) -> None:
    """Refuse confidences outside 0 .. 1."""
    low, high = float(confidence.min()), float(confidence.max())
    if low < 0.0 or high > 1.0 + _CONFIDENCE_SLACK:
        raise InputError(
            f"{what} ranges over {low:g} .. {high:g}: expected the probability of the predicted "
            "class, in 0 .. 1"
        )


def check_predictions(predicted: IntArray, scores: RealArray, what: str) -> None:
    """Refuse predictions that are not a class of highest score (ties are free to choose)."""
    inside = predicted < scores.shape[1]
    at_prediction = scores[np.arange(len(scores)), np.where(inside, predicted, 0)]
    wrong = ~inside | (at_prediction < scores.max(axis=1))
    if wrong.any():
        row = _first(wrong)
        raise InputError(
            f"{what} is {predicted[row]} in row {row}, where the scores are highest for class "
            f"{int(scores[row].argmax())}: leave pred out, or save what belongs together"
        )


def check_below(classes: IntArray, n_classes: int, what: str) -> None:
    """Refuse class indices of `n_classes` and above."""
    if int(classes.max()) >= n_classes:
        raise InputError(
            f"{what} go up to class {int(classes.max())}: expected 0 .. {n_classes - 1}, as the "
            f"scores have {n_classes} columns"
        )


def _first(rows: BoolArray) -> int:
    return int(rows.argmax())
