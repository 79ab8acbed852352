"""The loop that scores candidates until the study has enough of them, beside others that do so.

Any number of processes on any machines run this loop on one study, which is all that they share;
`claims` says how they keep apart, `reclaim` what becomes of the trials of those that die.

A trial ends once. A worker that was taken for dead (stopped, suspended, cut off) and comes back
finds its trial ended, drops its result and goes on with the next. A storage that does not answer is
asked again for a while: a server may be started anew, or have cut a sleeper off.
"""

from __future__ import annotations

import math
import time
from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from hybrid_nas.errors import HybridNasError
from hybrid_nas.search.candidate import Candidate
from hybrid_nas.search.claims import SteppedBackError, claim, take_place
from hybrid_nas.search.identity import Identity
from hybrid_nas.search.leave import Leave
from hybrid_nas.search.objectives import OBJECTIVES
from hybrid_nas.search.problem import Problem
from hybrid_nas.search.reclaim import Reclaimer, drop_queue, fail, give_back
from hybrid_nas.search.sampler import CANDIDATE, SpaceExhaustedError
from hybrid_nas.search.score import FIGURES, PairFigures
from hybrid_nas.search.scorer import Scorer
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.search.signing import SigningSampler
from hybrid_nas.search.storage_url import without_password

_LOOK_AGAIN_S = 0.25
_STORAGE_ERRORS = (StorageInternalError, SQLAlchemyError)
_ENDED_BY_OTHERS = (ValueError, UpdateFinishedTrialError)
"""What Optuna says of a trial that is told about after its end."""
_MOST_FAILURES = 8  # in a row, with 90 s between the first and the last


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
        study: with a sampler of `hybrid_nas.search`.
        problem: costs and limits.
        scorer: runs and judges candidates.
        settings: objectives, trials, time budget.
        leave: how somebody can ask this process to leave.
        enough: asked after every candidate; says why the search is to end, or None (`patience`).
    """

    def __init__(
        self,
        study: Study,
        problem: Problem,
        scorer: Scorer,
        settings: SearchSettings,
        leave: Leave | None = None,
        enough: Callable[[list[ScoredPair]], str | None] = lambda pairs: None,
    ) -> None:
        self.study, self.problem, self.scorer, self.settings = study, problem, scorer, settings
        self.done_here, self._enough = 0, enough
        self._leave, self._reclaim = leave or Leave(), Reclaimer(study)
        self._identity = Identity.here().to_dict()
        study.sampler = SigningSampler(study.sampler, self._identity)
        self._known: dict[int, ScoredPair] = {}
        self._order: list[int] = []
        self._begun, self._reported = 0.0, -1
        self._trial: Trial | None = None
        self._error: BaseException | None = None

    # -- one trial

    def _objective(self, trial: Trial) -> tuple[float, ...]:
        self._trial = trial
        try:
            return self._score(trial)
        except UpdateFinishedTrialError:
            raise
        except SteppedBackError:
            self._trial = None
            raise
        except BaseException as error:
            self._error = error
            raise

    def _score(self, trial: Trial) -> tuple[float, ...]:
        take_place(self.study, trial, self.settings.trials)
        sizes = self.problem.candidates.sizes
        row = np.array([trial.suggest_int(name, 0, size - 1) for name, size in sizes.items()])
        candidate = self.problem.candidates.candidate(row)
        claim(self.study, trial, list(self.problem.candidates.row(candidate)), self._identity)
        with self._leave.at_once():
            figures = self.scorer.score(candidate, self.problem.evaluate(row[None]))
        trial.set_user_attr(FIGURES, figures.to_dict())
        return objective_values(figures, self.settings)

    def _one_trial(self) -> None:
        self._trial = self._error = None
        try:
            self.study.optimize(self._objective, n_trials=1, catch=(SteppedBackError,))
            self.done_here += self._trial is not None
        except _ENDED_BY_OTHERS:
            self._raise_own_error()
            if not self._was_taken_for_dead():
                raise
        except KeyboardInterrupt:
            self._give_back()
            raise
        except AssertionError as error:
            # Optuna's, about a trial whose end could not be stored, or that others have ended
            # since the last sign of it that the scoring left
            if isinstance(error.__context__, _STORAGE_ERRORS):
                raise error.__context__ from None
            if not (isinstance(error.__context__, _ENDED_BY_OTHERS) and self._was_taken_for_dead()):
                raise

    def _raise_own_error(self) -> None:
        """What went wrong here, rather than that it could not be told."""
        if self._error is not None:
            raise self._error from None

    def _was_taken_for_dead(self) -> bool:
        """Whether somebody else ended the trial that was just told about in vain."""
        if self._trial is None:
            return False
        return self.study._storage.get_trial(self._trial._trial_id).state.is_finished()

    def _give_back(self) -> None:
        """The candidate of the trial that was cut short, if there is one."""
        if self._trial is None:
            return
        frozen = self.study._storage.get_trial(self._trial._trial_id)
        if frozen.state == TrialState.RUNNING:
            fail(self.study, frozen)
        elif frozen.state == TrialState.FAIL:  # by Optuna, when the scoring was interrupted
            give_back(self.study, frozen)
        self._trial = None

    # -- all trials

    def scored(self) -> list[ScoredPair]:
        """All finished trials of the study so far, in order of their numbers."""
        return self._look()[0]

    def _look(self) -> tuple[list[ScoredPair], int]:
        """Finished trials, and how many are running."""
        running = 0
        for trial in self.study.get_trials(deepcopy=False):
            if trial.state == TrialState.RUNNING:
                running += 1
            elif trial.state == TrialState.COMPLETE and trial.number not in self._known:
                self._known[trial.number] = self._read(trial)
                insort(self._order, trial.number)
        return [self._known[number] for number in self._order], running

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

        When the last candidates are being scored by others it waits: should one of them die, its
        candidate is scored here.

        Args:
            report: called when a candidate has been scored, here or elsewhere.
            stop: asked between candidates.

        Returns:
            Why it ended, one sentence.

        Raises:
            KeyboardInterrupt: `stop` or `leave` said so; every finished candidate is stored.
            HybridNasError: the storage does not answer.
        """
        self._begun, self._reported, failures = time.monotonic(), -1, 0
        while True:
            try:
                if failures:
                    self._give_back()
                ended = self._step(report, stop)
                failures = 0
            except _STORAGE_ERRORS as error:
                failures += 1
                if failures > _MOST_FAILURES:
                    raise _storage_failed(error) from error
                time.sleep(min(0.4 * 2**failures, 30.0))
                continue
            if ended is not None:
                return ended

    def _step(
        self,
        report: Callable[[list[ScoredPair]], None] | None,
        stop: Callable[[], bool] | None,
    ) -> str | None:
        """Score a candidate, or wait for others to; why it is the end, if it is."""
        wanted, budget = self.settings.trials, self.settings.time_budget_s
        scored, running = self._look()
        if report is not None and len(scored) != self._reported:
            report(scored)
            self._reported = len(scored)
        ended = f"{len(scored)} candidates scored" if len(scored) >= wanted else None
        if ended := ended or self._enough(scored):
            drop_queue(self.study)
            return ended
        if self._leave.wanted or (stop is not None and stop()):
            raise KeyboardInterrupt
        if budget is not None and time.monotonic() - self._begun > budget:
            return f"time budget of {budget:g} s used up"
        if len(scored) + running >= wanted:
            self._reclaim()
            time.sleep(_LOOK_AGAIN_S)
            return None
        try:
            self._one_trial()
        except SpaceExhaustedError as error:
            return str(error)
        return None


def _storage_failed(error: Exception) -> HybridNasError:
    reason = without_password(" ".join(str(error.__cause__ or error).split())[:160])
    return HybridNasError(
        f"the study's storage does not answer ({reason}); every scored candidate is kept: go on "
        "when it does"
    )


def objective_values(figures: PairFigures, settings: SearchSettings) -> tuple[float, ...]:
    """What the study optimises, in the order of its directions.

    Raises:
        HybridNasError: one of them is not known for these settings.
    """
    coverage = settings.target_coverage
    values = tuple(OBJECTIVES[name].read(figures, coverage) for name in settings.objectives)
    for name, value in zip(settings.objectives, values, strict=True):
        if math.isnan(value):  # Optuna would fail the trial, and the search begin another for ever
            raise HybridNasError(
                f"objective {name} has no value for a candidate that was scored: leave it out, "
                "or say what it takes (a cloud, a latency table, --board-power)"
            )
    return values


def losses(pairs: list[ScoredPair], objectives: tuple[str, ...]) -> np.ndarray:
    """Objective values of pairs with smaller better, (n, objectives)."""
    kinds = [OBJECTIVES[name] for name in objectives]
    return np.array(
        [[kind.loss(v) for kind, v in zip(kinds, pair.values, strict=True)] for pair in pairs],
        dtype=np.float64,
    ).reshape(len(pairs), len(kinds))
