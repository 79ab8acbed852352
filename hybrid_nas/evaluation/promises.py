"""Guarantees for the pair, calibrated where nothing was chosen, and what the test split says.

The ``threshold`` split calibrates: routers never see its labels, and the search chose pairs by
another one (where it did not, there are no guarantees). The ``score`` split, which the search did
look at, only says where a sequence of tests starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hybrid_nas.data.dataset import Split
from hybrid_nas.evaluation.subject import Subject
from hybrid_nas.routing.guarantees import (
    Guarantee,
    Promise,
    ScoredInputs,
    calibrate,
    choose_start,
    promised_figure,
)


@dataclass(frozen=True)
class JudgedPromise:
    """A guarantee and the test split's word on it.

    Attributes:
        figure: the promised figure on the test split.
        coverage, accuracy: there, at the guarantee's threshold.
    """

    guarantee: Guarantee
    figure: float
    coverage: float
    accuracy: float

    @property
    def held(self) -> bool:
        """Whether the test figure is within the promise; it is an estimate itself."""
        promise = self.guarantee.promise
        if promise.kind == "accuracy":
            return self.figure >= promise.level
        return self.figure <= promise.level

    def document(self) -> dict[str, Any]:
        """The entry of `guarantees` in ``evaluation.json``."""
        return {
            **self.guarantee.document(),
            "calibrated_on": "threshold",
            "test": {
                "value": self.figure,
                "coverage": self.coverage,
                "accuracy": self.accuracy,
                "within": self.held,
            },
        }


def calibrate_promises(promises: Sequence[Promise], subject: Subject) -> list[Guarantee]:
    """Thresholds for promises; the test split is not looked at.

    Raises:
        InputError: a promise that the ``threshold`` split cannot support, or a search that looked
            at it.
    """
    if not promises:
        return []
    subject.pair.check_calibration()
    inputs, elsewhere = scored_inputs(subject, "threshold"), scored_inputs(subject, "score")
    return [
        calibrate(
            promise,
            inputs,
            start=choose_start(promise, elsewhere),
            break_even=subject.router.break_even and subject.cloud is not None,
        )
        for promise in promises
    ]


def judge_promises(guarantees: Sequence[Guarantee], subject: Subject) -> list[JudgedPromise]:
    """What each threshold does on the test split."""
    if not guarantees:
        return []
    test = scored_inputs(subject, "test")
    return [
        JudgedPromise(
            one,
            promised_figure(one.promise.kind, test, one.threshold),
            test.coverage(one.threshold),
            test.accuracy(one.threshold),
        )
        for one in guarantees
    ]


def scored_inputs(subject: Subject, split: Split) -> ScoredInputs:
    """A split as guarantees want it."""
    outputs = subject.outputs(split)
    return ScoredInputs(
        subject.router.send_score(outputs),
        outputs.correct,
        subject.cloud_correct(split),
        outputs.groups,
    )
