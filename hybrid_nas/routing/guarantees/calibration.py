"""From a promise and calibration inputs to a threshold that keeps it.

Every promise is one walk over the thresholds. It starts at one that is fixed without the
calibration inputs, goes on while the inputs speak for each threshold it passes, and stops before
the first for which they do not:

* in expectation, conformal risk control: the loss only grows along the walk;
* with a confidence, fixed-sequence testing (Angelopoulos et al., "Learn then Test", 2021): to end
  beyond the first threshold that breaks the promise, the walk must pass the test of that one, which
  has probability 1 - confidence at most. No correction for many thresholds is due, and figures that
  rise and fall along the walk may be promised too. Tests change at calibration scores only, so
  the walk over these is the walk over all thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.routing.guarantees import bounds, support
from hybrid_nas.routing.guarantees.figures import Losses, losses, promised_figure
from hybrid_nas.routing.guarantees.inputs import ScoredInputs
from hybrid_nas.routing.guarantees.path import ALWAYS_SEND, KeepPath
from hybrid_nas.routing.guarantees.promise import Promise
from hybrid_nas.routing.guarantees.splitting import choose_start, set_aside

_SHARE_FOR_START = 0.2


@dataclass(frozen=True)
class Guarantee:
    """A threshold, and what is promised about further inputs decided by it.

    Args:
        promise: the figure, its bound and the confidence.
        threshold: inputs with a higher send score are sent.
        n: calibration inputs.
        n_groups: groups they come from, which then are what is drawn anew; None where every input
            is drawn on its own.
        method: how it was calibrated.
        value: the promised figure on the calibration inputs.
        bound: what these prove of that figure at this threshold, within the promise.
        coverage: share of the calibration inputs that is kept.
        accuracy: of the hybrid on the calibration inputs; without a cloud, of the kept ones.
    """

    promise: Promise
    threshold: float
    n: int
    n_groups: int | None
    method: str
    value: float
    bound: float
    coverage: float
    accuracy: float

    @property
    def reading(self) -> str:
        """What is promised, in a sentence or two."""
        promise = self.promise
        figure = _FIGURES[promise.kind].format(level=f"{100.0 * promise.level:.4g} %")
        if promise.confidence is None:
            how = "In expectation, over calibration and further inputs"
        else:
            how = (
                f"With a confidence of {100.0 * promise.confidence:.4g} %, over the draw of the "
                "calibration inputs"
            )
        if self.n_groups is None:
            whom = f"Holds for inputs drawn as the {self.n} were that it was calibrated on."
        else:
            whom = (
                f"Holds for a random input of a new group, drawn as the {self.n_groups} groups "
                f"({self.n} inputs) were that it was calibrated on: every group weighs the same."
            )
        return f"{how}, {figure}. {whom}"

    def document(self) -> dict[str, Any]:
        """For JSON; shares of 1."""
        return {
            "guarantee": self.promise.text,
            "kind": self.promise.kind,
            "level": self.promise.level,
            "confidence": self.promise.confidence,
            "threshold": self.threshold,
            "calibrated_by": self.method,
            "n": self.n,
            "groups": self.n_groups,
            "value": self.value,
            "bound": self.bound,
            "coverage": self.coverage,
            "accuracy": self.accuracy,
            "reading": self.reading,
        }


_FIGURES = {
    "loss": "at most {level} of the inputs are kept and wrong where the cloud is right, so the "
    "accuracy is at most that much below the cloud's",
    "accuracy": "at least {level} of the inputs are answered rightly",
    "risk": "at most {level} of the kept inputs are wrong",
    "queries": "at most {level} of the inputs are sent",
}


def calibrate(
    promise: Promise,
    inputs: ScoredInputs,
    *,
    start: float | None = None,
    break_even: bool = False,
    seed: int = 0,
) -> Guarantee:
    """The threshold that keeps the most inputs (for `queries`: sends the most) within a promise.

    The score must be fixed without these inputs: a router that was fitted, or chosen, on them voids
    the promise. Several guarantees from the same inputs hold one by one, not all at once.

    Args:
        promise: what to promise.
        inputs: to calibrate on.
        start: for `accuracy` and `risk`, the threshold to start from (`choose_start`), fixed
            without these inputs. None starts accuracy from sending everything; for risk a fifth of
            the inputs chooses it, and the others calibrate.
        break_even: for `queries`, never a threshold below 0, where sending stops to pay.
        seed: of the fifth that chooses.

    Raises:
        InputError: if the promise cannot be kept: too few inputs (the message has the smallest
            number), no threshold that they speak for, or no cloud where it needs one.
    """
    if promise.kind == "risk" and start is None:
        chooses = set_aside(inputs.n, inputs.groups, _SHARE_FOR_START, seed)
        start = choose_start(promise, inputs.take(chooses))
        inputs = inputs.take(~chooses)
    count = losses(promise.kind, inputs)
    path = KeepPath(inputs.score, inputs.groups)
    check_enough(promise, path.n_units, grouped=path.grouped)
    passes = support.passes(promise, path, count)
    if promise.kind == "queries":
        failing = np.nonzero(~passes)[0]
        threshold = path.threshold(int(failing[-1]) + 1 if len(failing) else 0)
        if break_even:
            threshold = max(threshold, 0.0)
    else:
        start = ALWAYS_SEND if start is None or promise.kind == "loss" else start
        begin = path.position(start)
        failing = np.nonzero(~passes[begin:])[0]
        end = begin + int(failing[0]) - 1 if len(failing) else len(passes) - 1
        if end < begin:
            raise InputError(_why_not(promise, path, count, begin))
        threshold = path.threshold(end, at_least=start)
    bound = support.bound(promise, path, count, path.position(threshold))
    return Guarantee(
        promise=promise,
        threshold=threshold,
        n=path.n,
        n_groups=path.n_units if path.grouped else None,
        method=_method(promise, grouped=path.grouped),
        value=promised_figure(promise.kind, inputs, threshold),
        bound=1.0 - bound if promise.kind == "accuracy" else bound,
        coverage=inputs.coverage(threshold),
        accuracy=inputs.accuracy(threshold),
    )


def check_enough(promise: Promise, n_units: int, *, grouped: bool) -> None:
    """Refuse a promise that so few inputs, or groups, cannot prove whatever they are like.

    Raises:
        InputError: with the smallest number that would do.
    """
    smallest = bounds.smallest_n(promise.tolerance, promise.delta, grouped=grouped)
    if n_units < smallest:
        what = "groups of inputs" if grouped else "inputs"
        raise InputError(
            f"{promise.text} cannot be calibrated on {n_units} {what}: it takes at least "
            f"{smallest}; give more, or promise less"
        )


def _method(promise: Promise, *, grouped: bool) -> str:
    if promise.confidence is None:
        return "conformal quantile" if promise.kind == "queries" else "conformal risk control"
    test = "betting on means of groups" if grouped else "Clopper-Pearson"
    return f"fixed sequence, {test}"


def _why_not(promise: Promise, path: KeepPath, count: Losses, begin: int) -> str:
    bound = support.bound(promise, path, count, begin)
    proved = 1.0 - bound if promise.kind == "accuracy" else bound
    sign = ">=" if promise.kind == "accuracy" else "<="
    kept = float(path.kept[begin]) / path.n
    return (
        f"{promise.text} cannot be promised: where it starts, with {100.0 * kept:.3g} % of the "
        f"inputs kept, the {path.n} calibration inputs prove no more than "
        f"{promise.kind}{sign}{proved:.4f}; promise less, or calibrate on more inputs"
    )
