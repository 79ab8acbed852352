"""A search's pairs as the guided sampler sees them, and the sampler that settings name.

What a pair costs is exact, so objectives that are costs are computed. The others, accuracy and
what depends on a router's decisions, are learnt from the scores.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from hybrid_nas.guided import Effort, ExhaustedError, Gene, GuidedSampler, History
from hybrid_nas.guided import Problem as GuidedProblem
from hybrid_nas.hardware.cost import CostModel
from hybrid_nas.search.problem import Problem
from hybrid_nas.search.sampler import GUIDED, FeasibleSampler, SpaceExhaustedError
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.search.warm import read_warm_start
from hybrid_nas.typing import BoolArray, FloatArray, IntArray

EXACT = {"flash": "flash", "sram": "sram", "edge-latency": "latency"}
"""Objectives that are costs, and the column that each is."""
FOLLOWS = {"mean-latency": "latency", "mean-macs": "macs"}
"""Objectives that, at a fixed coverage, are a cost and what queries add. The same for all pairs but
those whose router sends less than it may, whose cloud is their own, or that decide early."""


def make_sampler(problem: Problem, settings: SearchSettings) -> BaseSampler:
    """The sampler that `settings` name."""
    if settings.sampler == GUIDED:
        return PairSampler(problem, settings)
    return FeasibleSampler(problem, settings.sampler, settings.seed)


class PairSampler(GuidedSampler):
    """`GuidedSampler` over a search's pairs.

    Scores of earlier runs are in the study, where `warm.store_warm_start` puts them: every process
    of a search then has the same, and so has a resumed one.

    Args:
        problem: candidates, costs and limits.
        settings: objectives and seed.
        effort: how hard it looks for each candidate.
    """

    def __init__(
        self, problem: Problem, settings: SearchSettings, effort: Effort | None = None
    ) -> None:
        sizes = problem.candidates.sizes
        super().__init__(
            {name: IntDistribution(0, size - 1) for name, size in sizes.items()},
            guided_problem(problem, settings),
            seed=settings.seed,
            effort=effort,
            retry_failed=True,  # trials fail where processes die
        )

    def earlier_of(self, study: Study) -> History | None:
        """Scores of earlier runs, if the search was given any."""
        return read_warm_start(study)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """A feasible pair that no trial has had.

        Raises:
            SpaceExhaustedError: there is none.
        """
        try:
            return super().sample_relative(study, trial, search_space)
        except ExhaustedError as error:
            raise SpaceExhaustedError(
                f"{error}; loosen a limit or ask for fewer --trials"
            ) from error


def guided_problem(problem: Problem, settings: SearchSettings) -> GuidedProblem:
    """Genes, exact costs and limits of a search's pairs.

    Costs that are not known (latency without a table) are no columns.
    """
    candidates, limits = problem.candidates, problem.limits
    names = ["flash", "sram", "macs", "params"]
    names += ["latency"] if problem.costs.latency is not None else []
    limited = [names.index(name) for name in limits.names]
    most = np.array([limits.sram_bytes, limits.flash_bytes, limits.latency_ms or np.inf])
    cloud = _cloud_model(problem)
    objectives, on_device = settings.objectives, settings.on_device

    def costs(rows: IntArray) -> FloatArray:
        found = problem.evaluate(rows)
        sram = found.sram_bytes
        if on_device is not None:  # as the scorer reports it
            sram = np.maximum(sram, on_device.sram_bytes)
        columns: list[IntArray | FloatArray] = [found.flash_bytes, sram, found.macs, found.params]
        if problem.costs.latency is not None:
            columns.append(found.latency_ms)
        if cloud is not None:
            own = cloud.evaluate(candidates.cloud_genes(rows))
            columns += [own.macs, own.params]
        return np.stack(columns, axis=1).astype(np.float64)

    def fits(rows: IntArray, costs: FloatArray) -> BoolArray:
        return np.asarray((costs[:, limited] / most[: len(limited)] <= 1).all(axis=1))

    return GuidedProblem(
        tuple(Gene(name, size, name != "router") for name, size in candidates.sizes.items()),
        tuple(names.index(EXACT[o]) if o in EXACT else None for o in objectives),
        costs,
        fits,
        candidates.canonical,
        _starts(problem),
        tuple(names.index(FOLLOWS[o]) if FOLLOWS.get(o) in names else None for o in objectives),
    )


def _cloud_model(problem: Problem) -> CostModel | None:
    """What counts the MACs of clouds that are chosen, wherever they run."""
    if problem.clouds is None:
        return None
    if problem.clouds.device is not None:
        return problem.clouds.device
    return CostModel(problem.clouds.space, problem.costs.board, problem.costs.runtime)


def _starts(problem: Problem) -> IntArray:
    """The smallest and the largest networks with every router."""
    ends = problem.candidates.extremes()
    routers = np.arange(len(problem.candidates.routers))
    rows = np.repeat(ends, len(routers), axis=0)
    rows[:, -1] = np.tile(routers, len(ends))
    return rows
