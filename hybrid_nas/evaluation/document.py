"""The parts of ``evaluation.json`` that say how the router compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hybrid_nas.evaluation.comparison import AtTarget, Comparison
from hybrid_nas.routing.baselines import BASELINES
from hybrid_nas.routing.bootstrap import Interval


def comparison_document(
    comparison: Comparison, costs: Callable[[AtTarget], Mapping[str, float | None]]
) -> dict[str, Any]:
    """Accuracies, differences, costs and curves; shares of 1, coverage keys ``format(c, "g")``."""
    names = next(iter(comparison.at.values())).against
    return {
        "base_accuracy": interval_document(comparison.base),
        "cloud_accuracy": None if comparison.cloud is None else interval_document(comparison.cloud),
        "best_confidence": comparison.best_confidence,
        "bound": comparison.bound,
        "baselines": {
            name: {
                "kind": BASELINES[name].kind,
                "source": BASELINES[name].source,
                "setting": dict(comparison.settings.get(name, {})),
            }
            for name in names
        },
        "coverages": {
            format(target, "g"): _target_document(at, costs(at))
            for target, at in comparison.at.items()
        },
        "curves": dict(comparison.curves),
    }


def _target_document(at: AtTarget, costs: Mapping[str, float | None]) -> dict[str, Any]:
    return {
        "threshold": at.threshold,
        "coverage": at.coverage,
        **interval_document(at.accuracy, "accuracy"),
        "stderr": at.stderr,
        **costs,
        "share_of_the_way": at.share_of_the_way,
        "baselines": {
            name: {
                **interval_document(found.accuracy, "accuracy"),
                "router_gain": interval_document(found.gain),
            }
            for name, found in at.against.items()
        },
    }


def interval_document(interval: Interval, name: str = "value") -> dict[str, Any]:
    """A figure and the ends of its 95 % interval."""
    return {name: interval.value, "interval": [interval.low, interval.high]}


def keyed(values: Mapping[float, float]) -> dict[str, float]:
    """Figures by coverage, with the keys of every document."""
    return {format(coverage, "g"): float(value) for coverage, value in values.items()}
