"""Plain confidences as send scores: the higher, the sooner an input goes to the cloud.

All are in a form that does not saturate: 1 - p of the predicted class is summed from the other
classes, so a network that is nearly sure still ranks its inputs.

With a `confidence` p of the predicted class alone, the rest 1 - p is taken as spread evenly over
the other c - 1 classes. Entropy and margin then rank inputs as MSP does (with ties where p < 1/c,
which no such spread allows).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.routing.checks import RealArray
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.typing import FloatArray

CONFIDENCES = ("msp", "entropy", "margin", "max-logit")
"""Names of the plain confidences; `max-logit` needs logits."""

_CHUNK_VALUES = 4_000_000  # of a block's scores in float64: 32 MB


def available_confidences(outputs: ModelOutputs) -> tuple[str, ...]:
    """Those of `CONFIDENCES` that can be computed; none from predictions alone."""
    if outputs.logits is not None:
        return CONFIDENCES
    if outputs.scores is not None or outputs.confidence is not None:
        return CONFIDENCES[:3]
    return ()


def confidence_score(outputs: ModelOutputs, name: str) -> FloatArray:
    """The send score (n,) of a plain confidence.

    `msp` is 1 - p1, `margin` 1 - (p1 - p2), `entropy` in nats, `max-logit` the negative logit;
    p1 >= p2 are the two largest class probabilities.

    Raises:
        InputError: if `outputs` lack what the confidence is computed from.
    """
    if name not in CONFIDENCES:
        raise InputError(f"{name!r} is no confidence: expected one of {', '.join(CONFIDENCES)}")
    if name not in available_confidences(outputs):
        needed = "logits" if name == "max-logit" else "logits, probs or confidence"
        raise InputError(f"{outputs.source}: {name} needs {needed}: add them to the outputs")
    if name == "max-logit":
        assert outputs.logits is not None  # or it would not be available
        highest: FloatArray = outputs.logits.max(axis=1).astype(np.float64)
        return -highest
    from_probabilities = _FROM_PROBABILITIES[name]
    if outputs.scores is not None:
        return np.concatenate([from_probabilities(block) for block in _sorted_blocks(outputs)])
    assert outputs.confidence is not None
    return _from_confidence(outputs.confidence, name, outputs.n_classes)


def _sorted_blocks(outputs: ModelOutputs) -> Iterator[FloatArray]:
    """Class probabilities of a block of inputs at a time, each row descending."""
    scores = outputs.scores
    assert scores is not None
    rows = max(1, _CHUNK_VALUES // scores.shape[1])
    for start in range(0, len(scores), rows):
        block: FloatArray = -np.sort(-scores[start : start + rows].astype(np.float64), axis=1)
        if outputs.logits is not None:
            block = np.exp(block - block[:, :1])
        yield block / block.sum(axis=1, keepdims=True)


def _msp(ranked: FloatArray) -> FloatArray:
    total: FloatArray = ranked[:, 1:].sum(axis=1)
    return total


def _margin(ranked: FloatArray) -> FloatArray:
    return _msp(ranked) + ranked[:, 1]


def _entropy(ranked: FloatArray) -> FloatArray:
    logs = np.log(ranked, out=np.zeros_like(ranked), where=ranked > 0)
    # The largest class by log1p of the rest: its own log would round to 0 near certainty.
    rest = _msp(ranked)
    first = -ranked[:, 0] * np.log1p(-rest)
    others: FloatArray = -(ranked[:, 1:] * logs[:, 1:]).sum(axis=1)
    return first + others


_FROM_PROBABILITIES: dict[str, Callable[[FloatArray], FloatArray]] = {
    "msp": _msp,
    "margin": _margin,
    "entropy": _entropy,
}


def _from_confidence(confidence: RealArray, name: str, n_classes: int) -> FloatArray:
    rest = 1.0 - np.minimum(confidence.astype(np.float64), 1.0)
    if name == "msp":
        return rest
    rest = np.minimum(rest, 1.0 - 1.0 / n_classes)
    each = rest / (n_classes - 1)
    if name == "margin":
        return rest + each
    logs = np.log(each, out=np.zeros_like(each), where=each > 0)
    return -(1.0 - rest) * np.log1p(-rest) - rest * logs
