"""What routers decide about inputs they have not seen: repeated cross-validation by group."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hybrid_nas.routing.evidence import Evidence
from hybrid_nas.routing.folds import group_folds
from hybrid_nas.routing.objectives import breaks_even
from hybrid_nas.routing.ranking import send_weights
from hybrid_nas.routing.rewards import Rewards, accuracy_rewards
from hybrid_nas.routing.rivals import Rivals
from hybrid_nas.routing.selection import N_FOLDS, Selection, select_router
from hybrid_nas.routing.targets import Target, check_targets, threshold_at
from hybrid_nas.routing.thresholds import fit_threshold, sent
from hybrid_nas.typing import BoolArray, FloatArray

SELECTED = "selected"
"""The method that is chosen anew in each fold, as a user would choose it."""

_LARGE = 20_000  # inputs from which three inner folds do and the penalty no longer matters
_LARGE_PENALTIES = (60.0,)


@dataclass(frozen=True, eq=False)
class TargetDecisions:
    """What the chosen method makes of a target.

    Args:
        target: what was asked for.
        decided: how likely each unseen input is sent (n,), with thresholds from the other folds.
        threshold: for further inputs, from all inputs.
    """

    target: Target
    decided: FloatArray
    threshold: float


@dataclass(frozen=True, eq=False)
class UnseenDecisions:
    """How likely each method is to send each input when it has not seen it, over the repeats.

    Args:
        decided: (coverages, n) by method, with thresholds fitted on the other folds.
        matched: (coverages, n) by method, sending exactly 1 - coverage of each fold.
        whole: the selection on all inputs, which is the one to use on further inputs.
        thresholds: of that selection, (coverages,) by method.
        targets: of the method chosen anew in each fold.
        curves: (grid, n) of the chosen method and the best confidence, sending exactly 1 - coverage
            of each fold for each coverage of the grid.
    """

    decided: Mapping[str, FloatArray]
    matched: Mapping[str, FloatArray]
    whole: Selection
    thresholds: Mapping[str, list[float]]
    targets: Sequence[TargetDecisions] = ()
    curves: Mapping[str, FloatArray] = field(default_factory=dict)


def decide_unseen(
    evidence: Evidence,
    coverages: Sequence[float],
    *,
    hidden: int,
    folds: int,
    repeats: int,
    seed: int,
    objectives: Sequence[str] | None = None,
    also: Sequence[str] = (),
    rewards: Rewards | None = None,
    rivals: Rivals | None = None,
    targets: Sequence[Target] = (),
    grid: Sequence[float] = (),
) -> UnseenDecisions:
    """Fit, choose and set thresholds on all folds but one, decide about that one; for each fold.

    A threshold is a quantile of the scores that the fitted router gives to the inputs it was fitted
    on: labels have no part in it, and scores of the router that will decide are tied where its
    decisions will be. A target's coverage, though, needs labels: it is read off out-of-fold scores.

    Raises:
        InputError: for a target that is out of reach.
    """
    if rewards is None:
        rewards = accuracy_rewards(evidence.base_correct, evidence.cloud_correct)
    large = evidence.n >= _LARGE

    def select(some: Evidence, worth: Rewards) -> Selection:
        return select_router(
            some,
            coverages,
            hidden=hidden,
            objectives=objectives,
            also=also,
            penalties=_LARGE_PENALTIES if large else None,
            n_folds=3 if large else N_FOLDS,
            rewards=worth,
            seed=seed,
        )

    whole = select(evidence, rewards)
    check_targets(targets, whole.scores[whole.choice.method], rewards)
    extra = {} if rivals is None else rivals.scores()
    tally = _Tally((*whole.scores, *extra, SELECTED), coverages, evidence.n)
    curves = _Tally(dict.fromkeys((SELECTED, whole.choice.best_confidence)), grid, evidence.n)
    decided = [np.zeros(evidence.n) for _ in targets]
    for repeat in range(repeats):
        fold_of = group_folds(
            evidence.base_correct, evidence.cloud_correct, evidence.groups, folds, seed + repeat
        )
        for fold in range(folds):
            rows = fold_of == fold
            known, worth = evidence.take(~rows), rewards.take(~rows)
            selection = select(known, worth)
            scores = _Scores(selection, evidence, {} if rivals is None else rivals.scores(~rows))
            tally.add(scores, rows)
            curves.add(scores, rows, decide=False)
            method = selection.choice.method
            known_score, score = scores(method)[~rows], scores(method)[rows]
            for index, target in enumerate(targets):
                some = target.take(~rows)
                threshold = _target_threshold(some, method, selection, known_score, worth)
                decided[index][rows] += sent(score, threshold)
    deployed = _Scores(whole, evidence, extra)
    return UnseenDecisions(
        decided={method: total / repeats for method, total in tally.decided.items()},
        matched={method: total / repeats for method, total in tally.matched.items()},
        whole=whole,
        thresholds={
            method: [deployed.threshold(method, c) for c in coverages] for method in tally.decided
        },
        targets=[
            TargetDecisions(
                target,
                total / repeats,
                _target_threshold(
                    target, whole.choice.method, whole, deployed(whole.choice.method), rewards
                ),
            )
            for target, total in zip(targets, decided, strict=True)
        ],
        curves={method: total / repeats for method, total in curves.matched.items() if len(grid)},
    )


class _Scores:
    """The send scores (n,) of all inputs by method, of what was fitted on `known` ones."""

    def __init__(
        self,
        selection: Selection,
        evidence: Evidence,
        extra: Mapping[str, FloatArray],
    ) -> None:
        self.selection, self.evidence, self.extra = selection, evidence, extra
        self.cache: dict[str, FloatArray] = {}

    def concrete(self, method: str) -> str:
        return self.selection.choice.method if method == SELECTED else method

    def __call__(self, method: str) -> FloatArray:
        method = self.concrete(method)
        if method in self.extra:
            return self.extra[method]
        if method not in self.cache:
            self.cache[method] = self.selection.score(method, self.evidence)
        return self.cache[method]

    def threshold(self, method: str, coverage: float, known: BoolArray | None = None) -> float:
        score = self(method) if known is None else self(method)[known]
        return fit_threshold(score, coverage, break_even=breaks_even(self.concrete(method)))


class _Tally:
    """Sums of decisions over repeats."""

    def __init__(self, methods: Collection[str], coverages: Sequence[float], n: int) -> None:
        self.coverages = coverages
        self.decided = {method: np.zeros((len(coverages), n)) for method in methods}
        self.matched = {method: np.zeros((len(coverages), n)) for method in methods}

    def add(self, scores: _Scores, rows: BoolArray, *, decide: bool = True) -> None:
        for method in self.decided:
            score = scores(method)[rows]
            for index, coverage in enumerate(self.coverages):
                self.matched[method][index, rows] += send_weights(score, coverage)
                if decide:
                    threshold = scores.threshold(method, coverage, ~rows)
                    self.decided[method][index, rows] += sent(score, threshold)


def _target_threshold(
    target: Target,
    method: str,
    selection: Selection,
    deployed: FloatArray,
    rewards: Rewards,
) -> float:
    """The coverage that out-of-fold scores ask for, as a threshold of the scores deployed."""
    coverage = target.coverage(selection.scores[method], rewards)
    return threshold_at(deployed, coverage, break_even=target.break_even and breaks_even(method))
