"""An Optuna study as the history of a search."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hybrid_nas.errors import InputError
from hybrid_nas.guided.parameters import Parameters
from hybrid_nas.guided.problem import History, Problem
from hybrid_nas.typing import FloatArray, IntArray

CLAIM = "guided:row"
"""System attribute of a trial: the row that it was given, before its parameters are stored.

A trial need not ask for all of them: a parameter may have no effect beside others.
"""
_End = tuple[int, datetime | None]
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
        retry_failed: leave failed trials out, so that their candidates are new; not those that
            were given up, nor pruned ones, which would be pruned again.
    """

    def __init__(self, parameters: Parameters, problem: Problem, retry_failed: bool) -> None:
        self.parameters, self.problem, self.retry_failed = parameters, problem, retry_failed
        self._heads: dict[str, tuple[int, _End | None, History]] = {}
        self._read: dict[tuple[str, _End], tuple[IntArray, FloatArray] | None] = {}

    def trials(self, study: Study) -> list[FrozenTrial]:
        """All trials in the order of their numbers, not copied.

        From the storage: of a study with `HyperbandPruner`, Optuna shows a sampler a part alone.
        """
        return study._storage.get_all_trials(study._study_id, deepcopy=False)

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

    def rivals(self, study: Study, own: int, row: IntArray) -> list[FrozenTrial]:
        """Other trials that have claimed this row, or have been scored with it since `split`."""
        since = self._heads[study.study_name][0]
        return [
            trial
            for trial in self.trials(study)[since:]
            if trial.number != own and self._has(study, trial, row)
        ]

    def _has(self, study: Study, trial: FrozenTrial, row: IntArray) -> bool:
        if trial.state == TrialState.RUNNING:
            return bool(trial.system_attrs.get(CLAIM) == row.tolist())
        if trial.state != TrialState.COMPLETE:
            return False
        said = self._finished(study, trial)
        return said is not None and bool((said[0] == row).all())

    def _head(self, study: Study, trials: list[FrozenTrial]) -> tuple[int, History]:
        """How many trials from the first on are finished, and what they say; read once."""
        count, last, head = self._heads.get(study.study_name, (0, None, None))
        if head is None or count > len(trials) or (count and _end(trials[count - 1]) != last):
            count, head = 0, History.empty(self.problem)  # also another study of the same name
        known = []
        while count < len(trials) and trials[count].state.is_finished():
            known.append(self._finished(study, trials[count]))
            count += 1
        last = _end(trials[count - 1]) if count else None
        self._heads[study.study_name] = count, last, self._then(head, known)
        return count, self._heads[study.study_name][2]

    def _then(self, head: History, known: list[tuple[IntArray, FloatArray] | None]) -> History:
        said = [one for one in known if one is not None]
        if not said:
            return head
        rows, losses = zip(*said, strict=True)
        return head.then(History(np.stack(rows), np.stack(losses)))

    def _finished(self, study: Study, trial: FrozenTrial) -> tuple[IntArray, FloatArray] | None:
        """Canonical row and losses of a trial that will not change; None if it says nothing."""
        name = (study.study_name, _end(trial))
        if name not in self._read:
            self._read[name] = self._learn(study, trial)
        return self._read[name]

    def _learn(self, study: Study, trial: FrozenTrial) -> tuple[IntArray, FloatArray] | None:
        failed = trial.state == TrialState.FAIL
        row = self._row(trial, trial.params)
        if row is None or (failed and self.retry_failed and not given_up(trial)):
            return None
        losses = np.full(len(self.problem.objectives), np.nan)
        if trial.state == TrialState.COMPLETE:
            losses = self.signs(study) * np.array(trial.values, dtype=np.float64)
        return row, losses

    def _unfinished(self, trial: FrozenTrial) -> IntArray | None:
        """Canonical row of a trial that runs or waits, if it is known."""
        row = self._row(trial, {**trial.system_attrs.get("fixed_params", {}), **trial.params})
        claim = trial.system_attrs.get(CLAIM)
        return np.array(claim, dtype=np.int64) if row is None and claim is not None else row

    def _row(self, trial: FrozenTrial, chosen: Mapping[str, Any]) -> IntArray | None:
        """Canonical row of what was chosen; what was not asked for is as it was proposed."""
        claim = trial.system_attrs.get(CLAIM)
        if claim is not None:
            chosen = {**self.parameters.params(np.array(claim)), **chosen}
        row = self.parameters.row(chosen)
        return None if row is None else self.problem.canonical(np.array([row]))[0]


def _end(trial: FrozenTrial) -> _End:
    """What tells a finished trial from those of deleted studies, whose ids are given again."""
    return trial._trial_id, trial.datetime_complete
