"""The first candidates, before there are scores to learn from: spread over the costs."""

from __future__ import annotations

import numpy as np

from hybrid_nas.guided.candidates import Collector, some
from hybrid_nas.guided.features import CostScale
from hybrid_nas.guided.problem import Problem, keys
from hybrid_nas.typing import IntArray

_DRAWN = 256


def first_candidate(problem: Problem, known: IntArray, seed: int) -> IntArray:
    """The cheapest, the dearest, then candidates in between: (genes,).

    Random candidates all cost about the same. A front has cheap and dear ends, so the k-th
    candidate is the one, of a few hundred, whose costs are nearest to the k-th number of the van
    der Corput sequence (1/2, 1/4, 3/4, 1/8, ...) between the least and the most.

    Args:
        problem: what is searched.
        known: candidates that were proposed or scored before, (k, genes).
        seed: with k, decides the draws.
    """
    place = len(known)
    rng = np.random.default_rng((seed, place))
    rows, costs = some(Collector(problem, frozenset(keys(known))), _DRAWN, known, rng)
    columns = [c for c in problem.objectives if c is not None] or list(range(costs.shape[1]))
    if not columns:
        return np.asarray(rows[rng.integers(len(rows))])
    whole = np.concatenate([costs, problem.costs(known)])[:, columns]
    size = CostScale.of(whole)(whole).mean(1)
    low, high = size.min(), size.max()
    wish = low + (high - low) * _position(place)
    return np.asarray(rows[np.argmin(np.abs(size[: len(rows)] - wish))])


def _position(place: int) -> float:
    """0, 1, then the van der Corput sequence."""
    if place < 2:
        return float(place)
    number, value, unit = place - 1, 0.0, 0.5
    while number:
        value += unit * (number & 1)
        number, unit = number >> 1, unit / 2
    return value
