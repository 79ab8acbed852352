"""Choosing how to rank: which objective, and whether a router beats the best plain confidence.

On a thousand inputs the methods differ by less than the noise, and the best of many is
optimistic. So there is an order of preference and evidence must speak against it: another
confidence replaces MSP, another objective the preferred one, and a router the best confidence,
only where it is better by `min_z` standard errors of the paired difference, by group, on
out-of-fold scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hybrid_nas.routing.crossfit import LINEAR_PENALTIES, MLP_PENALTIES, CrossFit, cross_fit
from hybrid_nas.routing.evidence import Evidence
from hybrid_nas.routing.folds import group_folds
from hybrid_nas.routing.metrics import Estimate, clustered_mean
from hybrid_nas.routing.objectives import (
    CoveragePenalty,
    automatic_objectives,
    head_targets,
    heads_of,
)
from hybrid_nas.routing.ranking import send_weights
from hybrid_nas.routing.rewards import (
    Rewards,
    accuracy_rewards,
    reward_penalties,
)
from hybrid_nas.typing import FloatArray

N_FOLDS = 5
MIN_Z = 1.0
"""Standard errors by which a method must be better to replace the one preferred so far."""


@dataclass(frozen=True, eq=False)
class Choice:
    """The method chosen, and what it was chosen from.

    Args:
        method: an objective or a plain confidence.
        best_confidence: MSP, or the plain confidence that was clearly better.
        accuracy: mean hybrid accuracy, or utility, over the target coverages, by method.
        gain: of the preferred router over the best confidence; None without routers.
        router: the preferred router, chosen or not; None without routers.
    """

    method: str
    best_confidence: str
    accuracy: Mapping[str, float]
    gain: Estimate | None
    router: str | None = None


@dataclass(frozen=True, eq=False)
class Selection:
    """Fitted routers, their out-of-fold scores on the fitting inputs, and the choice among them.

    `scores` holds every method's send score (n,) on the fitting inputs; `fitted` is None when no
    objective was asked for.
    """

    choice: Choice
    scores: Mapping[str, FloatArray]
    fitted: CrossFit | None

    def score(self, method: str, evidence: Evidence) -> FloatArray:
        """The send score (n,) of a method on other inputs."""
        if method in evidence.confidences:
            return evidence.confidences[method]
        assert self.fitted is not None  # a method that is no confidence was fitted
        return self.fitted.score(method, evidence.signals)


def select_router(
    evidence: Evidence,
    coverages: Sequence[float],
    *,
    hidden: int = 0,
    objectives: Sequence[str] | None = None,
    penalties: Sequence[float] | None = None,
    n_folds: int = N_FOLDS,
    min_z: float = MIN_Z,
    rewards: Rewards | None = None,
    also: Sequence[str] = (),
    seed: int = 0,
) -> Selection:
    """Fit a router by each of `objectives` (the preferred one first) and choose how to rank.

    By default the objectives are `automatic_objectives`. Folds keep groups together. With no
    objectives, or without signals, the choice is among plain confidences. A coverage penalty is
    for the highest of the coverages. `rewards` are what answers are worth; None counts right ones.
    Objectives in `also` are fitted and scored, and not chosen.

    Raises:
        InputError: if there are fewer groups than folds, or the soft gain is asked for and the
            evidence has none.
    """
    if objectives is None:
        objectives = automatic_objectives(soft_gain=evidence.soft_gain is not None)
    if rewards is None:
        rewards = accuracy_rewards(evidence.base_correct, evidence.cloud_correct)
    scores = dict(evidence.confidences)
    fitted = None
    objectives, also = _available(objectives, rewards), _available(also, rewards)
    if evidence.signals.shape[1] == 0:
        objectives = also = ()
    if objectives:
        folds = group_folds(
            evidence.base_correct,
            evidence.cloud_correct,
            evidence.groups,
            min(n_folds, max(2, evidence.n_groups)),
            seed,
        )
        if not rewards.is_accuracy:
            tried = MLP_PENALTIES if hidden else LINEAR_PENALTIES
            penalties = reward_penalties(penalties or tried, rewards)
        fit = tuple(dict.fromkeys((*objectives, *also)))
        targets = head_targets(
            heads_of(fit),
            *rewards.scaled(),
            soft_gain=evidence.soft_gain,
            penalty=CoveragePenalty(max(coverages)),
        )
        fitted = cross_fit(
            evidence.signals,
            evidence.widths,
            targets,
            folds,
            hidden=hidden,
            penalties=penalties,
            seed=seed,
        )
        scores |= {name: fitted.out_of_fold_score(name) for name in fit}
    choice = choose_method(evidence, scores, objectives, coverages, min_z, rewards)
    return Selection(choice, scores, fitted)


def choose_method(
    evidence: Evidence,
    scores: Mapping[str, FloatArray],
    objectives: Sequence[str],
    coverages: Sequence[float],
    min_z: float = MIN_Z,
    rewards: Rewards | None = None,
) -> Choice:
    """Choose among `scores` by the hybrid's accuracy at exactly these coverages.

    `objectives` and the evidence's confidences are in order of preference. With `rewards`, their
    mean takes the place of accuracy.
    """
    if rewards is None:
        rewards = accuracy_rewards(evidence.base_correct, evidence.cloud_correct)
    worth = {name: _mean_worth(rewards, score, coverages) for name, score in scores.items()}
    accuracy = {name: float(values.mean()) for name, values in worth.items()}

    def gain_over(name: str, other: str) -> Estimate:
        return clustered_mean(rewards.deviations(worth[name] - worth[other]), evidence.groups)

    def prefer(names: Sequence[str]) -> str:
        """The first of `names`, or the best of them if it is clearly better."""
        best = max(names, key=lambda name: accuracy[name])
        return best if _is_better(gain_over(best, names[0]), min_z) else names[0]

    confidence = prefer(tuple(evidence.confidences))
    if not objectives:
        return Choice(confidence, confidence, accuracy, None)
    router = prefer(tuple(objectives))
    gain = gain_over(router, confidence)
    method = router if _is_better(gain, min_z) else confidence
    return Choice(method, confidence, accuracy, gain, router)


def _is_better(difference: Estimate, min_z: float) -> bool:
    return difference.value > 0.0 and difference.value >= min_z * difference.stderr


def _mean_worth(rewards: Rewards, score: FloatArray, coverages: Sequence[float]) -> FloatArray:
    return rewards.of(np.mean([send_weights(score, coverage) for coverage in coverages], axis=0))


def _available(objectives: Sequence[str], rewards: Rewards) -> tuple[str, ...]:
    """Those that can be fitted to the rewards; the soft gain is one in accuracy alone."""
    return tuple(name for name in objectives if rewards.is_accuracy or name != "soft-gain")
