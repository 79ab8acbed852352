"""Where a pair would be run: at what a budget allows, or at what a bound on the loss needs.

A search compares pairs at one target coverage by default. Under a budget of mean latency or energy
every pair has a coverage of its own, the least that it can afford; under a bound on the loss it is
the largest that keeps the hybrid's accuracy close enough to the cloud's.
"""

from __future__ import annotations

import sys

import numpy as np

from hybrid_nas.routing.metrics import Estimate, clustered_mean
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.thresholds import NEVER_SEND, fit_threshold
from hybrid_nas.typing import BoolArray, FloatArray

ALWAYS_SEND = -sys.float_info.max
"""The threshold for coverage 0 (finite, as JSON has no infinity)."""


def budget_threshold(score: FloatArray, coverage: float, *, break_even: bool) -> float:
    """The threshold that keeps `coverage` of the inputs, which may be 0: then all are sent."""
    if coverage <= 0.0:
        return 0.0 if break_even else ALWAYS_SEND
    return fit_threshold(score, min(coverage, 1.0), break_even=break_even)


def threshold_within_loss(
    score: FloatArray,
    base_correct: BoolArray,
    cloud_correct: BoolArray,
    max_loss: float,
    reference: BoolArray | None = None,
) -> tuple[float, float]:
    """The highest threshold at which the hybrid is at most `max_loss` below the cloud alone.

    No promise: it is what these inputs need, and others may lose more. `hybrid_nas.routing`'s
    guarantees give one.

    Args:
        score: send scores, (n,); equal ones are sent together.
        base_correct, cloud_correct: where base and cloud are right, (n,).
        max_loss: a share, not points.
        reference: where the classifier is right that the loss is against, (n,), if it is not the
            cloud that the pair asks.

    Returns:
        The threshold and the coverage that it has here. Everything is sent where nothing less
        will do: that loses nothing against the cloud itself. Where another reference is out of
        reach, the loss is the least that the pair can have.
    """
    n = len(score)
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    gain = cloud_correct[order].astype(np.int64) - base_correct[order]
    wanted = cloud_correct if reference is None else reference
    missing = int(wanted.sum()) - int(base_correct.sum())
    lost = missing - np.append(0, np.cumsum(gain))  # inputs lost after sending the first k
    splits = np.append(True, np.append(ranked[1:] != ranked[:-1], True))  # no equal score on both
    bound = max(max_loss * n + 1e-9, float(lost[splits].min()))
    k = int(np.flatnonzero(splits & (lost <= bound))[0])
    if k == 0:
        return NEVER_SEND, 1.0
    if k == n:
        return ALWAYS_SEND, 0.0
    return float(ranked[k - 1] + ranked[k]) / 2.0, 1.0 - k / n


def decided_accuracy(
    sent: BoolArray, outputs: ModelOutputs, cloud_correct: BoolArray, reference: BoolArray
) -> tuple[Estimate, Estimate]:
    """Accuracy of decisions made, and the loss against the reference, paired, by group.

    The reference is where the cloud alone is right; the largest cloud, where each pair has its own.
    """
    right = np.where(sent, cloud_correct, outputs.correct)
    return _with_loss(right.astype(np.float64), outputs, reference)


def weighted_accuracy(
    weights: FloatArray, outputs: ModelOutputs, cloud_correct: BoolArray, reference: BoolArray
) -> tuple[Estimate, Estimate]:
    """The same when inputs are sent with probabilities (n,)."""
    gain = cloud_correct.astype(np.float64) - outputs.correct
    return _with_loss(outputs.correct + weights * gain, outputs, reference)


def _with_loss(
    right: FloatArray, outputs: ModelOutputs, reference: BoolArray
) -> tuple[Estimate, Estimate]:
    loss = reference.astype(np.float64) - right
    return clustered_mean(right, outputs.groups), clustered_mean(loss, outputs.groups)
