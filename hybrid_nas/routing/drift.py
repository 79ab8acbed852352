"""A threshold that follows its inputs, so that the query rate stays at its target.

A calibrated threshold sends the target share of inputs like those it was calibrated on. As inputs
change (dusk, another user, a worn lens), so does the share. This controller moves the threshold up
after each input that is sent and down after each that is kept,

    threshold += step * (sent - target),

as adaptive conformal inference does (Gibbs & Candes, 2021). Scores are first held within the range
seen in calibration. The threshold then stays within one step of that range, so over any T inputs
whatever

    |share sent - target| <= (range + step) / (step * T).

It is one comparison and one addition per input. All of it is in integers, so that the device and
this module decide alike to the bit. A moving threshold keeps a rate: promises that were calibrated
for a fixed one (`guarantees`) end with it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.typing import BoolArray, FloatArray, IntArray

SCHEMA = "hybrid-nas/rate-controller/1"
MEMORY = 200
"""Inputs over which the threshold forgets; larger is steadier and slower (`fit_controller`)."""

_INT32_BITS = 30  # of the largest score: its sign and one step more still fit into 32
_LEAST_STEP = 64  # units of the fixed point: the ratio of the steps holds the target to a percent
_DENSITY_SPAN = 0.05  # on either side of the target: where the spread of scores is measured


@dataclass(frozen=True)
class RateController:
    """The constants of the controller, in units of 2 ** -`fraction_bits` of a send score.

    All fit into int32, sums made with them included.

    Args:
        threshold: to start with; inputs with a higher score are sent.
        step_up: added after an input that is sent.
        step_down: taken off after an input that is kept.
        low, high: scores are held within these.
        fraction_bits: may be negative, where scores are large.
    """

    threshold: int
    step_up: int
    step_down: int
    low: int
    high: int
    fraction_bits: int

    def __post_init__(self) -> None:
        if self.step_up < 1 or self.step_down < 1 or not self.low <= self.threshold <= self.high:
            raise InputError(
                f"{self} is no controller: expected steps of 1 or more and low <= threshold <= high"
            )
        if self.high + self.step_up >= 2**31 or self.low - self.step_down < -(2**31):
            raise InputError(f"{self} does not fit into 32 bits: take fewer fraction bits")

    @property
    def target(self) -> float:
        """The query rate at which ups and downs cancel out."""
        return self.step_down / (self.step_up + self.step_down)

    def error_bound(self, n: int) -> float:
        """How far the share sent of any n inputs in a row can be from the target."""
        step = self.step_up + self.step_down
        return (self.high - self.low + step) / (step * n)

    def fixed(self, score: FloatArray) -> IntArray:
        """Scores (n,) in the controller's units, held within its range.

        Raises:
            InputError: for NaN.
        """
        if np.isnan(score).any():
            raise InputError("a send score is NaN: the controller needs numbers")
        scaled = np.rint(np.ldexp(score, self.fraction_bits))
        units: IntArray = np.clip(scaled, self.low, self.high).astype(np.int64)
        return units

    def run(self, score: FloatArray) -> Track:
        """What the controller decides about scores (n,), one after the other."""
        values = self.fixed(score)
        threshold, thresholds = self.threshold, []
        for value in values.tolist():
            thresholds.append(threshold)
            threshold += self.step_up if value > threshold else -self.step_down
        before = np.array(thresholds, dtype=np.int64)
        return Track(sent=values > before, threshold=before)

    def to_dict(self) -> dict[str, Any]:
        """A document for the firmware's header and for people."""
        return {"schema": SCHEMA, **asdict(self), "target": self.target}


@dataclass(frozen=True, eq=False)
class Track:
    """Decisions (n,), and the threshold (n,) that each was made with, in the controller's units."""

    sent: BoolArray
    threshold: IntArray

    def rates(self, window: int) -> FloatArray:
        """The share sent of each stretch of `window` inputs, one after the other."""
        whole = len(self.sent) // window * window
        shares: FloatArray = self.sent[:whole].reshape(-1, window).mean(axis=1)
        return shares


def fit_controller(
    score: FloatArray, target: float, *, threshold: float | None = None, memory: int = MEMORY
) -> RateController:
    """The constants for send scores (n,) like these.

    The step is the spread of the scores around the threshold, over `memory`: one step up changes
    the share sent by about 1 / `memory`, whatever the scale of the scores. A change is forgotten
    after a few times `memory` inputs, and the rate in force varies with a standard deviation of
    about sqrt(target (1 - target) / (2 `memory`)).

    Args:
        score: of calibration inputs; their range is the one that scores are held in.
        target: the query rate, in (0, 1).
        threshold: to start with; by default the one that sends the target share of these.
        memory: in inputs, 2 or more.

    Raises:
        InputError: for a target or memory out of range, and scores that are not finite or all
            alike, which no threshold tells apart.
    """
    if not 0.0 < target < 1.0:
        raise InputError(f"query rate {target:g} is out of range: expected above 0 and below 1")
    if memory < 2:
        raise InputError(f"a memory of {memory} inputs is out of range: expected 2 or more")
    if len(score) == 0 or not np.isfinite(score).all():
        raise InputError("the controller needs finite send scores, at least one")
    low, high = float(score.min()), float(score.max())
    if low == high:
        raise InputError(f"all send scores are {low:g}: no threshold tells the inputs apart")
    start = float(np.quantile(score, 1.0 - target)) if threshold is None else threshold
    step = spread(score, target) / memory
    bits = _fraction_bits(max(abs(low), abs(high)) + step)
    bottom, top = (round(math.ldexp(bound, bits)) for bound in (low, high))
    units = max(_LEAST_STEP, round(math.ldexp(step, bits)))
    step_down = min(max(1, round(units * target)), units - 1)
    return RateController(
        threshold=min(max(round(math.ldexp(start, bits)), bottom), top),
        step_up=units - step_down,
        step_down=step_down,
        low=bottom,
        high=top,
        fraction_bits=bits,
    )


def spread(score: FloatArray, target: float) -> float:
    """Change of score per change of the share sent, where the target share is sent.

    The inverse density, from quantiles around it; wider apart where scores there are tied.
    """
    span = _DENSITY_SPAN
    while True:
        first, last = max(0.0, 1.0 - target - span), min(1.0, 1.0 - target + span)
        low, high = np.quantile(score, (first, last))
        if high > low or last - first == 1.0:
            return float(high - low) / (last - first)
        span *= 2.0


def _fraction_bits(largest: float) -> int:
    return _INT32_BITS - math.frexp(largest)[1]
