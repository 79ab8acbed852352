"""The engine as an Optuna sampler."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from threadpoolctl import ThreadpoolController

from hybrid_nas.errors import InputError
from hybrid_nas.guided.effort import Effort
from hybrid_nas.guided.engine import Engine, check_seed
from hybrid_nas.guided.parameters import Parameters
from hybrid_nas.guided.problem import ExhaustedError, History, Problem
from hybrid_nas.guided.trials import CLAIM, TrialReader
from hybrid_nas.typing import IntArray

_YIELDS = 10


class GuidedSampler(BaseSampler):
    """Proposes what is expected to enlarge the front most, from all scores so far.

    Costs are computed exactly by the problem, other objectives predicted by a Gaussian process. No
    candidate is infeasible, and none is tried twice. The study is the sampler's whole memory: the
    same seed and the same trials before give the same proposal, in a resumed study too.

    Several processes may ask at the same time. Candidates of running trials count as if they were
    scored as predicted, and a trial that finds its candidate claimed by another takes the next.

    Example:
        >>> import optuna
        >>> from optuna.distributions import CategoricalDistribution, IntDistribution
        >>> space = {"depth": IntDistribution(1, 8), "kernel": CategoricalDistribution([3, 5])}
        >>> problem = Parameters(space).problem(
        ...     objectives=(0, None),  # the study's first objective is cost 0, the second is learnt
        ...     costs=lambda p: p["depth"] * p["kernel"] ** 2,
        ...     feasible=lambda p, costs: costs[0] <= 150,
        ... )
        >>> study = optuna.create_study(
        ...     directions=["minimize", "maximize"], sampler=GuidedSampler(space, problem, seed=1)
        ... )

    Args:
        search_space: distributions by name, in the order of the problem's genes.
        problem: what is searched. Its exact objectives must be minimised in the study; learnt ones
            may have either direction.
        seed: decides every draw.
        reference: values (as in the study) that bound the hypervolume; see `Engine`.
        earlier: scores of another search, as `read_history` gives them.
        effort: sizes of the inner search.
        retry_failed: propose candidates of failed trials again, those that failed as retries of
            retries excepted (`trials.given_up`). Right where trials fail because processes die,
            wrong where candidates are at fault.

    Raises:
        InputError: search space and problem do not agree, or the seed is no whole number.
    """

    def __init__(
        self,
        search_space: Mapping[str, BaseDistribution],
        problem: Problem,
        *,
        seed: int = 0,
        reference: Sequence[float] | None = None,
        earlier: History | None = None,
        effort: Effort | None = None,
        retry_failed: bool = False,
    ) -> None:
        self.parameters, self.problem = Parameters(dict(search_space)), problem
        sizes = [gene.size for gene in self.parameters.genes]
        if sizes != problem.sizes.tolist():
            raise InputError(
                f"the search space has parameters with {sizes} values and the problem expects "
                f"{problem.sizes.tolist()}: give the same columns in the same order"
            )
        check_seed(seed)
        self.seed = seed
        self._reference, self._earlier, self._effort = reference, earlier, effort
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._within: tuple[dict[int, int], Engine] | None = None
        self._reader = TrialReader(self.parameters, problem, retry_failed)

    def __getstate__(self) -> dict[str, Any]:
        """Without the lock and what is worked out anew, for pickle and copies."""
        return {**self.__dict__, "_lock": None, "_engine": None, "_within": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All parameters, jointly."""
        return dict(self.parameters.distributions)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """A new feasible candidate, with the values that an enqueued trial fixes.

        Raises:
            ExhaustedError: there is none.
            InputError: the study's objectives are not those of the problem, or a parameter is left
                out of the search space and has no value.
        """
        fixed = self._fixed(study, trial, search_space)
        if all(name in fixed for name in search_space):
            return {}  # enqueued: Optuna takes what the user chose
        try:
            with self._lock, _libraries().limit(limits=1, user_api="blas"):
                row = self._ask(study, trial, fixed)
        except ExhaustedError as error:
            raise ExhaustedError(f"{error}, with {fixed} given" if fixed else str(error)) from error
        params = self.parameters.params(row)
        return {name: params[name] for name in search_space}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Parameters outside the search space are drawn at random; nothing is learnt about them."""
        if param_name in self.parameters.distributions:
            warnings.warn(
                f"parameter {param_name} is drawn at random, so that a candidate may be unfit or "
                f"old: the objective asks for {param_distribution}, which lacks the proposed "
                "value; give the sampler's search space the same distribution",
                stacklevel=2,
            )
        digits = [ord(letter) for letter in param_name]
        seed = np.random.SeedSequence([self.seed, trial.number, *digits]).generate_state(1)
        return RandomSampler(int(seed[0])).sample_independent(
            study, trial, param_name, param_distribution
        )

    def read_history(self, study: Study) -> History:
        """Finished trials of a study over this search space, as `earlier` of another sampler.

        Its objectives must be those of the problem. Trials without a score have nan.
        """
        return self._reader.split(study, own=-1)[0]

    def earlier_of(self, study: Study) -> History | None:
        """What is known from before this study; read once, before the first proposal."""
        return self._earlier

    def _fixed(
        self, study: Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Values of parameters that are not asked for: an enqueued trial's, a wrapper's."""
        ours = self.parameters.distributions.keys()
        chosen = {**trial.params, **trial.system_attrs.get("fixed_params", {})}
        fixed = {name: value for name, value in chosen.items() if name in ours}
        wrapper: Mapping[str, Any] = getattr(study.sampler, "_fixed_params", {})
        for name in ours - search_space.keys() - fixed.keys():
            if name not in wrapper:  # `PartialFixedSampler` has one
                raise InputError(
                    f"parameter {name} was taken out of the search space and has no value: give "
                    "it a single value in the sampler's search space"
                )
            fixed[name] = wrapper[name]
        return fixed

    def _ask(self, study: Study, trial: FrozenTrial, fixed: Mapping[str, Any]) -> IntArray:
        """Ask the engine, claim the candidate, and yield it where another trial has it too."""
        engine, refused = self._engine_of(study, fixed), self.problem.no_rows
        skip: int | None = None
        for _ in range(_YIELDS):
            history, pending, nameless = self._reader.split(study, trial.number)
            pending = np.concatenate([pending, refused])
            row = engine.ask(history, pending, nameless if skip is None else skip)
            claim = self.problem.canonical(row[None])[0]
            study._storage.set_trial_system_attr(trial._trial_id, CLAIM, claim.tolist())
            rivals = self._reader.rivals(study, trial.number, claim)
            if not rivals:
                return row
            refused = np.concatenate([refused, row[None]])
            skip = sum(
                rival.state == TrialState.RUNNING and rival.number < trial.number
                for rival in rivals
            )
        return row

    def _engine_of(self, study: Study, fixed: Mapping[str, Any]) -> Engine:
        """The engine, for candidates with these values where some are fixed."""
        engine, values = self._engine_of_all(study), {}
        for column, (name, size) in enumerate(
            zip(self.parameters.distributions, self.problem.sizes, strict=True)
        ):
            index = self.parameters.index(name, fixed[name]) if name in fixed else None
            if index is not None and size > 1:
                values[column] = index
        if not values:
            return engine
        if self._within is None or self._within[0] != values:
            self._within = values, engine.within(values)
        return self._within[1]

    def _engine_of_all(self, study: Study) -> Engine:
        if self._engine is None:
            signs = self._reader.signs(study)
            reference = None if self._reference is None else signs * np.array(self._reference)
            self._engine = Engine(
                self.problem,
                seed=self.seed,
                reference=None if reference is None else reference.tolist(),
                earlier=self.earlier_of(study),
                effort=self._effort,
            )
        return self._engine


@cache
def _libraries() -> ThreadpoolController:
    """What multiplies matrices here. With a few hundred scores further threads only wait."""
    return ThreadpoolController()
