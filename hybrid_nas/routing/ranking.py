"""The accuracy of a hybrid for any ranking of its inputs, at any coverage.

Everywhere `base_correct` and `cloud_correct` (n,) say where base and cloud are right, and `score`
(n,) is a send score: the higher, the sooner an input goes to the cloud. Inputs of equal score are
sent in random order, and figures are expectations over it: no ranking gains or loses by the order
of a file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybrid_nas.typing import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Curve:
    """Accuracy over coverage, `coverage` ascending; between the points it is linear."""

    coverage: FloatArray
    accuracy: FloatArray

    def at(self, coverage: float) -> float:
        """Accuracy at a coverage."""
        return float(np.interp(coverage, self.coverage, self.accuracy))

    @property
    def area(self) -> float:
        """Area under the curve: the mean accuracy over the range of coverages it spans."""
        width = float(self.coverage[-1] - self.coverage[0])
        return float(np.trapezoid(self.accuracy, self.coverage)) / width


def accuracy_curve(score: FloatArray, base_correct: BoolArray, cloud_correct: BoolArray) -> Curve:
    """Hybrid accuracy over coverage, exact: a point for each distinct score.

    It runs from the cloud's accuracy at coverage 0 to the base's at coverage 1.
    """
    n = len(score)
    order = np.argsort(-score, kind="stable")
    gain = cloud_correct[order].astype(np.float64) - base_correct[order]
    sent = np.append(0, run_ends(score[order]))
    gained = np.append(0.0, np.cumsum(gain))[sent]
    accuracy = (base_correct.sum() + gained) / n
    return Curve(coverage=1.0 - sent[::-1] / n, accuracy=accuracy[::-1])


def abstaining_curve(score: FloatArray, base_correct: BoolArray) -> Curve:
    """Accuracy of the base on what it keeps, over coverage from 1/n to 1, one point per input."""
    n = len(score)
    order = np.argsort(score, kind="stable")
    kept = np.append(0, run_ends(score[order]))
    right = np.append(0.0, np.cumsum(base_correct[order]))[kept]
    counts = np.arange(1, n + 1)
    return Curve(coverage=counts / n, accuracy=np.interp(counts, kept, right) / counts)


def pair_curve(
    score: FloatArray, base_correct: BoolArray, cloud_correct: BoolArray | None
) -> Curve:
    """Accuracy over coverage of a send score; on kept inputs only where there is no cloud."""
    if cloud_correct is None:
        return abstaining_curve(score, base_correct)
    return accuracy_curve(score, base_correct, cloud_correct)


def send_weights(score: FloatArray, coverage: float) -> FloatArray:
    """The probability (n,) with which each input is sent when exactly 1 - `coverage` are.

    1 above the score where the quota ends, 0 below, and the same share for all inputs of that
    score.
    """
    n = len(score)
    quota = (1.0 - coverage) * n
    last = int(np.ceil(quota - 1e-9))
    if last <= 0:
        return np.zeros(n)
    boundary = np.partition(score, n - last)[n - last]
    above, tied = score > boundary, score == boundary
    weights: FloatArray = above + tied * ((quota - float(above.sum())) / float(tied.sum()))
    return weights


def input_accuracy(
    weights: FloatArray, base_correct: BoolArray, cloud_correct: BoolArray
) -> FloatArray:
    """The expected accuracy of the hybrid on each input (n,) when it is sent with these weights."""
    return base_correct + weights * (cloud_correct.astype(np.float64) - base_correct)


def oracle_accuracy(base_correct: BoolArray, cloud_correct: BoolArray, coverage: float) -> float:
    """The most that any router can reach at this coverage or above.

    It sends inputs that only the cloud gets right, as far as the quota goes, and no others.
    """
    only_cloud = float((cloud_correct & ~base_correct).mean())
    return float(base_correct.mean()) + min(1.0 - coverage, only_cloud)


def run_ends(ranked: FloatArray) -> IntArray:
    """Where runs of equal values end in a sorted array, as counts from the start."""
    changes = np.nonzero(np.diff(ranked))[0] + 1
    return np.append(changes, len(ranked))
