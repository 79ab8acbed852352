"""All decisions that a threshold can make about n inputs, from sending every one to none."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from hybrid_nas.routing.folds import unit_numbers
from hybrid_nas.routing.ranking import run_ends
from hybrid_nas.routing.thresholds import NEVER_SEND
from hybrid_nas.typing import BoolArray, FloatArray, IntArray

ALWAYS_SEND = -NEVER_SEND
"""The threshold for coverage 0: every score is above it."""


class KeepPath:
    """Inputs in the order in which a rising threshold keeps them.

    With m distinct scores there are m + 1 *positions*: at position j the inputs with one of the j
    lowest scores are kept. Inputs of equal score are kept together.

    A *unit* is what is independent of all others: an input, or with groups a group, whose figure is
    the mean over its inputs. All units weigh the same.

    Args:
        score: send scores (n,).
        groups: the source of each input (n,), or None. Groups that all have one input are as none.
    """

    def __init__(self, score: FloatArray, groups: IntArray | None = None) -> None:
        self._order = np.argsort(score, kind="stable")
        ranked = score[self._order]
        ends = run_ends(ranked)
        self._values = ranked[ends - 1]
        self.n = len(score)
        self.kept: IntArray = np.append(0, ends)
        """Inputs kept at each position."""
        numbers = unit_numbers(self.n, groups)
        self.grouped = int(numbers.max()) + 1 < self.n
        self.unit_of: IntArray = numbers
        """The number of each input's unit."""
        self.unit_sizes: IntArray = np.bincount(numbers)
        """Inputs of each unit."""

    @property
    def n_units(self) -> int:
        """Independent units."""
        return len(self.unit_sizes)

    def position(self, threshold: float) -> int:
        """The position whose decisions a threshold makes."""
        return int(np.searchsorted(self._values, threshold, side="right"))

    def threshold(self, position: int, *, at_least: float = ALWAYS_SEND) -> float:
        """A threshold for a position: midway to the next score, so that rounding changes nothing.

        `at_least` bounds it from below; it must itself be at that position or below it.
        """
        if position == len(self._values):
            return NEVER_SEND
        low = at_least
        if position > 0:
            low = max(low, float(self._values[position - 1]))
        if low == ALWAYS_SEND:
            return ALWAYS_SEND
        high = float(self._values[position])
        middle = low / 2.0 + high / 2.0
        return middle if low <= middle < high else low

    def sums(self, when_kept: FloatArray, when_sent: FloatArray) -> FloatArray:
        """Sums over the inputs, at each position, of a figure that an input has kept or sent."""
        change = np.cumsum((when_kept - when_sent)[self._order])
        return float(when_sent.sum()) + np.append(0.0, change)[self.kept]

    def unit_sums(self, when_kept: FloatArray, when_sent: FloatArray) -> FloatArray:
        """Sums over the units of their means, at each position."""
        weight = 1.0 / self.unit_sizes[self.unit_of]
        return self.sums(when_kept * weight, when_sent * weight)

    @cached_property
    def unit_kept(self) -> FloatArray:
        """Sums over the units of their kept shares, at each position."""
        return self.unit_sums(np.ones(self.n), np.zeros(self.n))

    def kept_at(self, position: int) -> BoolArray:
        """Which inputs (n,) are kept at a position."""
        kept = np.zeros(self.n, dtype=np.bool_)
        kept[self._order[: self.kept[position]]] = True
        return kept

    def unit_means(self, figure: FloatArray) -> FloatArray:
        """The mean of a figure (n,) over the inputs of each unit (units,)."""
        means: FloatArray = np.bincount(self.unit_of, weights=figure) / self.unit_sizes
        return means

    def log_products(
        self, when_kept: FloatArray, when_sent: FloatArray, level: float, bets: FloatArray
    ) -> FloatArray:
        """log of the product over units of 1 + bet (level - mean of the unit), (positions, bets).

        `bets` (k,) must leave every factor positive.
        """
        sizes = self.unit_sizes
        first = self.unit_means(when_sent)
        change = (when_kept - when_sent)[self._order] / sizes[self.unit_of[self._order]]
        after = self._running_means(first, change)
        start = _log_factors(first, level, bets).sum(axis=0)
        steps = _log_factors(after, level, bets) - _log_factors(after - change, level, bets)
        path = np.concatenate([np.zeros((1, len(bets))), np.cumsum(steps, axis=0)])
        products: FloatArray = start + path[self.kept]
        return products

    def _running_means(self, first: FloatArray, change: FloatArray) -> FloatArray:
        """The mean of an input's unit just after the input is kept, in order of keeping."""
        rows = self._rows_by_unit
        total = np.cumsum(change[rows])
        ends = np.cumsum(self.unit_sizes)
        before_unit = np.append(0.0, total[ends[:-1] - 1])
        means = np.empty(self.n)
        means[rows] = total + np.repeat(first - before_unit, self.unit_sizes)
        return means

    @cached_property
    def _rows_by_unit(self) -> IntArray:
        rows: IntArray = np.argsort(self.unit_of[self._order], kind="stable")
        return rows


def _log_factors(means: FloatArray, level: float, bets: FloatArray) -> FloatArray:
    factors: FloatArray = np.log1p(bets * (level - np.clip(means, 0.0, 1.0))[:, None])
    return factors
