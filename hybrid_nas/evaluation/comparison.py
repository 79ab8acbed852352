"""The router against every baseline on the same inputs, at the coverage that it realised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hybrid_nas.evaluation.accuracy_table import AccuracyTable
from hybrid_nas.routing.baselines import (
    CONFIDENCE_BASELINES,
    FittedBaseline,
    available_baselines,
    fit_baseline,
)
from hybrid_nas.routing.bootstrap import Interval
from hybrid_nas.routing.evidence import Evidence
from hybrid_nas.routing.fitted import FittedRouter
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.ranking import pair_curve
from hybrid_nas.routing.selection import select_router
from hybrid_nas.routing.thresholds import sent
from hybrid_nas.typing import BoolArray, FloatArray

BOUND_WITH_CLOUD, BOUND_ALONE = "signed-oracle", "errors-first"
CURVE_POINTS = 101
_LEAST_COVERAGE_ALONE = 0.05  # an abstaining classifier that keeps next to nothing says nothing


@dataclass(frozen=True)
class AgainstBaseline:
    """One baseline at one coverage.

    Attributes:
        accuracy: with its 95 % interval.
        gain: accuracy of the router minus the baseline's, with its paired interval.
    """

    accuracy: Interval
    gain: Interval


@dataclass(frozen=True)
class AtTarget:
    """The pair at one target coverage; intervals are 95 % bootstraps over groups.

    Attributes:
        threshold: of the send score.
        coverage: share of the inputs that it kept.
        accuracy, stderr: of the hybrid; without a cloud, on the kept inputs.
        against: by baseline, each at exactly the coverage that the router realised (one model alone
            at its own).
        share_of_the_way: of the router from the best confidence to the bound, 0 to 1; negative
            where it is below the confidence, None where there is no way to go.
    """

    threshold: float
    coverage: float
    accuracy: Interval
    stderr: float
    against: Mapping[str, AgainstBaseline]
    share_of_the_way: float | None


@dataclass(frozen=True)
class Comparison:
    """The pair against all baselines.

    Attributes:
        base, cloud: accuracy of each alone; no cloud is None.
        best_confidence: the baseline that is chosen where no router is wanted, on the fitting split
            (MSP, unless another is better by a standard error).
        bound: what no router can exceed.
        settings: what was fitted for baselines, by name.
        at: by target coverage.
        curves: accuracy over ``coverage`` of the router and every baseline that ranks inputs.
    """

    base: Interval
    cloud: Interval | None
    best_confidence: str
    bound: str
    settings: Mapping[str, Mapping[str, float]]
    at: Mapping[float, AtTarget]
    curves: Mapping[str, list[float]]


def fit_baselines(fit: ModelOutputs, cloud_correct: BoolArray | None) -> dict[str, FittedBaseline]:
    """All baselines that these outputs allow, fitted on the split that routers are fitted on."""
    names = available_baselines(fit, with_cloud=cloud_correct is not None)
    return {name: fit_baseline(name, fit, cloud_correct) for name in names}


def choose_confidence(
    baselines: Mapping[str, FittedBaseline],
    fit: ModelOutputs,
    cloud_correct: BoolArray | None,
    coverages: Sequence[float],
) -> str:
    """The confidence to use without a router, chosen on the fitting split."""
    right = np.ones(fit.n, np.bool_) if cloud_correct is None else cloud_correct
    scores = {
        name: one.score(fit, right)
        for name, one in baselines.items()
        if name in CONFIDENCE_BASELINES and one.score is not None
    }
    evidence = Evidence(np.empty((fit.n, 0)), (), scores, fit.correct, right, fit.groups)
    return select_router(evidence, coverages, objectives=()).choice.best_confidence


def compare(
    router: FittedRouter,
    baselines: Mapping[str, FittedBaseline],
    best_confidence: str,
    outputs: ModelOutputs,
    cloud_correct: BoolArray | None,
    *,
    seed: int = 0,
) -> Comparison:
    """Judge a router by its thresholds, and the baselines beside it.

    Args:
        router: with a threshold for each target.
        baselines: from `fit_baselines`.
        best_confidence: one of them.
        outputs: the base's, on a split that nothing above has seen.
        cloud_correct: where the cloud is right there; None judges an abstaining classifier.
        seed: of the bootstrap.
    """
    score = router.send_score(outputs)
    table = AccuracyTable(outputs, cloud_correct)
    kept = {}
    for coverage, threshold in router.thresholds.items():
        decided = sent(score, threshold).astype(np.float64)
        kept[coverage] = 1.0 - float(decided.mean())
        ours = table.add(("router", coverage), decided)
        for name, baseline in baselines.items():
            weights = baseline.weights(outputs, cloud_correct, kept[coverage])
            table.add((name, coverage), weights, less_than=ours)
    table.add(("base", 1.0), np.zeros(outputs.n))
    if cloud_correct is not None:
        table.add(("cloud", 0.0), np.ones(outputs.n))
    found, gains = table.intervals(seed)
    bound = BOUND_ALONE if cloud_correct is None else BOUND_WITH_CLOUD
    at = {}
    for coverage, threshold in router.thresholds.items():
        against = {
            name: AgainstBaseline(found[name, coverage], gains[name, coverage])
            for name in baselines
        }
        ours_found = found["router", coverage]
        way = against[bound].accuracy.value - against[best_confidence].accuracy.value
        at[coverage] = AtTarget(
            threshold=threshold,
            coverage=kept[coverage],
            accuracy=ours_found,
            stderr=table.stderr(("router", coverage)),
            against=against,
            share_of_the_way=against[best_confidence].gain.value / way if way > 1e-9 else None,
        )
    return Comparison(
        base=found["base", 1.0],
        cloud=None if cloud_correct is None else found["cloud", 0.0],
        best_confidence=best_confidence,
        bound=bound,
        settings={name: one.setting for name, one in baselines.items() if one.setting},
        at=at,
        curves=_curves(score, baselines, outputs, cloud_correct),
    )


def _curves(
    score: FloatArray,
    baselines: Mapping[str, FittedBaseline],
    outputs: ModelOutputs,
    cloud_correct: BoolArray | None,
) -> dict[str, list[float]]:
    right = np.ones(outputs.n, np.bool_) if cloud_correct is None else cloud_correct
    scores = {"router": score}
    for name, baseline in baselines.items():
        if baseline.score is not None:
            scores[name] = baseline.score(outputs, right)
    least = _LEAST_COVERAGE_ALONE if cloud_correct is None else 0.0
    grid = np.linspace(least, 1.0, CURVE_POINTS)
    table = {"coverage": grid.tolist()}
    for name, one in scores.items():
        curve = pair_curve(one, outputs.correct, cloud_correct)
        table[name] = np.interp(grid, curve.coverage, curve.accuracy).tolist()
    return table
