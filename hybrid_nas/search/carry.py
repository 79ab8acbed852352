"""What a pair's score says under other limits, prices and boards.

A score is two things: what base and router do to the inputs, and what that costs. The first stays
as it is; the second is computed anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from hybrid_nas.routing.metrics import Estimate
from hybrid_nas.search.candidate import Candidate
from hybrid_nas.search.objectives import AT_COVERAGE, AT_POINT_ONLY, OBJECTIVES
from hybrid_nas.search.prices import Device, Prices
from hybrid_nas.search.problem import Problem
from hybrid_nas.search.score import AtCoverage, PairFigures, WorkingPoint
from hybrid_nas.search.settings import SearchSettings

_SAME_RATE = 1e-9


@dataclass(frozen=True)
class Carrier:
    """Turns figures of an earlier run into objectives of this one.

    Attributes:
        problem, settings: of this search.
        earlier: settings that the figures were found under.
    """

    problem: Problem
    settings: SearchSettings
    earlier: SearchSettings

    def losses(self, candidate: Candidate, figures: PairFigures) -> list[float]:
        """This search's objectives, smaller is better; NaN where they do not carry over."""
        priced, coverage = self.priced(candidate, figures), self.settings.target_coverage
        found = []
        for name in self.settings.objectives:
            kind = OBJECTIVES[name]
            missing = (name in AT_COVERAGE and coverage not in priced.at) or (
                name in AT_POINT_ONLY and priced.point is None
            )
            found.append(math.nan if missing else kind.loss(kind.read(priced, coverage)))
        return found

    def priced(self, candidate: Candidate, figures: PairFigures) -> PairFigures:
        """The figures with this search's costs and prices; memory is left as it was."""
        costs = self.problem.evaluate(np.array([self.problem.candidates.row(candidate)]))
        device = Device(
            float(costs.latency_ms[0]),
            int(costs.macs[0]),
            figures.base_accuracy,
            float(costs.saved_ms[0]),
            int(costs.saved_macs[0]),
        )
        prices = Prices.of(self.settings)
        if candidate.cloud is not None and self.problem.clouds is not None:
            prices = prices.with_cloud(self.problem.clouds.price(candidate.cloud))
        return replace(
            figures,
            at={c: _priced(found, prices, device) for c, found in figures.at.items()},
            point=self._point(figures.point, prices, device),
            edge_latency_ms=device.edge_ms,
            sram_bytes=int(costs.sram_bytes[0]),
            flash_bytes=int(costs.flash_bytes[0]),
        )

    def _point(
        self, point: WorkingPoint | None, prices: Prices, device: Device
    ) -> WorkingPoint | None:
        """Where this search would run the pair, if the earlier one looked there."""
        if point is None or self.settings.regime != self.earlier.regime:
            return None
        if self.settings.regime == "loss" and self.settings.max_loss != self.earlier.max_loss:
            return None
        if self.settings.regime == "budget":
            affordable = prices.affordable_coverage(self.settings, device)
            if abs(affordable - point.coverage) > _SAME_RATE:
                return None
        return replace(point, at=_priced(point.at, prices, device))


def _priced(found: AtCoverage, prices: Prices, device: Device) -> AtCoverage:
    loss = None
    if found.loss is not None and found.loss_stderr is not None:
        loss = Estimate(found.loss, found.loss_stderr)
    accuracy = Estimate(found.accuracy, found.stderr)
    return prices.at(accuracy, found.coverage, device, loss)
