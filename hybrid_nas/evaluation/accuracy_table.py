"""Accuracies and their differences on the same inputs, with paired intervals by group."""

from __future__ import annotations

import numpy as np

from hybrid_nas.routing.bootstrap import Interval, bootstrap_means
from hybrid_nas.routing.metrics import clustered_stderr
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.ranking import input_accuracy
from hybrid_nas.typing import BoolArray, FloatArray

Key = tuple[str, float]
"""Whose accuracy: a method, and the target coverage."""


class AccuracyTable:
    """Accuracy on each input by key, and differences of them; bootstrapped together.

    Args:
        outputs: the base's, with labels and, where inputs are not independent, groups.
        cloud_correct: where the cloud is right (n,); None judges an abstaining classifier.
    """

    def __init__(self, outputs: ModelOutputs, cloud_correct: BoolArray | None) -> None:
        self.outputs, self.cloud_correct = outputs, cloud_correct
        self.values: dict[Key, FloatArray] = {}
        self.gains: dict[Key, FloatArray] = {}

    def add(self, key: Key, weights: FloatArray, less_than: FloatArray | None = None) -> FloatArray:
        """Add inputs sent with weights (n,); with `less_than` also what that is ahead by."""
        values = each_input(weights, self.outputs.correct, self.cloud_correct)
        self.values[key] = values
        if less_than is not None:
            self.gains[key] = less_than - values
        return values

    def stderr(self, key: Key) -> float:
        """Standard error by group."""
        return clustered_stderr(self.values[key], self.outputs.groups)

    def intervals(self, seed: int) -> tuple[dict[Key, Interval], dict[Key, Interval]]:
        """Accuracies and differences by key, with 95 % intervals from the same resamples."""
        columns = np.stack([*self.values.values(), *self.gains.values()], axis=1)
        found = bootstrap_means(columns, self.outputs.groups, seed=seed)
        n = len(self.values)
        return (
            dict(zip(self.values, found[:n], strict=True)),
            dict(zip(self.gains, found[n:], strict=True)),
        )


def each_input(
    weights: FloatArray, base_correct: BoolArray, cloud_correct: BoolArray | None
) -> FloatArray:
    """Values (n,) whose mean is the accuracy when inputs are sent with these weights.

    Without a cloud that is a ratio, right and kept over kept; the values are its linearisation,
    whose mean is the ratio and whose spread is the ratio's to first order.
    """
    if cloud_correct is not None:
        return input_accuracy(weights, base_correct, cloud_correct)
    kept = 1.0 - weights
    share = float(kept.mean())
    if share <= 0.0:
        return np.ones(len(weights))  # nothing is kept, so nothing is wrong
    accuracy = float((kept * base_correct).mean()) / share
    return accuracy + kept * (base_correct - accuracy) / share
