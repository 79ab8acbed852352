"""Fitting and judging the router of one base: what a search does for every candidate.

The four splits are the caller's: `fit` (out-of-fold scores are made inside of it), `threshold`,
`score` and `test`. Nothing here looks at more than the split it is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hybrid_nas.routing.bootstrap import RESAMPLES, Interval, bootstrap_means
from hybrid_nas.routing.confidence import available_confidences, confidence_score
from hybrid_nas.routing.designs import RouterDesign
from hybrid_nas.routing.evidence import gather_evidence
from hybrid_nas.routing.fitted import FittedRouter
from hybrid_nas.routing.metrics import Estimate, clustered_mean, kept_accuracy, pair_accuracy
from hybrid_nas.routing.objectives import OBJECTIVES, WITHOUT_CLOUD
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.ranking import (
    input_accuracy,
    oracle_accuracy,
    pair_curve,
    send_weights,
)
from hybrid_nas.routing.selection import select_router
from hybrid_nas.routing.thresholds import check_coverage, sent
from hybrid_nas.typing import BoolArray, FloatArray

AUTO = "auto"
"""Choose among all objectives and the plain confidences, rather than fit the one that is named."""


@dataclass(frozen=True)
class CoverageScore:
    """A hybrid at one target coverage: accuracy, its standard error, and the realised coverage."""

    accuracy: float
    stderr: float
    coverage: float


@dataclass(frozen=True)
class PairScore:
    """A base-router pair on one split.

    Args:
        base: accuracy of the base alone.
        cloud: accuracy of the cloud alone; None for an abstaining classifier, whose accuracies are
            all on the kept inputs.
        at: by target coverage.
        area: area under the accuracy-coverage curve.
        baselines: accuracy of `entropy`, `msp`, `margin` and `oracle`, each at exactly the coverage
            that the router realised for the target.
    """

    base: Estimate
    cloud: Estimate | None
    at: Mapping[float, CoverageScore]
    area: float
    baselines: Mapping[str, Mapping[float, float]]


def fit_pair_router(
    design: RouterDesign,
    fit: ModelOutputs,
    cloud_correct: BoolArray | None,
    threshold: ModelOutputs | None,
    coverages: Sequence[float],
    *,
    objective: str = AUTO,
    cloud: ModelOutputs | None = None,
    seed: int = 0,
) -> FittedRouter:
    """Fit a router on one split and its thresholds on another.

    Args:
        design: what it reads and how wide it is.
        fit: the base's outputs on the fitting split, with labels.
        cloud_correct: where the cloud is right on that split; None for an abstaining classifier.
        threshold: the base's outputs on the threshold split; its labels are not looked at. None
            leaves the router without thresholds.
        coverages: targets, each a floor.
        objective: `auto`, or the one objective to use whatever the confidences can do.
        cloud: the cloud's outputs on the fitting split; its probabilities are needed for the soft
            gain, which an automatic choice tries only with them.
        seed: of folds and initial weights.

    Raises:
        InputError: for a coverage outside (0, 1], or outputs that lack what the design or the
            objective reads.
    """
    for coverage in coverages:
        check_coverage(coverage)
    evidence = gather_evidence(fit, design, fit.correct, cloud_correct, cloud=cloud)
    objectives = _objectives(objective, with_cloud=cloud_correct is not None)
    selection = select_router(
        evidence, coverages, hidden=design.hidden, objectives=objectives, seed=seed
    )
    forced = objective != AUTO and selection.fitted is not None
    method = objective if forced else selection.choice.method
    if design.cut and not forced and selection.choice.router is not None:
        method = selection.choice.router  # there is no confidence yet to give way to
    network = None
    if method in OBJECTIVES and selection.fitted is not None:
        network = selection.fitted.network.keep(OBJECTIVES[method].heads)
    router = FittedRouter(design, method, network, fit.n_classes, design.n_features(fit), {})
    if threshold is None:
        return router
    return router.with_thresholds(router.send_score(threshold), tuple(coverages))


def evaluate_pair(
    router: FittedRouter, outputs: ModelOutputs, cloud_correct: BoolArray | None
) -> PairScore:
    """Score a pair at each of its thresholds on a split that neither fit nor thresholds have seen.

    `outputs` are the base's, with labels and, where inputs are not independent, groups;
    `cloud_correct` None judges an abstaining classifier.
    """
    base_correct, groups = outputs.correct, outputs.groups
    score = router.send_score(outputs)
    at = {
        coverage: _score_decisions(sent(score, threshold), outputs, cloud_correct)
        for coverage, threshold in router.thresholds.items()
    }
    baselines = {
        "oracle": {c: _oracle(base_correct, cloud_correct, s.coverage) for c, s in at.items()}
    }
    for name in available_confidences(outputs):
        curve = pair_curve(confidence_score(outputs, name), base_correct, cloud_correct)
        baselines[name] = {c: curve.at(s.coverage) for c, s in at.items()}
    return PairScore(
        base=clustered_mean(base_correct.astype(np.float64), groups),
        cloud=None
        if cloud_correct is None
        else clustered_mean(cloud_correct.astype(np.float64), groups),
        at=at,
        area=pair_curve(score, base_correct, cloud_correct).area,
        baselines=baselines,
    )


def exact_accuracy(
    score: FloatArray,
    outputs: ModelOutputs,
    cloud_correct: BoolArray | None,
    coverage: float,
) -> Estimate:
    """Hybrid accuracy when exactly `coverage` of the inputs are kept, those with lowest scores.

    Without a cloud, the accuracy on the kept inputs.
    """
    weights = send_weights(score, coverage)
    if cloud_correct is None:
        return kept_accuracy(outputs.correct, weights > 0.5, outputs.groups)
    right = input_accuracy(weights, outputs.correct, cloud_correct)
    return clustered_mean(right, outputs.groups)


def paired_gains(
    router: FittedRouter,
    outputs: ModelOutputs,
    cloud_correct: BoolArray,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, dict[float, Interval]]:
    """Gains in accuracy of a router over the plain confidences, at equal coverage, by coverage.

    The confidence sends as many inputs as the router did. Intervals are from a paired bootstrap
    over groups of the decisions made, for all comparisons at once.
    """
    score = router.send_score(outputs)
    keys, columns = [], []
    for coverage, threshold in router.thresholds.items():
        decided = sent(score, threshold)
        ours = input_accuracy(decided.astype(np.float64), outputs.correct, cloud_correct)
        for name in available_confidences(outputs):
            weights = send_weights(confidence_score(outputs, name), 1.0 - float(decided.mean()))
            keys.append((name, coverage))
            columns.append(ours - input_accuracy(weights, outputs.correct, cloud_correct))
    if not columns:
        return {}
    intervals = bootstrap_means(
        np.stack(columns, axis=1), outputs.groups, resamples=resamples, seed=seed
    )
    gains: dict[str, dict[float, Interval]] = {}
    for (name, coverage), interval in zip(keys, intervals, strict=True):
        gains.setdefault(name, {})[coverage] = interval
    return gains


def _objectives(objective: str, *, with_cloud: bool) -> tuple[str, ...] | None:
    if not with_cloud:
        return WITHOUT_CLOUD
    return None if objective == AUTO else (objective,)


def _score_decisions(
    decided: BoolArray, outputs: ModelOutputs, cloud_correct: BoolArray | None
) -> CoverageScore:
    coverage = 1.0 - float(decided.mean())
    estimate = pair_accuracy(outputs.correct, cloud_correct, decided, outputs.groups)
    return CoverageScore(estimate.value, estimate.stderr, coverage)


def _oracle(base_correct: BoolArray, cloud_correct: BoolArray | None, coverage: float) -> float:
    if cloud_correct is not None:
        return oracle_accuracy(base_correct, cloud_correct, coverage)
    return min(1.0, float(base_correct.mean()) / coverage) if coverage > 0.0 else 1.0
