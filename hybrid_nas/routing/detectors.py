"""A classifier as a detector of one class: its score for it, and alarms at a false-alarm rate."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from hybrid_nas.errors import InputError
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.typing import BoolArray, FloatArray, IntArray


def detector_score(outputs: ModelOutputs, wanted: int) -> FloatArray | None:
    """How much (n,) speaks for a class: log-odds or probability; None for predictions alone."""
    if wanted >= outputs.n_classes and outputs.scores is not None:
        raise InputError(
            f"{outputs.source} has {outputs.n_classes} classes, and class {wanted} is asked for"
        )
    if outputs.logits is not None:
        z = outputs.logits.astype(np.float64)
        others = np.delete(z, wanted, axis=1)
        log_odds: FloatArray = z[:, wanted] - logsumexp(others, axis=1)
        return log_odds
    if outputs.probs is not None:
        return outputs.probs[:, wanted].astype(np.float64)
    if outputs.confidence is None:
        return None
    sure = outputs.confidence.astype(np.float64)
    others = (1.0 - sure) / max(1, outputs.n_classes - 1)
    return np.where(outputs.pred == wanted, sure, others)


def alarm_threshold(negatives: FloatArray, false_alarm_rate: float) -> float:
    """The lowest threshold with at most this share of the negatives' scores above it."""
    ranked = -np.sort(-negatives)
    allowed = int(np.floor(false_alarm_rate * len(ranked) + 1e-9))
    return float(ranked[min(allowed, len(ranked) - 1)])


def roc_slope(score: FloatArray, positive: BoolArray, false_alarm_rate: float) -> float:
    """The slope of recall over false-alarm rate, from half of that rate to twice it (at most 1)."""
    rates, recalls = [], []
    for rate in (false_alarm_rate / 2.0, min(1.0, 2.0 * false_alarm_rate)):
        threshold = alarm_threshold(score[~positive], rate)
        rates.append(float((score[~positive] > threshold).mean()))
        recalls.append(float((score[positive] > threshold).mean()))
    width = rates[1] - rates[0]
    if width <= 0.0:  # ties: the curve has no point between the two
        return recalls[1] / false_alarm_rate
    return (recalls[1] - recalls[0]) / width


def unseen_alarms(
    score: FloatArray, positive: BoolArray, folds: IntArray, false_alarm_rate: float
) -> BoolArray:
    """Alarms (n,), each by the threshold of the other folds; `folds` (n,) numbers them."""
    alarms = np.zeros(len(score), dtype=np.bool_)
    for fold in range(int(folds.max()) + 1):
        rows = folds == fold
        threshold = alarm_threshold(score[~rows & ~positive], false_alarm_rate)
        alarms[rows] = score[rows] > threshold
    return alarms
