"""The JSON documents of ``hybrid-nas route --json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hybrid_nas.routing.abstaining import AbstainingAnalysis
from hybrid_nas.routing.analysis import MethodAtCoverage, RouteAnalysis
from hybrid_nas.routing.bootstrap import Interval
from hybrid_nas.routing.guarantees.after_selection import GuaranteedMethod
from hybrid_nas.routing.metrics import mean_latency_ms
from hybrid_nas.routing.verdict import Verdict

SCHEMA = "hybrid-nas/route/1"


@dataclass(frozen=True)
class LatencyTerms:
    """The times that a mean latency is made of, in milliseconds."""

    base_ms: float = 0.0
    uplink_ms: float = 0.0
    cloud_ms: float = 0.0

    def mean_ms(self, coverage: float) -> float:
        """Mean latency at a realised coverage; the router's own time is within the base's."""
        return mean_latency_ms(self.base_ms, 0.0, 1.0 - coverage, self.uplink_ms, self.cloud_ms)


def route_document(
    analysis: RouteAnalysis, verdict: Verdict, latency: LatencyTerms | None = None
) -> dict[str, Any]:
    """The document; coverage keys are ``format(c, "g")``, accuracies shares of 1."""
    return {
        "schema": SCHEMA,
        "n": analysis.n,
        "groups": analysis.n_groups,
        "base_accuracy": analysis.base.value,
        "cloud_accuracy": analysis.cloud.value,
        "base_interval": _ends(analysis.base),
        "cloud_interval": _ends(analysis.cloud),
        "default": analysis.default,
        "best_confidence": analysis.best_confidence,
        "design": analysis.design,
        "coverages": list(analysis.coverages),
        "folds": analysis.folds,
        "repeats": analysis.repeats,
        "methods": {
            method: {format(c, "g"): _method(at, latency) for c, at in by_coverage.items()}
            for method, by_coverage in analysis.methods.items()
        },
        "over_base": _by_coverage(analysis.over_base),
        "over_cloud": _by_coverage(analysis.over_cloud),
        "gains": {
            method: {rival: _by_coverage(gains) for rival, gains in rivals.items()}
            for method, rivals in analysis.gains.items()
        },
        "verdict": {
            "worth_it": verdict.worth_it,
            "hybrid": verdict.hybrid,
            "router": verdict.router,
        },
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


def guarantee_documents(found: Sequence[GuaranteedMethod]) -> list[dict[str, Any]]:
    """The `guarantees` of a document, one for each promise; shares of 1."""
    return [
        {
            "guarantee": one.guarantee.promise.text,
            "kind": one.guarantee.promise.kind,
            "level": one.guarantee.promise.level,
            "confidence": one.guarantee.promise.confidence,
            "score": one.method,
            "threshold": one.guarantee.threshold,
            "calibrated_by": one.guarantee.method,
            "n": one.guarantee.n,
            "groups": one.guarantee.n_groups,
            "value": one.guarantee.value,
            "bound": one.guarantee.bound,
            "coverage": one.guarantee.coverage,
            "accuracy": one.guarantee.accuracy,
            "held_out": {
                "n": one.n,
                "coverage": one.coverage,
                "accuracy": one.accuracy.value,
                "stderr": one.accuracy.stderr,
            },
            "reading": one.guarantee.reading,
        }
        for one in found
    ]


def _method(at: MethodAtCoverage, latency: LatencyTerms | None) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "accuracy": at.accuracy,
        "stderr": at.stderr,
        "interval": _ends(at.interval),
        "coverage": at.coverage,
        "threshold": at.threshold,
    }
    if latency is not None:
        plain["mean_latency_ms"] = latency.mean_ms(at.coverage)
    return plain


def _by_coverage(intervals: Mapping[float, Interval]) -> dict[str, dict[str, Any]]:
    return {
        format(c, "g"): {"gain": interval.value, "interval": _ends(interval)}
        for c, interval in intervals.items()
    }


def _ends(interval: Interval) -> list[float]:
    return [interval.low, interval.high]
