"""What the deployed pair does when its inputs are no longer those it was made for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hybrid_nas.data.cloud import KnowsSplits
from hybrid_nas.data.corruptions import CORRUPTIONS, UNKNOWN, corrupt, unknown_images
from hybrid_nas.data.dataset import ImageSet
from hybrid_nas.errors import InputError
from hybrid_nas.evaluation.subject import Subject
from hybrid_nas.routing.drift import RateController, fit_controller
from hybrid_nas.routing.metrics import pair_accuracy
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.thresholds import realised_coverage, sent
from hybrid_nas.typing import BoolArray, FloatArray

CLEAN = "clean"


@dataclass(frozen=True)
class Kept:
    """Coverage, and accuracy of the hybrid (without a cloud: of the kept inputs).

    `accuracy` is None where the cloud cannot answer for these images.
    """

    coverage: float
    accuracy: float | None


@dataclass(frozen=True)
class Shifted:
    """The pair on one kind of images.

    Attributes:
        name, severity: the corruption; ``clean`` has severity 0.
        base, cloud: accuracy of each alone; None where there is none, or no answer.
        fixed: with the deployed threshold, by target coverage.
        controlled: with the threshold that follows its inputs, by target coverage, where scores
            can be controlled at all.
    """

    name: str
    severity: int
    base: float
    cloud: float | None
    fixed: Mapping[float, Kept]
    controlled: Mapping[float, Kept]

    def document(self) -> dict[str, Any]:
        """For ``evaluation.json``."""
        return {
            "corruption": self.name,
            "severity": self.severity,
            "base": self.base,
            "cloud": self.cloud,
            "fixed": {format(c, "g"): vars(kept) for c, kept in self.fixed.items()},
            "controlled": {format(c, "g"): vars(kept) for c, kept in self.controlled.items()},
        }


def cloud_is_silent(subject: Subject) -> bool:
    """Whether there is a cloud that cannot answer for new images: a file of its predictions."""
    return isinstance(subject.cloud, KnowsSplits)


def under_corruption(
    subject: Subject,
    severities: Sequence[int],
    *,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> list[Shifted]:
    """The test split as it is and under each corruption and severity.

    Inputs come to the controller in one random order. `say` is told what is begun.
    """
    images = subject.data.split("test")
    order = np.random.default_rng(seed).permutation(len(images))
    controllers = fit_controllers(subject)
    found = [
        _judge(
            subject,
            (CLEAN, 0),
            subject.outputs("test").take(order),
            _taken(subject.cloud_correct("test"), order),
            controllers,
        )
    ]
    ordered = images.take(order)
    for name in CORRUPTIONS:
        for severity in severities:
            say(f"corruption {name}, severity {severity}")
            changed = replace(ordered, images=corrupt(ordered.images, name, severity, seed=seed))
            outputs = subject.outputs_of(changed, f"test images under {name}")
            cloud = None
            if subject.cloud is not None and not cloud_is_silent(subject):
                cloud = subject.cloud_correct_of(changed)
            found.append(_judge(subject, (name, severity), outputs, cloud, controllers))
    return found


def fit_controllers(subject: Subject) -> dict[float, RateController]:
    """A controller for each target coverage that has a query rate to hold."""
    score = subject.router.send_score(subject.outputs("threshold"))
    found = {}
    for coverage, threshold in subject.router.thresholds.items():
        try:
            found[coverage] = fit_controller(score, 1.0 - coverage, threshold=threshold)
        except InputError:
            continue  # nothing is to be sent, or all scores are alike
    return found


def send_rates(subject: Subject, *, seed: int = 0) -> dict[str, dict[float, float]]:
    """Share of images of no known class that each threshold sends, by kind and coverage."""
    images = subject.data.split("test")
    rates = {}
    for name in UNKNOWN:
        strange = ImageSet(
            unknown_images(images.images, name, seed=seed), images.labels, images.groups
        )
        score = subject.router.send_score(subject.outputs_of(strange, name))
        rates[name] = _rates(score, subject.router.thresholds)
    clean = subject.router.send_score(subject.outputs("test"))
    return {CLEAN: _rates(clean, subject.router.thresholds), **rates}


def _rates(score: FloatArray, thresholds: Mapping[float, float]) -> dict[float, float]:
    return {c: 1.0 - realised_coverage(score, threshold) for c, threshold in thresholds.items()}


def _judge(
    subject: Subject,
    what: tuple[str, int],
    outputs: ModelOutputs,
    cloud_correct: BoolArray | None,
    controllers: Mapping[float, RateController],
) -> Shifted:
    score = subject.router.send_score(outputs)
    answers = cloud_correct is not None or subject.cloud is None

    def kept(decided: BoolArray) -> Kept:
        coverage = 1.0 - float(decided.mean())
        if not answers:
            return Kept(coverage, None)
        return Kept(coverage, pair_accuracy(outputs.correct, cloud_correct, decided).value)

    return Shifted(
        name=what[0],
        severity=what[1],
        base=float(outputs.correct.mean()),
        cloud=None if cloud_correct is None else float(cloud_correct.mean()),
        fixed={c: kept(sent(score, t)) for c, t in subject.router.thresholds.items()},
        controlled={c: kept(one.run(score).sent) for c, one in controllers.items()},
    )


def _taken(array: BoolArray | None, order: Any) -> BoolArray | None:
    return None if array is None else array[order]
