"""A rival: ridge regression predicts the accuracy, an inner NSGA-II proposes by it, in batches.

The scheme of LINAS (Cummings et al., "A Hardware-Aware Framework for Accelerating Neural
Architecture Search Across Modalities", 2022) with exact costs and a linear predictor: score a first
batch at random; then, again and again, fit, search the predictor to the end, and score the batch of
its front that is new, spread evenly over the cost.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from dynast_nsga2 import dynast_nsga2

from hybrid_nas.guided.problem import keys

FIRST = 50
BATCH = 10
GENERATIONS = 60
PENALTY = 1.0

OfRows = Callable[[np.ndarray], np.ndarray]
"""Rows (n, genes) to costs (n,) or, for features, (n, f)."""


class RidgeSearch:
    """Proposes rows of whole numbers from 0 to 2.

    Args:
        genes: columns of a row.
        features: what the predictor reads.
        cost: the exact objective, less is better.
        canonical: equal networks to equal rows.
        seed: of the first batch and the inner search.
    """

    def __init__(
        self, genes: int, features: OfRows, cost: OfRows, canonical: OfRows, seed: int
    ) -> None:
        self._genes, self._features, self._cost = genes, features, cost
        self._canonical, self._rng = canonical, np.random.default_rng(seed)
        self._rows: list[list[int]] = []
        self._losses: list[float] = []
        self._met: set[bytes] = set()

    def ask(self) -> list[list[int]]:
        """The next batch."""
        if not self._rows:
            batch = self._new(self._rng.integers(0, 3, (4 * FIRST, self._genes)))[:FIRST]
        else:
            batch = self._proposed()
        rows: list[list[int]] = batch.tolist()
        return rows

    def tell(self, rows: list[list[int]], losses: list[float]) -> None:
        """Scores of a batch; less is better."""
        self._rows += rows
        self._losses += losses
        self._met |= set(keys(self._canonical(np.array(rows))))

    def _proposed(self) -> np.ndarray:
        front = self._new(self._inner(self._fit()))
        front = front[np.argsort(self._cost(front))]
        if len(front) < BATCH:
            spare = self._rng.integers(0, 3, (10 * BATCH, self._genes))
            front = np.concatenate([front, self._new(spare)[: BATCH - len(front)]])
        return front[np.linspace(0, len(front) - 1, BATCH).round().astype(int)]

    def _fit(self) -> Callable[[np.ndarray], np.ndarray]:
        """Ridge regression on what is known."""
        read = self._features(np.array(self._rows))
        center, values = read.mean(axis=0), np.array(self._losses)
        read = read - center
        weights = np.linalg.solve(
            read.T @ read + PENALTY * np.eye(read.shape[1]), read.T @ (values - values.mean())
        )
        return lambda rows: (self._features(rows) - center) @ weights + values.mean()

    def _inner(self, predict: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """The front of costs and predictions that NSGA-II ends with."""
        from pymoo.core.problem import Problem
        from pymoo.optimize import minimize

        cost = self._cost

        class Predicted(Problem):  # type: ignore[misc]
            def _evaluate(self, x: np.ndarray, out: dict[str, np.ndarray], *_: object) -> None:
                rows = x.astype(np.int64)
                out["F"] = np.stack([cost(rows), predict(rows)], axis=1)

        problem = Predicted(n_var=self._genes, n_obj=2, xl=0, xu=2, vtype=int)
        seed = int(self._rng.integers(2**31))
        found = minimize(problem, dynast_nsga2(), ("n_gen", GENERATIONS), seed=seed)
        return np.asarray(found.opt.get("X").astype(np.int64))

    def _new(self, rows: np.ndarray) -> np.ndarray:
        """Rows whose network was not scored, each once."""
        seen, kept = set(self._met), []
        for place, key in enumerate(keys(self._canonical(rows))):
            if key not in seen:
                seen.add(key)
                kept.append(place)
        return rows[kept]
