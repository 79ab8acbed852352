"""int8 beside float32: what rounding costs the pair, and what the search saw of it."""

from __future__ import annotations

from typing import Any

from hybrid_nas.evaluation.comparison import Comparison
from hybrid_nas.evaluation.subject import Subject, float_outputs
from hybrid_nas.routing.scoring import evaluate_pair


def arithmetic(subject: Subject, comparison: Comparison) -> dict[str, Any]:
    """Accuracy of the base alone and of the hybrid by coverage, in int8 and in float32.

    ``search`` is the supernet's own network as the search ran it, ``float32`` the evaluated weights
    without rounding and with thresholds of their own, ``int8`` what is evaluated.
    """
    rows: dict[str, Any] = {
        "int8": {
            "base": comparison.base.value,
            "hybrid": {
                format(c, "g"): {"accuracy": at.accuracy.value, "coverage": at.coverage}
                for c, at in comparison.at.items()
            },
        }
    }
    data, base = subject.data, subject.base
    threshold = float_outputs(base, data.split("threshold"), "the float32 base on split threshold")
    test = float_outputs(base, data.split("test"), "the float32 base on split test")
    router = subject.router.with_thresholds(
        subject.router.send_score(threshold), tuple(subject.router.thresholds)
    )
    score = evaluate_pair(router, test, subject.cloud_correct("test"))
    rows["float32"] = {
        "base": score.base.value,
        "hybrid": {
            format(c, "g"): {"accuracy": at.accuracy, "coverage": at.coverage}
            for c, at in score.at.items()
        },
    }
    searched = subject.pair.document
    rows["search"] = {
        "base": searched["base"]["test_accuracy"],
        "hybrid": {
            c: {"accuracy": at["accuracy"], "coverage": at["coverage"]}
            for c, at in searched["test"].items()
        },
    }
    return rows
