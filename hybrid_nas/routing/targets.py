"""Targets other than a coverage: a figure to reach, or a mean cost to stay within.

A target becomes a coverage on the inputs that a router was fitted on, by out-of-fold scores, and
that coverage a threshold of the router that decides; what it gives is judged on other inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hybrid_nas.errors import InfeasibleError
from hybrid_nas.routing.costs import QueryCost
from hybrid_nas.routing.ranking import run_ends
from hybrid_nas.routing.rewards import Rewards
from hybrid_nas.routing.thresholds import NEVER_SEND, fit_threshold
from hybrid_nas.typing import BoolArray, FloatArray, IntArray

_TINY = 1e-12


class Target(Protocol):
    """What is asked of a hybrid."""

    @property
    def name(self) -> str:
        """What it bounds."""

    @property
    def level(self) -> float:
        """The bound."""

    @property
    def break_even(self) -> bool:
        """Whether inputs that are not expected to gain stay even where the target has room."""

    def take(self, rows: BoolArray | IntArray) -> Target:
        """The target for some of the inputs."""

    def coverage(self, score: FloatArray, rewards: Rewards) -> float:
        """The coverage, in 0 .. 1, at which inputs with these send scores (n,) meet it best."""

    def check(self, score: FloatArray, rewards: Rewards) -> None:
        """Refuse what is out of reach on all inputs at hand.

        Raises:
            InfeasibleError: naming the best that can be reached.
        """


@dataclass(frozen=True)
class AtLeast:
    """A figure (accuracy, or the utility in use) to reach with as few queries as possible."""

    level: float
    name: str = "accuracy"
    break_even: bool = False

    def take(self, rows: BoolArray | IntArray) -> AtLeast:
        """Itself: a level is a level."""
        return self

    def coverage(self, score: FloatArray, rewards: Rewards) -> float:
        """The highest coverage that reaches it; the best one where none does."""
        kept, value = _path(score, rewards)
        reached = np.nonzero(value >= self.level - _TINY)[0]
        at = int(reached[0]) if len(reached) else int(value.argmax())
        return float(kept[at])

    def check(self, score: FloatArray, rewards: Rewards) -> None:
        """Refuse a level above the best of the curve of accuracy over coverage."""
        kept, value = _path(score, rewards)
        best = int(value.argmax())
        if value[best] < self.level - _TINY:
            raise InfeasibleError(
                f"{self.name} {self.level:g} is out of reach: the best is {value[best]:.4f}, at "
                f"coverage {kept[best]:.3f} (base alone {value[0]:.4f}, cloud alone "
                f"{value[-1]:.4f}); ask for less, or give a better cloud or more inputs"
            )


@dataclass(frozen=True, eq=False)
class AtMost:
    """A mean cost to spend and not to exceed."""

    level: float
    cost: QueryCost
    break_even: bool = True

    @property
    def name(self) -> str:
        """The cost's name in a sentence."""
        return self.cost.words

    def take(self, rows: BoolArray | IntArray) -> AtMost:
        """The same bound on the mean cost of some of the inputs."""
        return AtMost(self.level, self.cost.take(rows), self.break_even)

    def coverage(self, score: FloatArray, rewards: Rewards) -> float:
        """The lowest coverage whose mean cost is within it; 1 where none is."""
        order = np.argsort(-score, kind="stable")
        n = len(score)
        send = np.broadcast_to(np.asarray(self.cost.send, dtype=np.float64), (n,))[order]
        spent = self.cost.mean(np.zeros(n)) + np.append(0.0, np.cumsum(send)) / n
        # Ties at the edge stay on the device, so only the ends of runs of equal scores count.
        ends = np.append(0, run_ends(score[order]))
        within = ends[spent[ends] <= self.level * (1.0 + _TINY)]
        return 1.0 - float(within.max(initial=0)) / n

    def check(self, score: FloatArray, rewards: Rewards) -> None:
        """Refuse a level below the cost of the base alone."""
        least = self.cost.mean(np.zeros(len(score)))
        if least > self.level * (1.0 + _TINY):
            raise InfeasibleError(
                f"{self.name} {self.cost.text(self.level)} is out of reach: without any query it "
                f"is {self.cost.text(least)}, as every input runs on the device; ask for that or "
                "more, or give a cheaper base"
            )


def threshold_at(score: FloatArray, coverage: float, *, break_even: bool = False) -> float:
    """`fit_threshold`, for a coverage of 0 as well."""
    if coverage > 0.0:
        return fit_threshold(score, coverage, break_even=break_even)
    return 0.0 if break_even else -NEVER_SEND


def check_targets(targets: Sequence[Target], score: FloatArray, rewards: Rewards) -> None:
    """`Target.check` for each of them."""
    for target in targets:
        target.check(score, rewards)


def _path(score: FloatArray, rewards: Rewards) -> tuple[FloatArray, FloatArray]:
    """Coverage and mean reward when inputs are sent one run of equal scores after the other."""
    order = np.argsort(-score, kind="stable")
    sent = np.append(0, run_ends(score[order]))
    gained = np.append(0.0, np.cumsum(rewards.gain[order]))[sent]
    return 1.0 - sent / len(score), (rewards.base.sum() + gained) / len(score)
