"""Means over inputs and their differences, with intervals that are all from one bootstrap.

Differences are paired, and groups are resampled whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hybrid_nas.routing.bootstrap import Interval, bootstrap_means
from hybrid_nas.routing.costs import QueryCost
from hybrid_nas.routing.evidence import Evidence
from hybrid_nas.routing.metrics import clustered_stderr
from hybrid_nas.routing.results import Figures
from hybrid_nas.routing.rewards import Rewards, accuracy_rewards
from hybrid_nas.typing import FloatArray

Key = tuple[str | float, ...]


class FigureTable:
    """Means over the inputs by key, differences too, to be bootstrapped together.

    Args:
        evidence: who was right, and the groups.
        rewards: what answers are worth.
        costs: what inputs cost.
    """

    def __init__(
        self, evidence: Evidence, rewards: Rewards, costs: Sequence[QueryCost] = ()
    ) -> None:
        self.groups = evidence.groups
        self.rewards, self.costs = rewards, costs
        self.accuracy = accuracy_rewards(evidence.base_correct, evidence.cloud_correct)
        self._values: dict[Key, FloatArray] = {}
        self._found: dict[Key, Interval] = {}

    def add(self, key: Key, weights: FloatArray) -> None:
        """The accuracy, and the utility, of sending inputs with these weights (n,)."""
        self._values[("accuracy", *key)] = self.accuracy.of(weights)
        if not self.rewards.is_accuracy:
            self.add_worth(key, weights)

    def add_worth(self, key: Key, weights: FloatArray, less: FloatArray | None = None) -> None:
        """The worth of `weights`, or how much more it is than that of `less`."""
        values = self.rewards.of(weights)
        if less is not None:
            values = values - self.rewards.of(less)
        self._values[("worth", *key)] = self.rewards.deviations(values)

    def bootstrap(self, seed: int) -> None:
        """Find the intervals of everything added."""
        columns = np.stack(list(self._values.values()), axis=1)
        intervals = bootstrap_means(columns, self.groups, seed=seed)
        self._found = dict(zip(self._values, intervals, strict=True))

    def interval(self, *key: str | float) -> Interval:
        """The accuracy of a key."""
        return self._found[("accuracy", *key)]

    def worth(self, *key: str | float) -> Interval:
        """The worth of a key: of accuracy where no other utility is in use."""
        found = self._found.get(("worth", *key))
        return self.interval(*key) if found is None else found

    def of(self, key: Key, weights: FloatArray) -> Figures:
        """All figures of a key whose weights were added."""
        own = not self.rewards.is_accuracy
        means = {cost.name: cost.mean(weights) for cost in self.costs}
        for name, (base, cloud) in self.rewards.figures.items():
            means[name] = float((base + weights * (cloud - base)).mean())
        return Figures(
            accuracy=self.interval(*key).value,
            stderr=self._stderr(("accuracy", *key)),
            interval=self.interval(*key),
            coverage=1.0 - float(weights.mean()),
            utility=self.worth(*key) if own else None,
            utility_stderr=self._stderr(("worth", *key)) if own else None,
            means=means,
        )

    def _stderr(self, key: Key) -> float:
        return clustered_stderr(self._values[key], self.groups)
