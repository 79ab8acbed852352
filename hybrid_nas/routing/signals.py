"""What a router reads: numbers that the device has anyway once the base has answered.

Signals come in blocks. `stats` are a few summaries of the scores, `class` is the predicted class
(one column per class), `logits` are the scores themselves, `features` the pooled features.
`stage1` and `stage2` are pooled features of earlier stages, there before the base has answered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.routing.checks import RealArray
from hybrid_nas.routing.confidence import confidence_score
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.typing import FloatArray

Block = Literal["stats", "class", "logits", "features", "stage1", "stage2"]

LOG_ODDS_BOUND = 12.0
"""Log-odds beyond this (p = 1 - 6e-6) are all the same to a router: they would be outliers."""
PROBABILITY_FLOOR = 1e-4
"""Probabilities below this enter the `logits` block as this, in place of logits."""
_TINY = np.exp(-2 * LOG_ODDS_BOUND)


def count_signals(blocks: Sequence[Block], n_classes: int, n_features: int) -> int:
    """Columns of `signal_matrix` for a base that gives logits.

    `n_features` are the pooled features that are read, be it the last ones or a stage's.
    """
    sizes: dict[Block, int] = {
        "stats": 8 + (n_classes > 2),
        "class": n_classes,
        "logits": n_classes,
        "features": n_features,
        "stage1": n_features,
        "stage2": n_features,
    }
    return sum(sizes[block] for block in blocks)


def signal_blocks(
    outputs: ModelOutputs, blocks: Sequence[Block], n_classes: int
) -> list[FloatArray]:
    """The signals of each input, one array (n, width) per block.

    The blocks `stats` and `logits` have what the outputs allow: without scores, `stats` are two
    columns computed from the confidence and `logits` none.

    Raises:
        InputError: if features are asked for and there are none, or nothing can be read at all.
    """
    return [_BLOCKS[block](outputs, n_classes) for block in blocks]


def signal_matrix(outputs: ModelOutputs, blocks: Sequence[Block], n_classes: int) -> FloatArray:
    """`signal_blocks` side by side (n, d)."""
    columns = signal_blocks(outputs, blocks, n_classes)
    return np.concatenate([np.empty((outputs.n, 0)), *columns], axis=1)


def _log_odds(msp: FloatArray) -> FloatArray:
    """log p1 / (1 - p1) of the predicted class from 1 - p1, bounded by `LOG_ODDS_BOUND`."""
    odds = np.maximum(1.0 - msp, _TINY) / np.maximum(msp, _TINY)
    bounded: FloatArray = np.clip(np.log(odds), -LOG_ODDS_BOUND, LOG_ODDS_BOUND)
    return bounded


def _stats(outputs: ModelOutputs, n_classes: int) -> FloatArray:
    msp = confidence_score(outputs, "msp")
    certainty = _log_odds(msp)
    if outputs.scores is None:
        return np.stack([certainty, 1.0 - msp], axis=1)
    probs = outputs.probs
    assert probs is not None  # there are scores
    top = _largest(probs, min(3, n_classes))
    ratio = np.log(np.maximum(top[:, 0], _TINY) / np.maximum(top[:, 1], _TINY))
    columns = [certainty, confidence_score(outputs, "entropy"), *top.T]
    columns.append(np.minimum(ratio, LOG_ODDS_BOUND))
    if outputs.logits is not None:
        logits = outputs.logits.astype(np.float64)
        highest = logits.max(axis=1)
        log_sum = highest + np.log1p(msp / np.maximum(1.0 - msp, _TINY))
        columns += [highest, log_sum, logits.std(axis=1)]
    return np.stack(columns, axis=1)


def _class(outputs: ModelOutputs, n_classes: int) -> FloatArray:
    # A class that was not there when the router was fitted has no column: all zeros.
    one_hot: FloatArray = (outputs.pred[:, None] == np.arange(n_classes)).astype(np.float64)
    return one_hot


def _logits(outputs: ModelOutputs, n_classes: int) -> FloatArray:
    if outputs.logits is not None:
        return outputs.logits.astype(np.float64)
    if outputs.probs is not None:
        return np.log(np.maximum(outputs.probs.astype(np.float64), PROBABILITY_FLOOR))
    return np.empty((outputs.n, 0))


def _features(outputs: ModelOutputs, n_classes: int) -> FloatArray:
    if outputs.features is None:
        raise InputError(
            f"{outputs.source}: this router reads features and there are none: add `features`, or "
            "choose a router that reads logits only"
        )
    return outputs.features.astype(np.float64)


def _stage(number: int, outputs: ModelOutputs, n_classes: int) -> FloatArray:
    if len(outputs.stage_features) < number:
        raise InputError(
            f"{outputs.source}: this router reads features of stage {number} and there are those "
            f"of {len(outputs.stage_features)} stages: choose a router that reads something else"
        )
    return outputs.stage_features[number - 1].astype(np.float64)


_BLOCKS: dict[Block, Callable[[ModelOutputs, int], FloatArray]] = {
    "stats": _stats,
    "class": _class,
    "logits": _logits,
    "features": _features,
    "stage1": partial(_stage, 1),
    "stage2": partial(_stage, 2),
}


def _largest(scores: RealArray, count: int) -> FloatArray:
    """The `count` largest of each row, descending."""
    last = scores.shape[1] - count
    part = np.partition(scores, range(last, scores.shape[1]), axis=1)[:, last:]
    return part[:, ::-1].astype(np.float64)
