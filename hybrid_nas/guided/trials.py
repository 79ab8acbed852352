"""An Optuna study as the history of a search."""

from __future__ import annotations

import numpy as np
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hybrid_nas.errors import InputError
from hybrid_nas.guided.parameters import Parameters
from hybrid_nas.guided.problem import History, Problem
from hybrid_nas.typing import FloatArray, IntArray

CLAIM = "guided:row"
"""System attribute of a trial: the row that it was given, before its parameters are stored."""
MOST_RETRIES = 3
"""A candidate whose trial dies is begun anew so many times."""


def given_up(trial: FrozenTrial) -> bool:
    """Whether a failed trial was its candidate's last: it may be what kills the workers.

    The retries before it are those that Optuna's `RetryHeartbeatStaleTrialCallback` wrote down. A
    retry that nobody began says nothing.
    """
    retries = len(trial.system_attrs.get("retry_history", ()))
    begun = trial.datetime_start is not None
    return trial.state == TrialState.FAIL and begun and retries >= MOST_RETRIES


class TrialReader:
    """Reads trials; what will not change is read once.

    Args:
        parameters: names and values of the genes.
        problem: what is searched.
        retry_failed: leave failed and pruned trials out, so that their candidates are new; not
            those that were given up.
    """

    def __init__(self, parameters: Parameters, problem: Problem, retry_failed: bool) -> None:
        self.parameters, self.problem, self.retry_failed = parameters, problem, retry_failed
        self._heads: dict[str, tuple[int, History]] = {}
        self._read: dict[tuple[str, int], tuple[IntArray, FloatArray] | None] = {}

    def trials(self, study: Study) -> list[FrozenTrial]:
        """All trials in the order of their numbers, not copied."""
        return study.get_trials(deepcopy=False)

    def signs(self, study: Study) -> FloatArray:
        """-1 where the study maximises, (m,)."""
        objectives = self.problem.objectives
        if len(study.directions) != len(objectives):
            raise InputError(
                f"the study has {len(study.directions)} objectives and the problem "
                f"{len(objectives)}: give the problem one entry for each"
            )
        maximised = [d == StudyDirection.MAXIMIZE for d in study.directions]
        for k, column in enumerate(objectives):
            if maximised[k] and column is not None:
                raise InputError(
                    f"objective {k} is an exact cost and the study maximises it: minimise it, or "
                    "let the cost function and the study use minus its value"
                )
        return np.where(maximised, -1.0, 1.0)

    def split(self, study: Study, own: int) -> tuple[History, IntArray, int]:
        """Finished trials, rows that others have or wait for, and how many before have none yet."""
        trials = self.trials(study)
        count, head = self._head(study, trials)
        finished, pending, nameless = [], [], 0
        for trial in trials[count:]:
            if trial.state.is_finished():
                finished.append(self._finished(study, trial))
            elif trial.number != own:
                row = self._unfinished(trial)
                if row is not None:
                    pending.append(row)
                elif trial.state == TrialState.RUNNING and trial.number < own:
                    nameless += 1
        rows = np.array(pending, np.int64).reshape(-1, len(self.problem.genes))
        return self._then(head, finished), rows, nameless

    def _head(self, study: Study, trials: list[FrozenTrial]) -> tuple[int, History]:
        """How many trials from the first on are finished, and what they say; read once."""
        count, head = self._heads.get(study.study_name, (0, History.empty(self.problem)))
        known = []
        while count < len(trials) and trials[count].state.is_finished():
            known.append(self._finished(study, trials[count]))
            count += 1
        self._heads[study.study_name] = count, self._then(head, known)
        return self._heads[study.study_name]

    def _then(self, head: History, known: list[tuple[IntArray, FloatArray] | None]) -> History:
        said = [one for one in known if one is not None]
        if not said:
            return head
        rows, losses = zip(*said, strict=True)
        return head.then(History(np.stack(rows), np.stack(losses)))

    def _finished(self, study: Study, trial: FrozenTrial) -> tuple[IntArray, FloatArray] | None:
        """Canonical row and losses of a trial that will not change; None if it says nothing."""
        name = (study.study_name, trial._trial_id)
        if name not in self._read:
            self._read[name] = self._learn(study, trial)
        return self._read[name]

    def _learn(self, study: Study, trial: FrozenTrial) -> tuple[IntArray, FloatArray] | None:
        complete = trial.state == TrialState.COMPLETE
        row = self.parameters.row(trial.params)
        if row is None or (self.retry_failed and not (complete or given_up(trial))):
            return None
        losses = np.full(len(self.problem.objectives), np.nan)
        if complete:
            losses = self.signs(study) * np.array(trial.values, dtype=np.float64)
        return self.problem.canonical(np.array([row]))[0], losses

    def _unfinished(self, trial: FrozenTrial) -> IntArray | None:
        """Canonical row of a trial that runs or waits, if it is known."""
        chosen = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        row = self.parameters.row(chosen)
        if row is not None:
            return np.asarray(self.problem.canonical(np.array([row]))[0])
        claim = trial.system_attrs.get(CLAIM)
        return None if claim is None else np.array(claim, dtype=np.int64)
