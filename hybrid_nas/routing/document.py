"""The JSON documents of ``hybrid-nas route --json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hybrid_nas.routing.abstaining import AbstainingAnalysis
from hybrid_nas.routing.bootstrap import Interval
from hybrid_nas.routing.clouds import JudgedCloud
from hybrid_nas.routing.guarantees.after_selection import GuaranteedMethod
from hybrid_nas.routing.results import Figures, MethodAtCoverage, RouteAnalysis
from hybrid_nas.routing.rewards import ACCURACY
from hybrid_nas.routing.unseen import SELECTED
from hybrid_nas.routing.verdict import Verdict

SCHEMA = "hybrid-nas/route/1"


def route_document(
    analysis: RouteAnalysis, verdict: Verdict, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """The document; coverage keys are ``format(c, "g")``, accuracies shares of 1.

    `accuracy`, `stderr` and `interval` are the share of right answers whatever the utility;
    `over_base`, `over_cloud`, `gains`, `targets` and `curve` are in `measure`.
    """
    return {
        "schema": SCHEMA,
        "n": analysis.n,
        "groups": analysis.n_groups,
        "base_accuracy": analysis.base.value,
        "cloud_accuracy": analysis.cloud.value,
        "base_interval": _ends(analysis.base),
        "cloud_interval": _ends(analysis.cloud),
        **_utility(analysis),
        "default": analysis.default,
        "best_confidence": analysis.best_confidence,
        "design": analysis.design,
        "coverages": list(analysis.coverages),
        "folds": analysis.folds,
        "repeats": analysis.repeats,
        "methods": {
            method: {format(c, "g"): _method(at) for c, at in by_coverage.items()}
            for method, by_coverage in analysis.methods.items()
        },
        "over_base": _by_coverage(analysis.over_base),
        "over_cloud": _by_coverage(analysis.over_cloud),
        "gains": {
            method: {rival: _by_coverage(gains) for rival, gains in rivals.items()}
            for method, rivals in analysis.gains.items()
        },
        **_designs(analysis),
        **_targets(analysis),
        **_curve(analysis),
        "verdict": {
            "worth_it": verdict.worth_it,
            "hybrid": verdict.hybrid,
            "router": verdict.router,
        },
        **({"notes": list(notes)} if notes else {}),
    }


def abstaining_document(analysis: AbstainingAnalysis) -> dict[str, Any]:
    """The document without a cloud: accuracies are of the kept inputs."""
    return {
        "schema": SCHEMA,
        "n": analysis.n,
        "groups": analysis.n_groups,
        "base_accuracy": analysis.base.value,
        "cloud_accuracy": None,
        "default": analysis.default,
        "design": analysis.design,
        "coverages": list(analysis.coverages),
        "methods": {
            method: {
                format(c, "g"): {
                    "accuracy": at.accuracy,
                    "stderr": at.stderr,
                    "coverage": at.coverage,
                    "threshold": analysis.thresholds[method][c],
                }
                for c, at in by_coverage.items()
            }
            for method, by_coverage in analysis.methods.items()
        },
    }


def clouds_document(judged: Sequence[JudgedCloud], chosen: int) -> dict[str, Any]:
    """The `clouds` of a document, where there were several; the rest of it is of the chosen one."""
    if len(judged) < 2:
        return {}
    return {
        "cloud": judged[chosen].outputs.source,
        "clouds": [
            {
                "source": one.outputs.source,
                "accuracy": one.analysis.cloud.value,
                "default": one.analysis.default,
                "methods": {
                    method: {
                        format(c, "g"): _method(at)
                        for c, at in one.analysis.methods[method].items()
                    }
                    for method in dict.fromkeys((one.analysis.default, SELECTED))
                },
                **_targets(one.analysis),
            }
            for one in judged
        ],
    }


def guarantee_documents(found: Sequence[GuaranteedMethod]) -> list[dict[str, Any]]:
    """The `guarantees` of a document, one for each promise; shares of 1."""
    return [
        {
            **one.guarantee.document(),
            "score": one.method,
            "held_out": {
                "n": one.n,
                "coverage": one.coverage,
                "accuracy": one.accuracy.value,
                "stderr": one.accuracy.stderr,
            },
        }
        for one in found
    ]


def _utility(analysis: RouteAnalysis) -> dict[str, Any]:
    if analysis.measure == ACCURACY:
        return {"measure": ACCURACY}
    return {
        "measure": analysis.measure,
        "base_utility": analysis.base_worth.value,
        "cloud_utility": analysis.cloud_worth.value,
        "base_utility_interval": _ends(analysis.base_worth),
        "cloud_utility_interval": _ends(analysis.cloud_worth),
    }


def _figures(at: Figures) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "accuracy": at.accuracy,
        "stderr": at.stderr,
        "interval": _ends(at.interval),
        "coverage": at.coverage,
    }
    if at.utility is not None:
        plain["utility"] = at.utility.value
        plain["utility_stderr"] = at.utility_stderr
        plain["utility_interval"] = _ends(at.utility)
    return plain | dict(at.means)


def _method(at: MethodAtCoverage) -> dict[str, Any]:
    return _figures(at) | {"threshold": at.threshold}


def _designs(analysis: RouteAnalysis) -> dict[str, Any]:
    if not analysis.designs:
        return {}
    return {
        "designs": {
            one.kind: {
                "params": one.params,
                "flash_bytes": one.flash_bytes,
                "sram_bytes": one.sram_bytes,
                "macs": one.macs,
                "at": {format(c, "g"): _method(at) for c, at in one.at.items()},
            }
            for one in analysis.designs
        }
    }


def _targets(analysis: RouteAnalysis) -> dict[str, Any]:
    if not analysis.targets:
        return {}
    return {
        "targets": [
            {
                "target": one.name,
                "bound": "at most" if one.is_cost else "at least",
                "level": one.level,
                "reached": one.reached,
                "query_rate": 1.0 - one.coverage,
                "method": analysis.default,
                "threshold": one.threshold,
                **_figures(one),
            }
            for one in analysis.targets
        ]
    }


def _curve(analysis: RouteAnalysis) -> dict[str, Any]:
    curve = analysis.curve
    if curve is None:
        return {}
    return {
        "curve": {
            "coverage": list(curve.coverage),
            "methods": {
                method: {"value": [i.value for i in row], "interval": [_ends(i) for i in row]}
                for method, row in curve.methods.items()
            },
            "gain": {
                "value": [i.value for i in curve.gain],
                "interval": [_ends(i) for i in curve.gain],
            },
        }
    }


def _by_coverage(intervals: Mapping[float, Interval]) -> dict[str, dict[str, Any]]:
    return {
        format(c, "g"): {"gain": interval.value, "interval": _ends(interval)}
        for c, interval in intervals.items()
    }


def _ends(interval: Interval) -> list[float]:
    return [interval.low, interval.high]
