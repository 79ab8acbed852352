"""The loop that scores candidates until the study has enough of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from hybrid_nas.search.candidate import Candidate
from hybrid_nas.search.objectives import OBJECTIVES
from hybrid_nas.search.problem import Problem
from hybrid_nas.search.sampler import CANDIDATE, SpaceExhaustedError
from hybrid_nas.search.score import PairFigures
from hybrid_nas.search.scorer import Scorer
from hybrid_nas.search.settings import SearchSettings

FIGURES = "figures"
"""User attribute of a trial: its `PairFigures`."""


@dataclass(frozen=True)
class ScoredPair:
    """A finished trial: the pair, its figures, and the objectives' values in order."""

    number: int
    candidate: Candidate
    figures: PairFigures
    values: tuple[float, ...]


class Worker:
    """One process's share of a search.

    Args:
        study: with a `FeasibleSampler`.
        problem: costs and limits.
        scorer: runs and judges candidates.
        settings: objectives, trials, time budget.
    """

    def __init__(
        self, study: Study, problem: Problem, scorer: Scorer, settings: SearchSettings
    ) -> None:
        self.study, self.problem, self.scorer, self.settings = study, problem, scorer, settings
        self._known: dict[int, ScoredPair] = {}

    def _objective(self, trial: Trial) -> tuple[float, ...]:
        sizes = self.problem.candidates.sizes
        row = np.array([trial.suggest_int(name, 0, size - 1) for name, size in sizes.items()])
        candidate = self.problem.candidates.candidate(row)
        trial.set_user_attr(CANDIDATE, list(self.problem.candidates.row(candidate)))
        figures = self.scorer.score(candidate, self.problem.evaluate(row[None]))
        trial.set_user_attr(FIGURES, figures.to_dict())
        coverage = self.settings.target_coverage
        return tuple(OBJECTIVES[name].read(figures, coverage) for name in self.settings.objectives)

    def scored(self) -> list[ScoredPair]:
        """All finished trials of the study so far, in order of their numbers."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            if trial.number not in self._known:
                self._known[trial.number] = self._read(trial)
        return [self._known[number] for number in sorted(self._known)]

    def _read(self, trial: FrozenTrial) -> ScoredPair:
        row = np.array(trial.user_attrs[CANDIDATE])
        return ScoredPair(
            trial.number,
            self.problem.candidates.candidate(row),
            PairFigures.from_dict(trial.user_attrs[FIGURES]),
            tuple(trial.values),
        )

    def run(
        self,
        report: Callable[[list[ScoredPair]], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> str:
        """Score until there are enough trials, the time is up, or nothing new fits.

        Args:
            report: called after every candidate.
            stop: asked between candidates.

        Returns:
            Why it ended, one sentence.

        Raises:
            KeyboardInterrupt: `stop` said so; every finished candidate is stored.
        """
        begun = time.monotonic()
        while len(scored := self.scored()) < self.settings.trials:
            if report is not None:
                report(scored)
            if stop is not None and stop():
                raise KeyboardInterrupt
            budget = self.settings.time_budget_s
            if budget is not None and time.monotonic() - begun > budget:
                return f"time budget of {budget:g} s used up"
            try:
                self.study.optimize(self._objective, n_trials=1)
            except SpaceExhaustedError as error:
                self._close_open_trials()
                return str(error)
        if report is not None:
            report(scored)
        return f"{len(scored)} candidates scored"

    def _close_open_trials(self) -> None:
        """The trial that asked in vain."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if CANDIDATE not in trial.user_attrs:
                self.study.tell(trial.number, state=optuna.trial.TrialState.FAIL)


def losses(pairs: list[ScoredPair], objectives: tuple[str, ...]) -> np.ndarray:
    """Objective values of pairs with smaller better, (n, objectives)."""
    kinds = [OBJECTIVES[name] for name in objectives]
    return np.array(
        [[kind.loss(v) for kind, v in zip(kinds, pair.values, strict=True)] for pair in pairs],
        dtype=np.float64,
    ).reshape(len(pairs), len(kinds))
