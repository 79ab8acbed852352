"""The JSON document of ``hybrid-nas route --json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hybrid_nas.routing.analysis import MethodAtCoverage, RouteAnalysis
from hybrid_nas.routing.bootstrap import Interval
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
