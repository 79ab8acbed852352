"""How far a search is: trials, best accuracy, hypervolume, time left."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hybrid_nas.guided.pareto import hypervolume
from hybrid_nas.search.objectives import OBJECTIVES
from hybrid_nas.search.pareto import RunningFront
from hybrid_nas.search.prices import Device, Prices
from hybrid_nas.search.problem import Problem
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.search.worker import ScoredPair, losses
from hybrid_nas.typing import FloatArray

_LEAST_LOSS_SHOWN = 0.02


@dataclass(frozen=True)
class SearchProgress:
    """State of a search for whoever shows it.

    Attributes:
        done, trials: scored candidates, and how many there will be.
        best: best value of the first objective.
        hypervolume: share of the box between ideal and worst that the front dominates.
        seconds_left: estimated from the pace so far; None at first.
    """

    done: int
    trials: int
    best: float
    hypervolume: float
    seconds_left: float | None


@dataclass(frozen=True)
class Box:
    """The box in which hypervolume is measured, in losses: fixed by problem and settings alone.

    Shares run from 0 to 1. Costs run from the smallest network's to the limit, or to the largest
    network's where there is no limit; where each pair has a query rate of its own, from no query to
    one for every input.
    """

    ideal: FloatArray
    worst: FloatArray

    @classmethod
    def of(cls, problem: Problem, settings: SearchSettings) -> Box:
        """The box of a search."""
        candidates = problem.candidates
        rows = candidates.extremes()
        costs, limits = problem.evaluate(rows), problem.limits
        prices = [Prices.of(settings)] * 2  # with the smallest and the largest cloud
        if problem.clouds is not None:
            genes = map(tuple, candidates.cloud_genes(rows).tolist())
            prices = [
                p.with_cloud(problem.clouds.price(g)) for p, g in zip(prices, genes, strict=True)
            ]
        query_ms = np.array([0.0 if p.query is None else p.query.mean_ms for p in prices])
        cloud_macs = np.array([p.cloud_macs or 0 for p in prices], float)
        rate = 1 - settings.target_coverage
        edge = costs.latency_ms.copy()
        if limits.latency_ms is not None:
            edge[1] = min(edge[1], limits.latency_ms)
        most_loss = max(2 * (settings.max_loss_share or 0.0), _LEAST_LOSS_SHOWN)
        energy = np.array(
            [
                [prices[k].mean_energy_mj(Device(float(edge[k]), 0, 0.0), rates[k]) for k in (0, 1)]
                for rates in ((rate, rate), (0.0, 1.0))
            ],
            float,
        )  # NaN where it is not known, and then no objective
        most = np.array([0.0, 1.0])
        ranges = {
            "edge-latency": edge,
            "mean-latency": edge + rate * query_ms,
            "mean-macs": costs.macs + rate * cloud_macs,
            "mean-energy": energy[0],
            "mean-macs-in-budget": costs.macs + most * cloud_macs,
            "mean-latency-within-loss": edge + most * query_ms,
            "mean-macs-within-loss": costs.macs + most * cloud_macs,
            "mean-energy-within-loss": energy[1],
            "loss": np.array([0.0, most_loss]),
            "sram": np.array([costs.sram_bytes[0], limits.sram_bytes], float),
            "flash": np.array([costs.flash_bytes[0], limits.flash_bytes], float),
        }
        box = np.array([ranges.get(name, (-1.0, 0.0)) for name in settings.objectives], float)
        return cls(box[:, 0], np.maximum(box[:, 1], box[:, 0] + 1e-9))

    def share(self, table: FloatArray) -> float:
        """Share of the box that losses (n, m) dominate."""
        inside = np.maximum(table, self.ideal)
        volume = hypervolume(inside, self.worst)
        return volume / float(np.prod(self.worst - self.ideal))


def hypervolume_history(table: FloatArray, box: Box) -> list[float]:
    """Share of the box after each of the trials, (n,)."""
    front, shares = RunningFront(table.shape[1]), [0.0]
    for point in table:
        shares.append(box.share(front.losses) if front.add(point) else shares[-1])
    return shares[1:]


class ProgressMeter:
    """Turns the list of scored pairs into `SearchProgress`."""

    def __init__(
        self,
        problem: Problem,
        settings: SearchSettings,
        report: Callable[[SearchProgress], None],
    ) -> None:
        self.settings, self._report = settings, report
        self._box = Box.of(problem, settings)
        self._begun: float | None = None
        self._at_start = 0
        self._met: set[int] = set()
        self._front = RunningFront(len(settings.objectives))
        self._volume = 0.0

    def __call__(self, pairs: Sequence[ScoredPair]) -> None:
        """Report the state after these pairs, which hold those of the calls before."""
        now = time.monotonic()
        if self._begun is None:
            self._begun, self._at_start = now, len(pairs)
        self._take_in([pair for pair in pairs if pair.number not in self._met])
        fresh, settings = len(pairs) - self._at_start, self.settings
        left = None
        if fresh > 0:
            left = (settings.trials - len(pairs)) * (now - self._begun) / fresh
        kind, front = OBJECTIVES[settings.objectives[0]], self._front.losses
        best = kind.loss(float(front[:, 0].min())) if len(front) else math.nan
        self._report(SearchProgress(len(pairs), settings.trials, best, self._volume, left))

    def _take_in(self, pairs: list[ScoredPair]) -> None:
        grown = [self._front.add(point) for point in losses(pairs, self.settings.objectives)]
        if any(grown):
            self._volume = self._box.share(self._front.losses)
        self._met |= {pair.number for pair in pairs}
