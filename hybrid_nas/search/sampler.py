"""An Optuna sampler that proposes only candidates that fit and are new.

Costs are exact and cheap, so a limit is not something to learn from failed trials: an Optuna
sampler makes a proposal, and the nearest feasible pair that no trial has had yet is what is tried.
The inner sampler then sees that pair as its own choice. Nothing infeasible and nothing twice ever
reaches the study.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from hybrid_nas.errors import HybridNasError
from hybrid_nas.guided.trials import given_up
from hybrid_nas.search.problem import Problem
from hybrid_nas.typing import IntArray

CANDIDATE = "candidate"
"""User attribute of a trial: its canonical row."""

_STARTUP = 20
_POPULATION = 24
_ROUND = 512
_ROUNDS = 40


def _nsga2(seed: int) -> BaseSampler:
    return NSGAIISampler(population_size=_POPULATION, seed=seed)


def _tpe(seed: int) -> BaseSampler:
    return TPESampler(multivariate=True, n_startup_trials=_STARTUP, seed=seed)


def _gp(seed: int) -> BaseSampler:
    return GPSampler(n_startup_trials=_STARTUP, deterministic_objective=False, seed=seed)


SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": _tpe,
    "nsga2": _nsga2,
    "gp": _gp,
    "random": lambda seed: RandomSampler(seed=seed),
}
"""Optuna's samplers by the name that ``--sampler`` takes."""

GUIDED = "guided"
"""The name of the sampler that needs none of them (`hybrid_nas.search.guided`)."""

SAMPLER_NAMES = (GUIDED, *SAMPLERS)
"""What ``--sampler`` takes."""


class SpaceExhaustedError(HybridNasError):
    """Every candidate that fits has been tried (or none was found that is new)."""


class FeasibleSampler(BaseSampler):
    """Proposes with an Optuna sampler and moves to the nearest feasible, untried candidate.

    A fresh inner sampler is made for every trial, seeded by `seed` and the number of trials before
    it: its memory is the study, so that a resumed search goes on as it would have.

    Args:
        problem: candidates, costs and limits.
        name: inner sampler, a key of `SAMPLERS`.
        seed: decides every draw.
    """

    def __init__(self, problem: Problem, name: str, seed: int) -> None:
        self.problem, self.name, self.seed = problem, name, seed
        self._distributions: dict[str, BaseDistribution] = {
            column: IntDistribution(0, size - 1)
            for column, size in problem.candidates.sizes.items()
        }

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All columns, jointly."""
        return self._distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """A feasible candidate that no scored or running trial has, and none that was given up."""
        others = [
            other
            for other in study._storage.get_all_trials(  # the public call copies every trial
                study._study_id, deepcopy=False
            )
            if other.state in (TrialState.COMPLETE, TrialState.RUNNING) or given_up(other)
        ]
        known = frozenset(
            tuple(other.user_attrs[CANDIDATE])
            for other in others
            if other.number != trial.number and CANDIDATE in other.user_attrs
        )
        undecided = sum(o.number < trial.number and CANDIDATE not in o.user_attrs for o in others)
        index = len(known) + undecided  # of others who ask at this moment, too
        rng = np.random.default_rng((self.seed, index))
        row = self._propose(study, trial, index, rng)
        chosen = self._nearest_new(row, known, rng)
        return dict(zip(self._distributions, chosen.tolist(), strict=True))

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Never needed: all columns are sampled jointly."""
        raise HybridNasError(f"column {param_name!r} is not part of this search")

    def _propose(
        self, study: Study, trial: FrozenTrial, index: int, rng: np.random.Generator
    ) -> IntArray:
        """The inner sampler's wish; the first two are the smallest and the largest network."""
        candidates = self.problem.candidates
        if index < 2:
            extreme = candidates.extremes()[index, :-1]
            return np.append(extreme, rng.integers(len(candidates.routers)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            inner = SAMPLERS[self.name](int(rng.integers(2**31)))
            params = inner.sample_relative(study, trial, self._distributions)
        # NSGA-II leaves out what it mutates; random, and the others at first, leave out everything
        row: IntArray = candidates.sample(1, rng)[0]
        for column, name in enumerate(self._distributions):
            row[column] = params.get(name, row[column])
        return row

    def _nearest_new(
        self, row: IntArray, known: frozenset[tuple[int, ...]], rng: np.random.Generator
    ) -> IntArray:
        """`row` if it fits and is new, else the one with the fewest changed columns that is."""
        candidates = self.problem.candidates
        for rows in self._neighbours(row, rng):
            good = candidates.not_among(rows, known)
            good[good] = self.problem.fits(rows[good])
            hits = np.flatnonzero(good)
            if len(hits):
                distance = np.count_nonzero(rows[hits] != row, axis=1)
                best: IntArray = rows[hits[np.argmin(distance)]]
                return best
        raise SpaceExhaustedError(
            f"no untried candidate that fits was found near {_ROUNDS * _ROUND:,} draws: "
            f"{len(known)} were tried; loosen a limit or ask for fewer --trials"
        )

    def _neighbours(self, row: IntArray, rng: np.random.Generator) -> Iterator[IntArray]:
        """The row itself, then mutants with more and more changes, towards smaller networks too."""
        yield row[None]
        candidates = self.problem.candidates
        smallest = self.problem.smallest_like(row)
        for number in range(_ROUNDS):
            most = min(len(row), 2 << number)
            changes = rng.integers(1, most + 1, _ROUND)
            mutants = candidates.mutate(row, _ROUND, changes, rng)
            # half of them step towards the smallest network, where tight limits are
            towards = rng.random(mutants.shape) < rng.random((_ROUND, 1))
            half = _ROUND // 2
            mutants[:half] = np.where(towards[:half], smallest, mutants[:half])
            yield mutants
