"""Inputs with their send scores and outcomes: what promises are calibrated and judged on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.routing.metrics import pair_accuracy
from hybrid_nas.routing.thresholds import sent
from hybrid_nas.typing import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class ScoredInputs:
    """Arrays over the same n inputs, checked when made.

    Args:
        score: send scores (n,), finite; ties are allowed.
        base_correct: where the base is right (n,).
        cloud_correct: where the cloud is right (n,); None for an abstaining classifier.
        groups: the source of each input (n,), where inputs of one source depend on each other.

    Raises:
        InputError: for no inputs, other lengths, or scores that are not finite.
    """

    score: FloatArray
    base_correct: BoolArray
    cloud_correct: BoolArray | None = None
    groups: IntArray | None = None

    def __post_init__(self) -> None:
        if self.n == 0:
            raise InputError("there are no inputs to calibrate on or to judge by: give some")
        for name in ("base_correct", "cloud_correct", "groups"):
            array = getattr(self, name)
            if array is not None and len(array) != self.n:
                raise InputError(
                    f"{name} has {len(array)} inputs and the send score {self.n}: each needs one"
                )
        finite = np.isfinite(self.score)
        if not finite.all():
            row = int((~finite).argmax())
            raise InputError(f"the send score has NaN or infinity in row {row}: expected numbers")

    @property
    def n(self) -> int:
        """Number of inputs."""
        return len(self.score)

    def take(self, rows: BoolArray | IntArray) -> ScoredInputs:
        """Some of the inputs."""
        return ScoredInputs(
            self.score[rows],
            self.base_correct[rows],
            None if self.cloud_correct is None else self.cloud_correct[rows],
            None if self.groups is None else self.groups[rows],
        )

    def coverage(self, threshold: float) -> float:
        """The share of the inputs that a threshold keeps."""
        return 1.0 - float(sent(self.score, threshold).mean())

    def accuracy(self, threshold: float) -> float:
        """Accuracy of the hybrid at a threshold; without a cloud, on the kept inputs."""
        decided = sent(self.score, threshold)
        return pair_accuracy(self.base_correct, self.cloud_correct, decided).value
