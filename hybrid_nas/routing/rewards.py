"""What the answers of base and cloud are worth, input by input.

A hybrid's figure is the mean over inputs of r_b + w (r_g - r_b), where w is the chance that an
input is sent and r_b, r_g are the worth of the two answers. With 1 for a right answer and 0 for a
wrong one that is accuracy; a *utility* u(answer, truth) makes it anything else that is a mean over
inputs (`utility`). The best ranking under a quota is by E[r_g - r_b | x], whatever r is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.routing.ranking import send_weights
from hybrid_nas.typing import BoolArray, FloatArray, IntArray

ACCURACY = "accuracy"
UTILITY = "utility"
"""The measure of a matrix: in its own unit, where all others are shares of 1."""


@dataclass(frozen=True, eq=False)
class Rewards:
    """The worth of each answer (n,).

    Args:
        measure: what the mean is called.
        base, cloud: the worth of each model's answer to each input.
        low, high: the ends of their range.
        strata: numbers (n,) of the class shares that the rewards are divided by, where they are;
            see `deviations`.
        figures: others that are means over inputs too, by name: what each model's answer adds.
    """

    measure: str
    base: FloatArray
    cloud: FloatArray
    low: float = 0.0
    high: float = 1.0
    strata: IntArray | None = None
    figures: Mapping[str, tuple[FloatArray, FloatArray]] = field(default_factory=dict)

    @property
    def is_accuracy(self) -> bool:
        """Whether the worth is 1 for a right answer and 0 for a wrong one."""
        return self.measure == ACCURACY

    @property
    def gain(self) -> FloatArray:
        """What sending each input adds (n,)."""
        return self.cloud - self.base

    def of(self, weights: FloatArray) -> FloatArray:
        """The expected worth (n,) of each answer when inputs are sent with these weights."""
        return self.base + weights * self.gain

    def take(self, rows: BoolArray | IntArray) -> Rewards:
        """The rewards of some of the inputs; class shares stay those of all."""
        return replace(
            self,
            base=self.base[rows],
            cloud=self.cloud[rows],
            strata=None if self.strata is None else self.strata[rows],
            figures={name: (b[rows], g[rows]) for name, (b, g) in self.figures.items()},
        )

    def deviations(self, values: FloatArray) -> FloatArray:
        """Values (n,) of the same mean, whose spread is that of a mean over random inputs.

        Rewards with weights 1 / share of the class have means that are averages over classes of the
        mean within the class, and class sizes do not move those: to first order, only the spread
        within the classes counts. So each class's mean is replaced by the overall one.
        """
        if self.strata is None:
            return values
        sizes = np.bincount(self.strata)
        means = np.bincount(self.strata, weights=values) / np.maximum(sizes, 1)
        even: FloatArray = values - means[self.strata] + values.mean()
        return even

    def scaled(self) -> tuple[FloatArray, FloatArray]:
        """Both rewards on a scale from 0 to 1, as router heads are fitted to them."""
        width = self.high - self.low
        return (self.base - self.low) / width, (self.cloud - self.low) / width

    def oracle_weights(self, coverage: float) -> FloatArray:
        """The weights (n,) of the best decisions there are at this coverage or above.

        The inputs of largest gain are sent, as far as the quota goes, and none without a gain.
        """
        gain = self.gain
        return send_weights(gain, coverage) * (gain > 0.0)


def accuracy_rewards(base_correct: BoolArray, cloud_correct: BoolArray) -> Rewards:
    """1 for a right answer, 0 for a wrong one."""
    return Rewards(ACCURACY, base_correct.astype(np.float64), cloud_correct.astype(np.float64))


def with_timeouts(
    rewards: Rewards, base_correct: BoolArray, cloud_correct: BoolArray, availability: float
) -> Rewards:
    """The same rewards, with the accuracy as a figure when only a share of queries is answered."""
    b, g = base_correct.astype(np.float64), cloud_correct.astype(np.float64)
    figure = (b, b + availability * (g - b))
    return replace(rewards, figures={**rewards.figures, "accuracy_with_timeouts": figure})


def make_rewards(
    measure: str,
    base: FloatArray,
    cloud: FloatArray,
    strata: IntArray | None = None,
    figures: Mapping[str, tuple[FloatArray, FloatArray]] | None = None,
) -> Rewards:
    """Rewards with the range that they have.

    Raises:
        InputError: if both answers are worth the same for every input.
    """
    low = float(min(base.min(), cloud.min()))
    high = float(max(base.max(), cloud.max()))
    if not np.any(base != cloud):
        raise InputError(
            f"{measure}: base and cloud are worth the same for every input, so that no routing "
            "matters: give another utility"
        )
    return Rewards(measure, base, cloud, low, high, strata, figures or {})


def reward_penalties(penalties: Sequence[float], rewards: Rewards) -> tuple[float, ...]:
    """Penalties to try for rewards, strongest first, from those to try for accuracy.

    The curvature of a logistic loss falls with its targets: where gains are a tenth of the range,
    the penalty must be a tenth to shrink as much.
    """
    b, g = rewards.scaled()
    sizes = np.abs(g - b)
    typical = float(sizes[sizes > 0.0].mean())
    return tuple(sorted({*penalties, *(typical * l2 for l2 in penalties)}, reverse=True))
