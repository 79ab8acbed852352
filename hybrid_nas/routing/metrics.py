"""Figures of a hybrid whose decisions are made: accuracies and their standard errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybrid_nas.typing import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Estimate:
    """A mean and its standard error."""

    value: float
    stderr: float


def pair_accuracy(
    base_correct: BoolArray,
    cloud_correct: BoolArray | None,
    sent: BoolArray,
    groups: IntArray | None = None,
) -> Estimate:
    """mean(kept and base right) + mean(sent and cloud right); `kept_accuracy` without a cloud."""
    if cloud_correct is None:
        return kept_accuracy(base_correct, sent, groups)
    right = np.where(sent, cloud_correct, base_correct)
    return clustered_mean(right.astype(np.float64), groups)


def kept_accuracy(
    base_correct: BoolArray, sent: BoolArray, groups: IntArray | None = None
) -> Estimate:
    """Accuracy on the kept inputs alone, as an abstaining classifier is judged.

    Where nothing is kept there is nothing to be wrong about: 1, with no error.
    """
    kept = ~sent
    share = float(kept.mean())
    if share == 0.0:
        return Estimate(1.0, 0.0)
    accuracy = float(base_correct[kept].mean())
    # The numerator of a ratio, made free of its mean: its error is the ratio's, to first order.
    deviation = kept * (base_correct - accuracy) / share
    return Estimate(accuracy, clustered_stderr(deviation, groups))


def clustered_mean(values: FloatArray, groups: IntArray | None = None) -> Estimate:
    """The mean of values (n,) and its standard error, by group."""
    return Estimate(float(values.mean()), clustered_stderr(values, groups))


def clustered_stderr(values: FloatArray, groups: IntArray | None = None) -> float:
    """Standard error of the mean of values (n,) when inputs of one group are not independent.

    sqrt(G / (G - 1) * sum over groups of (sum of deviations in the group)^2) / n, for G groups;
    with a group for each input (`groups` None) the usual standard error. NaN for a single group.
    """
    deviations = values - values.mean()
    if groups is not None:
        numbers = np.unique(groups, return_inverse=True)[1]
        deviations = np.bincount(numbers, weights=deviations)
    n_groups = len(deviations)
    if n_groups < 2:
        return float("nan")
    return float(np.sqrt(n_groups / (n_groups - 1) * (deviations**2).sum()) / len(values))
