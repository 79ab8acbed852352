"""What routers decide about inputs they have not seen: repeated cross-validation by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hybrid_nas.routing.evidence import Evidence
from hybrid_nas.routing.folds import group_folds
from hybrid_nas.routing.objectives import OBJECTIVES
from hybrid_nas.routing.ranking import send_weights
from hybrid_nas.routing.selection import Selection, select_router
from hybrid_nas.routing.thresholds import fit_threshold, sent
from hybrid_nas.typing import BoolArray, FloatArray

SELECTED = "selected"
"""The method that is chosen anew in each fold, as a user would choose it."""

_LARGE = 20_000  # inputs from which three inner folds do and the penalty no longer matters
_LARGE_PENALTIES = (60.0,)


@dataclass(frozen=True, eq=False)
class UnseenDecisions:
    """How likely each method is to send each input when it has not seen it, over the repeats.

    Args:
        decided: (coverages, n) by method, with thresholds fitted on the other folds.
        matched: (coverages, n) by method, sending exactly 1 - coverage of each fold.
        whole: the selection on all inputs, which is the one to use on further inputs.
        thresholds: of that selection, (coverages,) by method.
    """

    decided: Mapping[str, FloatArray]
    matched: Mapping[str, FloatArray]
    whole: Selection
    thresholds: Mapping[str, list[float]]


def decide_unseen(
    evidence: Evidence,
    coverages: Sequence[float],
    *,
    hidden: int,
    folds: int,
    repeats: int,
    seed: int,
) -> UnseenDecisions:
    """Fit, choose and set thresholds on all folds but one, decide about that one; for each fold.

    A threshold is a quantile of the scores that the fitted router gives to the inputs it was fitted
    on: labels have no part in it, and scores of the router that will decide are tied where its
    decisions will be.
    """
    large = evidence.n >= _LARGE

    def select(some: Evidence) -> Selection:
        return select_router(
            some,
            coverages,
            hidden=hidden,
            penalties=_LARGE_PENALTIES if large else None,
            n_folds=3 if large else 5,
            seed=seed,
        )

    whole = select(evidence)
    tally = _Tally((*whole.scores, SELECTED), coverages, evidence.n)
    for repeat in range(repeats):
        fold_of = group_folds(
            evidence.base_correct, evidence.cloud_correct, evidence.groups, folds, seed + repeat
        )
        for fold in range(folds):
            held_out = fold_of == fold
            known = evidence.take(~held_out)
            tally.add(select(known), known, evidence.take(held_out), held_out)
    return UnseenDecisions(
        decided={method: total / repeats for method, total in tally.decided.items()},
        matched={method: total / repeats for method, total in tally.matched.items()},
        whole=whole,
        thresholds={
            method: [_threshold(whole, method, evidence, c) for c in coverages]
            for method in tally.decided
        },
    )


class _Tally:
    """Sums of decisions over repeats."""

    def __init__(self, methods: Sequence[str], coverages: Sequence[float], n: int) -> None:
        self.coverages = coverages
        self.decided = {method: np.zeros((len(coverages), n)) for method in methods}
        self.matched = {method: np.zeros((len(coverages), n)) for method in methods}

    def add(self, selection: Selection, known: Evidence, unseen: Evidence, rows: BoolArray) -> None:
        for method in self.decided:
            score = selection.score(_concrete(selection, method), unseen)
            for index, coverage in enumerate(self.coverages):
                threshold = _threshold(selection, method, known, coverage)
                self.decided[method][index, rows] += sent(score, threshold)
                self.matched[method][index, rows] += send_weights(score, coverage)


def _concrete(selection: Selection, method: str) -> str:
    return selection.choice.method if method == SELECTED else method


def _threshold(selection: Selection, method: str, known: Evidence, coverage: float) -> float:
    method = _concrete(selection, method)
    break_even = method in OBJECTIVES and OBJECTIVES[method].break_even
    return fit_threshold(selection.score(method, known), coverage, break_even=break_even)
