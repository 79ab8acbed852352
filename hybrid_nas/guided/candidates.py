"""Where candidates come from: drawn from small to large, bred, changed in one gene, or listed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hybrid_nas.guided.features import INACTIVE
from hybrid_nas.guided.problem import ExhaustedError, Problem, keys
from hybrid_nas.typing import BoolArray, FloatArray, IntArray

_LISTED = 200_000
"""Spaces of up to so many rows are listed when nothing else finds anything new."""
SMALL = 4096
"""Spaces of up to so many rows are always listed whole."""
_ALL_VALUES = 128
"""Of genes of up to so many values all are tried as neighbours."""
_CHUNK = 4096
_ROUNDS = 40
_ROUND = 512


class Collector:
    """Keeps of rows those that are feasible, of finite cost and new, in canonical form.

    Args:
        problem: what is searched.
        known: names of the candidates (`problem.keys`) that are not new.
    """

    def __init__(self, problem: Problem, known: frozenset[bytes]) -> None:
        self.problem, self.known = problem, known
        self._met = set(known)

    def take(self, rows: IntArray) -> BoolArray:
        """Which canonical rows have not been met before, (n,); they are met now."""
        new = []
        for key in keys(rows):
            new.append(key not in self._met)
            self._met.add(key)
        return np.array(new, bool)

    def __call__(self, rows: IntArray) -> tuple[IntArray, FloatArray]:
        """The new feasible ones among `rows`, (k, genes), and their costs (k, costs)."""
        rows = self.problem.canonical(rows)
        rows = rows[self.take(rows)]
        costs = self.problem.costs(rows)
        fits = self.problem.feasible(rows, costs) & np.isfinite(costs).all(1)
        return rows[fits], costs[fits]


def some(
    collect: Collector, n: int, feasible: IntArray, rng: np.random.Generator
) -> tuple[IntArray, FloatArray]:
    """About `n` new feasible candidates, or fewer where more are hard to find.

    Where limits are tight random rows do not fit, so they are moved part of the way to rows that
    do, or may.

    Args:
        collect: says what is new and fits.
        n: how many are enough.
        feasible: rows that fit or nearly so, (any, genes).
        rng: decides every draw.

    Raises:
        ExhaustedError: there is none, or `_ROUNDS` rounds found none.
    """
    problem = collect.problem
    for chunk in everything(problem, SMALL):
        rows, costs = collect(chunk)
        if len(rows):
            return rows, costs
        raise ExhaustedError(exhausted(collect.known))
    sizes = problem.sizes
    targets = [np.stack([0 * sizes, sizes - 1]), feasible]
    if problem.starts is not None:
        targets.append(problem.starts)
    nearby = np.concatenate(targets)
    rows, costs = collect(np.concatenate([nearby, draw(problem, _ROUND, rng)]))
    for _ in range(_ROUNDS):
        if len(rows) >= n:
            break
        aims = np.concatenate([rows, feasible])
        more = collect(_towards(problem, aims if len(aims) else nearby, _ROUND, rng))
        rows, costs = np.concatenate([rows, more[0]]), np.concatenate([costs, more[1]])
        if len(rows) and not len(more[0]):
            break
    if len(rows):
        return rows, costs
    looked = "no untried candidate that fits was found"
    for chunk in everything(problem):
        rows, costs = Collector(problem, collect.known)(chunk)
        if len(rows):
            return rows, costs
        looked = exhausted(collect.known)
    raise ExhaustedError(looked)


def exhausted(known: frozenset[bytes]) -> str:
    """What is said where all candidates were looked at and none is left."""
    if known:
        return "every candidate that fits is known"
    return "no candidate fits: `feasible` takes none of those that have finite costs"


def draw(problem: Problem, n: int, rng: np.random.Generator) -> IntArray:
    """`n` rows, each with a leaning of its own towards low or high values.

    Sums of many uniform genes are all alike; leanings give costs from small to large.
    """
    sizes = problem.sizes
    leaning = np.exp(rng.uniform(-2.0, 2.0, (n, 1)))
    values = (rng.random((n, len(sizes))) ** leaning * sizes).astype(np.int64)
    return np.minimum(values, sizes - 1)


def _towards(problem: Problem, targets: IntArray, n: int, rng: np.random.Generator) -> IntArray:
    drawn = draw(problem, n, rng)
    target = targets[rng.integers(0, len(targets), n)]
    moved = (rng.random(drawn.shape) < rng.random((n, 1))) & (target != INACTIVE)
    return np.where(moved, target, drawn)


def breed(problem: Problem, parents: IntArray, n: int, rng: np.random.Generator) -> IntArray:
    """`n` children, half of two parents and half of one, with one to a few genes redrawn.

    Ordered genes move to a neighbouring value half of the time. Genes that had no effect in a
    parent, and may have one in the child, are drawn.
    """
    sizes = problem.sizes
    shape = (n, len(sizes))
    first, second = parents[rng.integers(0, len(parents), (2, n))]
    share = rng.uniform(0.1, 0.5, (n, 1)) * (rng.random((n, 1)) < 0.5)
    drawn = rng.integers(0, sizes, shape)
    children = np.where(rng.random(shape) < share, second, first)
    children = np.where(children == INACTIVE, drawn, children)
    step = children + rng.choice([-1, 1], shape)
    ordered = np.array([gene.ordered for gene in problem.genes])
    near = ordered & (step >= 0) & (step < sizes) & (rng.random(shape) < 0.5)
    changed = rng.random(shape) < rng.geometric(0.4, (n, 1)) / len(sizes)
    return np.where(changed, np.where(near, step, drawn), children)


def neighbours(problem: Problem, row: IntArray, rng: np.random.Generator) -> IntArray:
    """All rows with one gene changed; genes that this may switch on are drawn.

    Of a gene with more than `_ALL_VALUES` values: those at distances of powers of two, and some.
    """
    sizes = problem.sizes
    values = [_values_near(row[k], int(size), rng) for k, size in enumerate(sizes)]
    columns = np.repeat(np.arange(len(sizes)), [len(some) for some in values])
    rows = np.where(row == INACTIVE, rng.integers(0, sizes, (len(columns), len(sizes))), row)
    rows[np.arange(len(rows)), columns] = np.concatenate(values)
    return rows


def _values_near(value: int, size: int, rng: np.random.Generator) -> IntArray:
    if size <= _ALL_VALUES:
        return np.arange(size)
    steps = 1 << np.arange(31)
    near = np.concatenate([value + steps, value - steps])
    drawn = rng.integers(0, size, _ALL_VALUES - len(near))
    return np.concatenate([near[(near >= 0) & (near < size)], drawn])


def everything(problem: Problem, most: int = _LISTED) -> Iterator[IntArray]:
    """All rows, a few thousand at a time, of a space of `most` rows or fewer; else none."""
    total = float(np.prod(problem.sizes.astype(np.float64)))
    if total > most:
        return
    for begin in range(0, int(total), _CHUNK):
        numbers = np.arange(begin, min(begin + _CHUNK, int(total)))
        yield np.stack(np.unravel_index(numbers, problem.sizes), axis=1).astype(np.int64)
