"""Utilities other than accuracy: a matrix, balanced accuracy, recall at a false-alarm rate.

A utility says what an answer a is worth where the truth is y, u(a, y); the gain of sending an input
becomes u(g, y) - u(b, y), and a hybrid's figure the mean utility.

* A k x k matrix, rows truth: u(a, y) = U[y, a]. Costs are negative utilities.
* Balanced accuracy: u(a, y) = 1{a = y} / (k pi_y), with pi_y the share of class y among the inputs
  and k the number of classes that occur. Its mean is the mean over classes of their accuracy.
* Recall of class c at a false-alarm rate F: each model becomes a detector, which raises an alarm
  where its score for c is above a threshold of F alone. With u(alarm, y) = 1{y = c} / pi_c -
  lambda 1{y != c} / (1 - pi_c), and lambda F added throughout, the mean is

      recall - lambda (false-alarm rate - F),

  which for lambda the slope of the ROC curve at F is the recall at exactly F, to first order. Where
  a model's own false alarms are far below F, lambda is no more than takes its recall to 1 there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.npz import load_arrays
from hybrid_nas.routing.detectors import detector_score, roc_slope, unseen_alarms
from hybrid_nas.routing.folds import group_folds
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.rewards import ACCURACY, UTILITY, Rewards, make_rewards
from hybrid_nas.typing import BoolArray, FloatArray, IntArray

MATRIX_KEY = "utility"
"""The key of the matrix in an ``.npz`` file."""

_RECALL = re.compile(r"recall(?::(\d{1,6}))?@([0-9.]{1,12}(?:e-\d{1,2})?)\s*(%?)")
_FEWEST = 10  # inputs of the class, and false alarms allowed among the others
_FOLDS = 5
_EXPECTED = (
    "expected 'balanced', 'recall@0.01' (of the rarest class), 'recall:3@0.01' (of class 3), or a "
    "file (.csv or .npz) of a matrix whose rows are the true classes"
)

Utility = Callable[[ModelOutputs, ModelOutputs, IntArray, IntArray | None], Rewards]
"""Gives the rewards of a base and a cloud, from their outputs, the labels and the groups."""


@dataclass(frozen=True, eq=False)
class MatrixUtility:
    """U[y, a] for each truth y and answer a, from a file called `source`."""

    matrix: FloatArray
    source: str = "utility"

    def __call__(
        self, base: ModelOutputs, cloud: ModelOutputs, labels: IntArray, groups: IntArray | None
    ) -> Rewards:
        """The entries of the matrix that the answers got."""
        classes = len(self.matrix)
        seen = 1 + int(max(labels.max(), base.pred.max(), cloud.pred.max()))
        needed = base.n_classes if base.scores is not None else seen
        if classes < seen or (base.scores is not None and classes != needed):
            raise InputError(
                f"{self.source} is {classes} x {classes} and the outputs have {needed} classes: "
                "give a row and a column for each class"
            )
        return make_rewards(
            UTILITY, self.matrix[labels, base.pred], self.matrix[labels, cloud.pred]
        )


@dataclass(frozen=True)
class BalancedUtility:
    """The mean over the classes that occur of the accuracy on each."""

    def __call__(
        self, base: ModelOutputs, cloud: ModelOutputs, labels: IntArray, groups: IntArray | None
    ) -> Rewards:
        """1 / (k pi_y) for each right answer."""
        present, strata, counts = np.unique(labels, return_inverse=True, return_counts=True)
        worth = len(labels) / (len(present) * counts[strata])
        base_worth, cloud_worth = worth * (base.pred == labels), worth * (cloud.pred == labels)
        return make_rewards("balanced accuracy", base_worth, cloud_worth, strata)


@dataclass(frozen=True)
class RecallUtility:
    """Recall of a class (None: the rarest that occurs) at a false-alarm rate, as in the module.

    Alarm thresholds come from other folds than the inputs they are used on. A model that gives
    predictions alone raises an alarm where it predicts the class: its false alarms are what they
    are, and lambda prices them.
    """

    false_alarm_rate: float
    of_class: int | None = None

    def __call__(
        self, base: ModelOutputs, cloud: ModelOutputs, labels: IntArray, groups: IntArray | None
    ) -> Rewards:
        """The rewards of both detectors' alarms; `figures` has recall and false-alarm rate."""
        wanted = self._class(labels)
        positive = labels == wanted
        n_positive, n_negative = int(positive.sum()), int((~positive).sum())
        self._check_enough(wanted, n_positive, n_negative)
        folds = group_folds(base.pred == labels, cloud.pred == labels, groups, _FOLDS, 0)
        scores = [detector_score(outputs, wanted) for outputs in (base, cloud)]
        alarms = [
            outputs.pred == wanted
            if score is None
            else unseen_alarms(score, positive, folds, self.false_alarm_rate)
            for outputs, score in zip((base, cloud), scores, strict=True)
        ]
        score = scores[1] if scores[1] is not None else scores[0]
        price = 0.0 if score is None else roc_slope(score, positive, self.false_alarm_rate)
        price = min(price, *(self._steepest(alarm, positive) for alarm in alarms))
        per_positive = positive * (len(labels) / n_positive)
        per_negative = ~positive * (len(labels) / n_negative)
        worth = per_positive - price * per_negative
        offset = price * self.false_alarm_rate
        return make_rewards(
            f"recall of class {wanted} at {100 * self.false_alarm_rate:g} % false alarms",
            worth * alarms[0] + offset,
            worth * alarms[1] + offset,
            positive.astype(np.int64),
            {
                "recall": (per_positive * alarms[0], per_positive * alarms[1]),
                "false_alarm_rate": (per_negative * alarms[0], per_negative * alarms[1]),
            },
        )

    def _steepest(self, alarms: BoolArray, positive: BoolArray) -> float:
        """The slope that takes a model's recall to 1 at the rate, where it has fewer alarms."""
        spare = self.false_alarm_rate - float(alarms[~positive].mean())
        return (1.0 - float(alarms[positive].mean())) / spare if spare > 0.0 else float("inf")

    def _class(self, labels: IntArray) -> int:
        present, counts = np.unique(labels, return_counts=True)
        if self.of_class is None:
            return int(present[counts.argmin()])
        if self.of_class not in present:
            raise InputError(
                f"recall:{self.of_class}@{self.false_alarm_rate:g}: no label is {self.of_class}: "
                f"they go from {present[0]} to {present[-1]}"
            )
        return self.of_class

    def _check_enough(self, wanted: int, n_positive: int, n_negative: int) -> None:
        if n_positive < _FEWEST:
            raise InputError(
                f"class {wanted} has {n_positive} inputs: a recall takes {_FEWEST} or more"
            )
        if self.false_alarm_rate * n_negative < _FEWEST:
            raise InputError(
                f"a false-alarm rate of {self.false_alarm_rate:g} allows "
                f"{self.false_alarm_rate * n_negative:.1f} false alarms on the {n_negative} inputs "
                f"of other classes: expected {_FEWEST / n_negative:.2g} or more"
            )


def measure_of(utility: Utility | None) -> tuple[str, bool]:
    """What the mean of a utility is called, and whether it is a share of 1; None is accuracy."""
    match utility:
        case None:
            return ACCURACY, True
        case BalancedUtility():
            return "balanced accuracy", True
        case RecallUtility():
            return "recall", True
    return UTILITY, False


def parse_utility(text: str) -> Utility:
    """The utility that a text names, or that the file of that name holds.

    Raises:
        InputError: for a text that is none, and for a file that holds no square matrix.

    >>> parse_utility("recall:3@1%")
    RecallUtility(false_alarm_rate=0.01, of_class=3)
    """
    word = text.strip()
    if word == "balanced":
        return BalancedUtility()
    found = _RECALL.fullmatch(word)
    if found is not None:
        try:
            rate = float(found[2]) / (100.0 if found[3] else 1.0)
        except ValueError:
            rate = float("nan")
        if not 0.0 < rate < 1.0:
            raise InputError(f"utility {text!r} has no false-alarm rate in 0 .. 1: {_EXPECTED}")
        return RecallUtility(rate, None if found[1] is None else int(found[1]))
    path = Path(text)
    if not path.suffix and not path.exists():
        raise InputError(f"utility {text!r} is unknown: {_EXPECTED}")
    return MatrixUtility(_read_matrix(path), str(path))


def _read_matrix(path: Path) -> FloatArray:
    if path.suffix == ".npz":
        arrays = load_arrays(path, (MATRIX_KEY,))
        if MATRIX_KEY not in arrays:
            raise InputError(f"{path} has no key {MATRIX_KEY!r}: save the matrix under it")
        given = arrays[MATRIX_KEY]
        if given.dtype.kind not in "fiu":
            raise InputError(f"{path}: {MATRIX_KEY} is {given.dtype}: expected numbers")
        matrix: FloatArray = given.astype(np.float64)
    else:
        matrix = _read_rows(path)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 2:
        raise InputError(
            f"{path} has shape {matrix.shape}: expected k x k, a row for each true class"
        )
    if not np.isfinite(matrix).all():
        raise InputError(f"{path} has NaN or infinity: expected finite utilities")
    return matrix


def _read_rows(path: Path) -> FloatArray:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()  # some save a mark before it
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: {_EXPECTED}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text ({error}): {_EXPECTED}") from error
    cells = (line.partition("#")[0].replace(",", " ").split() for line in lines)
    rows = [row for row in cells if row]
    try:
        numbers = [[float(cell) for cell in row] for row in rows]
    except ValueError as error:
        raise InputError(f"{path} has a cell that is no number ({error})") from error
    if len({len(row) for row in numbers}) != 1:
        raise InputError(f"{path} has rows of different lengths: expected k rows of k numbers")
    return np.array(numbers)
