"""The inner search: evolve thousands of candidates by what they are expected to improve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybrid_nas.guided.candidates import SMALL, Collector, breed, everything, neighbours, some
from hybrid_nas.guided.effort import Effort
from hybrid_nas.guided.pareto import Boxes
from hybrid_nas.guided.predictor import Predictor
from hybrid_nas.guided.problem import ExhaustedError, Problem
from hybrid_nas.typing import FloatArray, IntArray

_REFRESHED = 32  # candidates that are rated anew at a time


@dataclass(frozen=True, eq=False)
class Pool:
    """Rated candidates.

    Attributes:
        rows: canonical, (n, genes).
        costs: exact costs, (n, costs).
        value: expected hypervolume improvement, (n,).
    """

    rows: IntArray
    costs: FloatArray
    value: FloatArray

    def __len__(self) -> int:
        return len(self.rows)

    def best(self, n: int) -> Pool:
        """The `n` of most value, best first."""
        return self[np.argsort(-self.value, kind="stable")[:n]]

    def __getitem__(self, chosen: IntArray) -> Pool:
        return Pool(self.rows[chosen], self.costs[chosen], self.value[chosen])

    def then(self, other: Pool) -> Pool:
        """These and further candidates."""
        return Pool(
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.costs, other.costs]),
            np.concatenate([self.value, other.value]),
        )


@dataclass(frozen=True, eq=False)
class Rating:
    """What candidates are worth.

    Attributes:
        predictor: of all losses.
        boxes: what the front leaves undominated.
    """

    predictor: Predictor
    boxes: Boxes

    def __call__(self, rows: IntArray, costs: FloatArray) -> Pool:
        """Rate canonical feasible rows."""
        mean, sd = self.predictor(rows, costs)
        return Pool(rows, costs, self.boxes.improvement(mean, sd))

    def choice(self, pool: Pool) -> int:
        """Index of the best; where nothing is expected to improve, of the least certain."""
        if pool.value.max() > 0:
            return int(np.argmax(pool.value))
        _, sd = self.predictor(pool.rows, pool.costs)
        return int(np.argmax(sd.sum(1)))


def search(
    rating: Rating,
    collect: Collector,
    parents: IntArray,
    effort: Effort,
    rng: np.random.Generator,
) -> Pool:
    """Evolve candidates from `parents` (k, genes), then climb from the best: all that were rated.

    Raises:
        ExhaustedError: nothing new is feasible.
    """
    problem = collect.problem
    pool = rating(*collect(breed(problem, parents, effort.brood, rng)))
    try:
        pool = pool.then(rating(*some(collect, effort.brood // 4, parents, rng)))
    except ExhaustedError:
        if not len(pool):  # else the last that were left have just been bred
            raise
    for _ in range(effort.generations - 1):
        elders = np.concatenate([pool.best(effort.parents).rows, parents[-effort.parents // 3 :]])
        pool = pool.then(rating(*collect(breed(problem, elders, effort.brood, rng))))
    return climb(rating, collect, pool, effort, rng)


def climb(
    rating: Rating, collect: Collector, pool: Pool, effort: Effort, rng: np.random.Generator
) -> Pool:
    """Rate all neighbours of the best, several times."""
    for _ in range(effort.climbs):
        rows = [neighbours(collect.problem, row, rng) for row in pool.best(effort.climbers).rows]
        pool = pool.then(rating(*collect(np.concatenate(rows))))
    return pool


def refreshed(rating: Rating, pool: Pool) -> Pool:
    """A pool that was rated when less was believed, its best candidate rated as of now.

    What a candidate is expected to improve only falls as predictions are believed: the front
    grows, deviations shrink, and improvement is convex in every loss. Old values are therefore
    bounds, and only those that could be the best are worked out anew. The others stay as they are.
    """
    value, new = pool.value.copy(), np.zeros(len(pool), bool)
    while not new[np.argmax(value)]:
        order = np.argsort(-np.where(new, -np.inf, value), kind="stable")
        chosen = order[: min(_REFRESHED, int((~new).sum()))]
        value[chosen] = rating(pool.rows[chosen], pool.costs[chosen]).value
        new[chosen] = True
    return Pool(pool.rows, pool.costs, value)


def whole(problem: Problem) -> tuple[IntArray, FloatArray] | None:
    """All feasible candidates of a small space and their costs; None for a large one."""
    chunks = list(everything(problem, SMALL))
    return Collector(problem, frozenset())(np.concatenate(chunks)) if chunks else None
