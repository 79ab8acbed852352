"""What is lost on the way to the device: float32 beside int8, on the whole test split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hybrid_nas.errors import HybridNasError
from hybrid_nas.evaluation.subject import float_outputs
from hybrid_nas.export.from_run import ExportedPair
from hybrid_nas.routing.metrics import pair_accuracy
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.thresholds import sent
from hybrid_nas.typing import BoolArray, FloatArray


@dataclass(frozen=True)
class HybridFigures:
    """At one threshold: accuracy of the hybrid and share of images kept on the device."""

    threshold: float
    accuracy: float
    coverage: float


@dataclass(frozen=True)
class ArithmeticFigures:
    """One arithmetic on the test split; accuracies are fractions.

    Attributes:
        base: of the base alone.
        hybrid: by target coverage, with a threshold set on this arithmetic's own scores of the
            ``threshold`` split.
    """

    base: float
    hybrid: Mapping[float, HybridFigures]


@dataclass(frozen=True)
class ExportFigures:
    """Both arithmetics, and how often they say the same class.

    Attributes:
        images: of the test split.
        float32, int8: their figures.
        agreement: share of images with the same class.
    """

    images: int
    float32: ArithmeticFigures
    int8: ArithmeticFigures
    agreement: float

    @property
    def drop(self) -> float:
        """What int8 costs the base alone, in points of accuracy."""
        return 100.0 * (self.float32.base - self.int8.base)

    def check_drop(self, most: float) -> None:
        """Refuse an export that loses more than `most` points.

        Raises:
            HybridNasError: it does.
        """
        if self.drop > most:
            raise HybridNasError(
                f"int8 is {self.drop:.2f} points below float32 on {self.images} test images "
                f"({self.int8.base:.2%} against {self.float32.base:.2%}), more than --max-drop "
                f"{most:g}: train the pair (`hybrid-nas train`), which sees the rounding, or allow "
                "more"
            )

    def document(self) -> dict[str, Any]:
        """For ``pair.yaml`` and ``--json``."""
        return {
            "split": "test",
            "images": self.images,
            "float32": _keyed(self.float32),
            "int8": _keyed(self.int8),
            "class_agreement": self.agreement,
            "drop_points": self.drop,
        }


def _keyed(figures: ArithmeticFigures) -> dict[str, Any]:
    hybrid = {format(c, "g"): asdict(at) for c, at in figures.hybrid.items()}
    return {"base_accuracy": figures.base, "hybrid": hybrid}


def export_figures(exported: ExportedPair) -> ExportFigures:
    """Run the test split in both arithmetics.

    Raises:
        InputError: the base has no int8 version.
    """
    subject, device = exported.subject, exported.device
    assert device is not None
    cloud = subject.cloud_correct("test")
    int8 = exported.outputs("test")
    rounded = _figures(
        int8, cloud, exported.send_score("test").astype(np.float64), device.thresholds
    )
    exact = float_outputs(
        subject.base, subject.data.split("test"), "the float32 base on split test"
    )
    router = exported.router("fp32")
    plain = _figures(exact, cloud, router.send_score(exact), router.thresholds)
    same = float((int8.pred == exact.pred).mean())
    return ExportFigures(int8.n, plain, rounded, same)


def _figures(
    outputs: ModelOutputs,
    cloud: BoolArray | None,
    score: FloatArray,
    thresholds: Mapping[float, float],
) -> ArithmeticFigures:
    hybrid = {}
    for coverage, threshold in thresholds.items():
        decided = sent(score, threshold)
        accuracy = pair_accuracy(outputs.correct, cloud, decided).value
        hybrid[coverage] = HybridFigures(threshold, accuracy, 1.0 - float(decided.mean()))
    return ArithmeticFigures(float(outputs.correct.mean()), hybrid)
