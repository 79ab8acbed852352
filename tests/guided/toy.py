"""Made-up problems whose every answer can be worked out."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from hybrid_nas.guided import INACTIVE, Gene, History, Problem
from hybrid_nas.guided.problem import keys
from hybrid_nas.typing import BoolArray, FloatArray, IntArray


def chain(sizes: tuple[int, ...] = (3,) * 9, limit: float = np.inf) -> Problem:
    """The first gene is a depth: genes beyond it have no effect. The cost is a weighted sum."""
    weights = 1.0 + np.arange(len(sizes))

    def canonical(rows: IntArray) -> IntArray:
        beyond = np.arange(len(sizes)) > rows[:, :1] + max(len(sizes) - sizes[0], 0)
        return np.where(beyond, INACTIVE, rows)

    def costs(rows: IntArray) -> FloatArray:
        return ((rows + 1) * weights).sum(1, keepdims=True)

    def feasible(rows: IntArray, costs: FloatArray) -> BoolArray:
        return costs[:, 0] <= limit

    genes = tuple(Gene(f"g{k}", size, ordered=k % 3 != 2) for k, size in enumerate(sizes))
    return Problem(genes, (0, None), costs, feasible, canonical)


def score(problem: Problem, rows: IntArray) -> FloatArray:
    """Cost, and an error that falls with it and depends on genes in its own way."""
    cost = problem.costs(rows)[:, 0]
    taste = np.sin(1.0 + np.arange(rows.shape[1]))
    pairs = (rows[:, :-1] * rows[:, 1:] * np.cos(np.arange(rows.shape[1] - 1))).sum(1)
    return np.stack([cost, -np.log(cost) - 0.05 * (rows @ taste) - 0.01 * pairs], axis=1)


def extend(history: History, row: IntArray, losses: FloatArray) -> History:
    return history.then(History(row[None], losses))


def random_history(problem: Problem, n: int, seed: int = 0) -> History:
    """`n` different feasible candidates and their scores."""
    drawn = np.random.default_rng(seed).integers(0, problem.sizes, (20 * n, len(problem.sizes)))
    rows = np.unique(problem.canonical(drawn), axis=0)
    rows = rows[problem.feasible(rows, problem.costs(rows))]
    rows = rows[np.random.default_rng(seed).permutation(len(rows))[:n]]
    assert len(set(keys(rows))) == n
    return History(rows, score(problem, rows))


@st.composite
def grids(draw: st.DrawFn) -> FloatArray:
    """Points on a coarse grid, where coordinates tie and points coincide."""
    m = draw(st.integers(1, 4))
    point = st.lists(st.integers(0, 4), min_size=m, max_size=m)
    return np.array(draw(st.lists(point, min_size=1, max_size=9)), dtype=np.float64)
