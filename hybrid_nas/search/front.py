"""The front's pairs: refitted, looked at once on the test split, and written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from hybrid_nas.guided.pareto import front_mask
from hybrid_nas.routing.confidence import available_confidences, confidence_score
from hybrid_nas.routing.fitted import FittedRouter
from hybrid_nas.routing.metrics import Estimate
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.ranking import Curve, oracle_accuracy, pair_curve
from hybrid_nas.routing.scoring import PairScore, evaluate_pair
from hybrid_nas.search.prices import Device
from hybrid_nas.search.score import AtCoverage, PairFigures, WorkingPoint
from hybrid_nas.search.scorer import Scorer
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.search.worker import ScoredPair, losses
from hybrid_nas.typing import BoolArray

BASELINES = ("entropy", "msp", "margin", "oracle")
_CURVE_POINTS = 101


@dataclass(frozen=True)
class FrontPair:
    """A member of the front.

    Attributes:
        scored: its trial, with figures on the score split.
        router: fitted, with thresholds.
        test: the pair with its thresholds on the test split, by target coverage.
        test_score: everything else that was found there.
        curves: accuracy over coverage of the router and the baselines on the test split.
        point: what comes of the planned threshold on the test split, in a regime.
        cloud_accuracy: there, of the pair's own cloud alone; None where all pairs have the same.
    """

    scored: ScoredPair
    router: FittedRouter
    test: dict[float, AtCoverage]
    test_score: PairScore
    curves: dict[str, list[float]]
    point: WorkingPoint | None = None
    cloud_accuracy: float | None = None


def pareto_front(pairs: list[ScoredPair], settings: SearchSettings) -> list[ScoredPair]:
    """Members of the front, best in the first objective first; equal ones once."""
    table = losses(pairs, settings.objectives)
    chosen = np.flatnonzero(front_mask(table)).tolist()
    return [pairs[k] for k in sorted(chosen, key=lambda k: tuple(table[k]))]


def judge(pair: ScoredPair, scorer: Scorer) -> FrontPair:
    """Fit the pair's router again and look at the test split."""
    candidate, figures = pair.candidate, pair.figures
    device = Device(
        figures.edge_latency_ms,
        figures.macs,
        figures.base_accuracy,
        figures.saved_ms,
        figures.saved_macs,
    )
    router = scorer.fit_router(candidate, device)
    outputs = scorer.run_base(candidate.genes, ("test",))["test"]
    cloud, prices = scorer.cloud_correct("test", candidate.cloud), scorer.prices_of(candidate)
    score = evaluate_pair(router, outputs, cloud)
    device = replace(device, base_accuracy=score.base.value)
    test = {
        coverage: prices.at(Estimate(found.accuracy, found.stderr), found.coverage, device)
        for coverage, found in score.at.items()
    }
    plan, point = scorer.plan(candidate, router, device), None
    if plan is not None:
        send_score = router.send_score(outputs)
        point = scorer.decided_point(candidate, plan, send_score, outputs, "test", device)
    own = None if candidate.cloud is None or cloud is None else float(cloud.mean())
    return FrontPair(pair, router, test, score, test_curves(router, outputs, cloud), point, own)


def test_curves(
    router: FittedRouter, outputs: ModelOutputs, cloud: BoolArray | None
) -> dict[str, list[float]]:
    """Accuracy of the router and the baselines at evenly spaced coverages."""
    grid = np.linspace(0.0 if cloud is not None else 0.05, 1.0, _CURVE_POINTS)
    curves: dict[str, Curve] = {
        name: pair_curve(confidence_score(outputs, name), outputs.correct, cloud)
        for name in available_confidences(outputs)
        if name in BASELINES
    }
    curves["router"] = pair_curve(router.send_score(outputs), outputs.correct, cloud)
    table = {name: [curve.at(c) for c in grid] for name, curve in curves.items()}
    if cloud is not None:
        table["oracle"] = [oracle_accuracy(outputs.correct, cloud, c) for c in grid]
    return {"coverage": grid.tolist(), **table}


def describe_pair(
    number: int, pair: FrontPair, scorer: Scorer, latency_is: str | None
) -> dict[str, Any]:
    """One entry of ``pareto.json``; docs/run-directory.md describes the keys."""
    figures, router = pair.scored.figures, pair.router
    space = scorer.runner.supernet.space
    genes = space.to_dict(pair.scored.candidate.genes)
    edge_mj = scorer.prices_of(pair.scored.candidate).edge_energy_mj(figures.edge_latency_ms)
    return {
        "id": number,
        "trial": pair.scored.number,
        "base": {
            "space": space.name,
            "genes": genes,
            "resolution": genes["resolution"],
            "macs": figures.macs,
            "params": figures.params,
            "accuracy": figures.base_accuracy,
            "test_accuracy": pair.test_score.base.value,
        },
        "router": {
            "kind": pair.scored.candidate.router,
            "method": router.method,
            "params": router.params,
            "flash_bytes": router.flash_bytes,
            "sram_bytes": router.sram_bytes,
            "thresholds": _keyed(router.thresholds),
        },
        "cost": {
            "sram_bytes": figures.sram_bytes,
            "flash_bytes": figures.flash_bytes,
            "edge_latency_ms": _finite(figures.edge_latency_ms),
            "edge_latency_is": latency_is,
            **({"saved_latency_ms": figures.saved_ms} if figures.saved_ms > 0 else {}),
            **({} if edge_mj is None else {"edge_energy_mj": edge_mj}),
        },
        "hybrid": {format(c, "g"): _at(found) for c, found in figures.at.items()},
        "test": {format(c, "g"): _at(found) for c, found in pair.test.items()},
        "auc": figures.auc,
        "baselines": {
            name: _keyed(pair.test_score.baselines[name])
            for name in BASELINES
            if name in pair.test_score.baselines
        },
        **_point(pair, scorer.settings),
        **_own_cloud(pair, scorer),
    }


def _own_cloud(pair: FrontPair, scorer: Scorer) -> dict[str, Any]:
    """The entry ``cloud``, where it was chosen with the base."""
    figures, chosen, costs = (
        pair.scored.figures.cloud,
        pair.scored.candidate.cloud,
        scorer.clouds.costs,
    )
    if figures is None or chosen is None or costs is None:
        return {}
    genes = costs.space.to_dict(chosen)
    return {
        "cloud": {
            "space": costs.space.name,
            "genes": genes,
            "resolution": genes["resolution"],
            "macs": figures.macs,
            "params": figures.params,
            "accuracy": figures.accuracy,
            "test_accuracy": pair.cloud_accuracy,
            "latency_ms": figures.latency_ms,
        }
    }


def _point(pair: FrontPair, settings: SearchSettings) -> dict[str, Any]:
    """The entry ``point``, where a budget or a bound on the loss decides how often is asked."""
    planned = pair.scored.figures.point
    if planned is None or pair.point is None:
        return {}
    asked = {
        "mean_latency_ms": settings.mean_latency_ms,
        "mean_energy_mj": settings.mean_energy_mj,
        "max_loss": settings.max_loss_share,
    }
    return {
        "point": {
            "asked": {key: value for key, value in asked.items() if value is not None},
            "coverage": planned.coverage,
            "threshold": planned.threshold,
            "score": _at(planned.at),
            "test": _at(pair.point.at),
        }
    }


_ALWAYS_TOLD = ("accuracy", "stderr", "coverage", "mean_latency_ms")


def _at(found: AtCoverage) -> dict[str, float | None]:
    """Figures that are there, and those that are always told as null where they are not."""
    known = {key: None if v is None else _finite(v) for key, v in asdict(found).items()}
    return {k: v for k, v in known.items() if v is not None or k in _ALWAYS_TOLD}


def _keyed(values: Any) -> dict[str, float]:
    return {format(c, "g"): float(value) for c, value in values.items()}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def describe_trials(pairs: Sequence[ScoredPair], scorer: Scorer) -> dict[str, Any]:
    """``trials.json``: every scored candidate."""
    space, coverage = scorer.runner.supernet.space, scorer.settings.target_coverage
    clouds = scorer.clouds.costs
    rows = []
    for pair in pairs:
        figures, chosen = pair.figures, pair.candidate.cloud
        own = None if chosen is None or clouds is None else clouds.space.to_dict(chosen)
        rows.append(
            {
                "number": pair.number,
                "genes": space.to_dict(pair.candidate.genes),
                "router": pair.candidate.router,
                "values": [_finite(value) for value in pair.values],
                "accuracy": {format(c, "g"): found.accuracy for c, found in figures.at.items()},
                "base_accuracy": figures.base_accuracy,
                "sram_bytes": figures.sram_bytes,
                "flash_bytes": figures.flash_bytes,
                "edge_latency_ms": _finite(figures.edge_latency_ms),
                "mean_latency_ms": _finite(figures.at[coverage].mean_latency_ms),
                "macs": figures.macs,
                "params": figures.params,
                "method": figures.method,
                **({} if figures.point is None else {"point": _at(figures.point.at)}),
                **_cloud_of_trial(own, figures),
                "seconds": {
                    "total": sum(figures.seconds.values()),
                    **{key: float(value) for key, value in figures.seconds.items()},
                },
            }
        )
    return {"schema": "hybrid-nas/trials/1", "trials": rows}


def _cloud_of_trial(genes: dict[str, Any] | None, figures: PairFigures) -> dict[str, Any]:
    if genes is None or figures.cloud is None:
        return {}
    return {
        "cloud": {
            "genes": genes,
            "macs": figures.cloud.macs,
            "accuracy": figures.cloud.accuracy,
        }
    }
