"""Losses of candidates, predicted from all scores so far."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hybrid_nas.guided.features import Coordinates, CostScale, Encoder
from hybrid_nas.guided.kernel import Kernel
from hybrid_nas.guided.pareto import front_mask
from hybrid_nas.guided.problem import History, Problem
from hybrid_nas.guided.process import Process, fit
from hybrid_nas.typing import FloatArray, IntArray

MOST_FITTED = 200
"""The kernel's settings are fitted to so many scores at most: the cost is cubic."""
MOST_SEEN = 500
"""Predictions use so many scores at most."""
_EQUAL = 1e-9  # values that differ by less, relatively, are equal


@dataclass(frozen=True, eq=False)
class Scale:
    """Level and spread of an objective's values, and the kernel of what is left over."""

    level: float
    spread: float
    kernel: Kernel

    @classmethod
    def fitted(cls, seen: Coordinates, values: FloatArray) -> Scale:
        """What suits values (n,) best; n may be 0, and all may be equal."""
        if not len(values):
            return cls(0.0, 1.0, fit(seen, values))
        level, spread = float(values.mean()), float(values.std())
        if spread <= _EQUAL * max(abs(level), 1.0):
            spread = 1.0
        return cls(level, spread, fit(seen, (values - level) / spread))


@dataclass(frozen=True, eq=False)
class Settings:
    """What is fitted now and then: how to encode candidates, and a scale per learnt objective."""

    encoder: Encoder
    scales: tuple[Scale, ...]

    @classmethod
    def fitted(cls, problem: Problem, history: History) -> Settings:
        """Settings that suit a history best."""
        rows, losses, costs = _lessons(problem, history, MOST_FITTED)
        encoder = Encoder(problem.genes, CostScale.of(costs))
        seen = encoder(rows, costs)
        scales = []
        for k in problem.learnt:
            there = np.flatnonzero(np.isfinite(losses[:, k]))
            scales.append(Scale.fitted(seen[there], losses[there, k]))
        return cls(encoder, tuple(scales))


@dataclass(frozen=True, eq=False)
class Predictor:
    """Predicts all objectives: exact ones exactly, learnt ones by a Gaussian process each."""

    problem: Problem
    settings: Settings
    processes: tuple[Process, ...]

    @classmethod
    def given(cls, problem: Problem, settings: Settings, history: History) -> Predictor:
        """Condition on a history."""
        rows, losses, costs = _lessons(problem, history, MOST_SEEN)
        seen = settings.encoder(rows, costs)
        processes = []
        for k, scale in zip(problem.learnt, settings.scales, strict=True):
            there = np.flatnonzero(np.isfinite(losses[:, k]))
            values = (losses[there, k] - scale.level) / scale.spread
            processes.append(Process.given(scale.kernel, seen[there], values))
        return cls(problem, settings, tuple(processes))

    def __call__(self, rows: IntArray, costs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of all losses of canonical rows, (n, m) each."""
        mean = self.problem.exact(costs)
        sd = np.zeros_like(mean)
        at = self.settings.encoder(rows, costs)
        scales = zip(self.problem.learnt, self.settings.scales, self.processes, strict=True)
        followed = self.problem.followed(costs)
        for k, scale, process in scales:
            value, uncertainty = process.predict(at)
            mean[:, k] = followed[:, k] + scale.level + scale.spread * value
            sd[:, k] = scale.spread * uncertainty
        return mean, sd

    def believing(self, rows: IntArray, costs: FloatArray) -> Predictor:
        """The same had all losses of `rows` been seen as they are predicted."""
        at = self.settings.encoder(rows, costs)
        return replace(self, processes=tuple(p.believing(at) for p in self.processes))


def _lessons(
    problem: Problem, history: History, most: int
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Rows, losses less what they follow, and costs, to learn from."""
    chosen = informative(history.losses, most)
    costs = problem.costs(history.rows[chosen])
    finite = np.isfinite(costs).all(1)
    chosen, costs = chosen[finite], costs[finite]
    return history.rows[chosen], history.losses[chosen] - problem.followed(costs), costs


def informative(losses: FloatArray, most: int) -> IntArray:
    """Indices of at most `most` rows to learn from: half near the front, the rest spread evenly.

    Nearness is how much all losses of a point would have to fall, in units of their range, for it
    to be undominated (the additive epsilon indicator).
    """
    n = len(losses)
    if n <= most:
        return np.arange(n)
    known = np.isfinite(losses).all(1)
    distance = np.full(n, np.inf)
    if known.any():
        values = losses[known]
        front = values[front_mask(values)]
        span = np.maximum(np.ptp(values, axis=0), 1e-300)
        excess = np.full(len(values), -np.inf)
        for point in front:
            excess = np.maximum(excess, ((values - point) / span).min(1))
        distance[known] = excess
    order = np.argsort(distance, kind="stable")
    near, rest = order[: most // 2], np.sort(order[most // 2 :])
    even = rest[np.linspace(0, len(rest) - 1, most - len(near)).astype(np.int64)]
    return np.sort(np.concatenate([near, even]))
