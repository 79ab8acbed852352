"""What a classifier said about n inputs: the arrays that routers read and are judged by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.routing import checks
from hybrid_nas.routing.checks import RealArray
from hybrid_nas.typing import BoolArray, IntArray

_KEY_OF_FIELD = {"probabilities": "probs", "predicted": "pred"}  # where a file's key is another


@dataclass(frozen=True, eq=False)
class ModelOutputs:
    """Outputs of one model on n inputs, checked when made.

    One of `logits` (n, c), `probabilities` (n, c) and `predicted` (n,) is needed; where several are
    given, signals are read from the first in this order. `confidence` (n,), in [0, 1], is the
    probability of the predicted class, for models that tell no more. `labels` (n,) are class
    indices, `features` (n, f) the pooled features before the classifier, `groups` (n,) integers or
    strings that name the source of each input (a user, a session); without them each input is its
    own.
    `stage_features` are pooled features (n, channels) of earlier stages of a base, in order.

    `n_classes` is the number of columns, or else as stated or seen; `source` names the outputs in
    messages.

    Raises:
        InputError: naming the array at fault, what was expected, and what was found.

    >>> outputs = ModelOutputs(labels=np.array([0, 1]), logits=np.array([[2.0, 1.0], [3.0, 0.0]]))
    >>> outputs.pred.tolist(), outputs.correct.tolist()
    ([0, 0], [True, False])
    """

    labels: IntArray | None = None
    logits: RealArray | None = None
    probabilities: RealArray | None = None
    predicted: IntArray | None = None
    confidence: RealArray | None = None
    features: RealArray | None = None
    groups: IntArray | None = None
    n_classes: int = 0
    source: str = "outputs"
    stage_features: tuple[RealArray, ...] = ()

    def __post_init__(self) -> None:
        for field, ndim in (
            ("logits", 2),
            ("probabilities", 2),
            ("features", 2),
            ("confidence", 1),
        ):
            if self._has(field):
                self._settle(field, checks.real_array(self._get(field), ndim, self._name(field)))
        for field in ("labels", "predicted"):
            if self._has(field):
                self._settle(field, checks.class_indices(self._get(field), self._name(field)))
        if self._has("groups"):
            self._settle("groups", checks.group_numbers(self.groups, self._name("groups")))
        stages = [
            checks.real_array(given, 2, self._name(f"stage{number}"))
            for number, given in enumerate(self.stage_features, 1)
        ]
        self._settle("stage_features", tuple(stages))
        self._check_lengths()
        self._check_values()
        self._settle("n_classes", self._count_classes())

    @property
    def n(self) -> int:
        """Number of inputs."""
        return len(self.pred)

    @property
    def scores(self) -> RealArray | None:
        """Logits or probabilities (n, c), whichever there is."""
        return self.logits if self.logits is not None else self.probabilities

    @cached_property
    def pred(self) -> IntArray:
        """The predicted class of each input."""
        if self.predicted is not None:
            return self.predicted
        assert self.scores is not None  # checked when made
        highest: IntArray = self.scores.argmax(axis=1)
        return highest

    @cached_property
    def correct(self) -> BoolArray:
        """Where the prediction equals the label."""
        if self.labels is None:
            raise InputError(f"{self.source}: labels are needed to say what is right: add `labels`")
        right: BoolArray = self.pred == self.labels
        return right

    @cached_property
    def probs(self) -> RealArray | None:
        """Class probabilities (n, c), rows summing to 1; None where only a prediction is known."""
        positive: RealArray
        if self.logits is not None:
            positive = np.exp(self.logits - self.logits.max(axis=1, keepdims=True))
        elif self.probabilities is not None:
            positive = self.probabilities.copy()
        else:
            return None
        positive /= positive.sum(axis=1, keepdims=True)
        return positive

    def take(self, rows: IntArray | BoolArray) -> ModelOutputs:
        """The outputs on some of the inputs, in the order of `rows`."""

        def some(array: Any) -> Any:
            return None if array is None else array[rows]

        return ModelOutputs(
            labels=some(self.labels),
            logits=some(self.logits),
            probabilities=some(self.probabilities),
            predicted=some(self.predicted),
            confidence=some(self.confidence),
            features=some(self.features),
            groups=some(self.groups),
            n_classes=self.n_classes,
            source=self.source,
            stage_features=tuple(some(stage) for stage in self.stage_features),
        )

    def _get(self, field: str) -> Any:
        return getattr(self, field)

    def _has(self, field: str) -> bool:
        return self._get(field) is not None

    def _settle(self, field: str, value: object) -> None:
        object.__setattr__(self, field, value)  # the way to normalise a field of a frozen dataclass

    def _name(self, field: str) -> str:
        return f"{self.source}: {_KEY_OF_FIELD.get(field, field)}"

    def _check_lengths(self) -> None:
        primary = next((f for f in ("logits", "probabilities", "predicted") if self._has(f)), None)
        if primary is None:
            raise InputError(f"{self.source}: one of logits, probs and pred is needed")
        n = len(self._get(primary))
        for field in ("labels", "probabilities", "predicted", "confidence", "features", "groups"):
            if self._has(field) and len(self._get(field)) != n:
                raise InputError(
                    f"{self._name(field)} has {len(self._get(field))} rows and "
                    f"{_KEY_OF_FIELD.get(primary, primary)} {n}: each input needs one"
                )
        for number, stage in enumerate(self.stage_features, 1):
            if len(stage) != n:
                raise InputError(
                    f"{self._name(f'stage{number}')} has {len(stage)} rows and "
                    f"{_KEY_OF_FIELD.get(primary, primary)} {n}: each input needs one"
                )

    def _check_values(self) -> None:
        if self.probabilities is not None:
            checks.check_probabilities(self.probabilities, self._name("probabilities"))
        if self.confidence is not None:
            checks.check_confidence(self.confidence, self._name("confidence"))
        if self.scores is not None:
            if self.scores.shape[1] < 2:
                field = "logits" if self.logits is not None else "probabilities"
                raise InputError(
                    f"{self._name(field)} has one column: expected one per class, at least two"
                )
            if self.predicted is not None:
                checks.check_predictions(self.predicted, self.scores, self._name("predicted"))
            if self.labels is not None:
                checks.check_below(self.labels, self.scores.shape[1], self._name("labels"))

    def _count_classes(self) -> int:
        if self.scores is not None:
            return int(self.scores.shape[1])
        given = [array for array in (self.labels, self.predicted) if array is not None]
        return max(2, self.n_classes, *(int(array.max()) + 1 for array in given))
