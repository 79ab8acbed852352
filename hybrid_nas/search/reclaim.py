"""Trials whose worker is gone: they are failed, and their candidates given to whoever asks next.

Optuna does both by heartbeats. Two cases remain. A process that dies between the making of its
trial and the first heartbeat would leave it running for ever. And where there are no heartbeats
(Optuna's journal), or no time to wait for one (a search that is resumed), the machine itself is
asked whether the process still lives (`signing` has it say so before it thinks).
"""

from __future__ import annotations

import time
import warnings
from contextlib import suppress
from copy import copy, deepcopy
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from hybrid_nas.guided.trials import MOST_RETRIES
from hybrid_nas.search.identity import Identity
from hybrid_nas.search.sampler import CANDIDATE
from hybrid_nas.search.storage import heartbeat_ages, silent_for_s

WORKER = "worker"
"""User attribute of a trial: the `Identity` that scores it."""
MAKER = "search:maker"
"""System attribute of a trial: the `Identity` that decides on it, written before it does."""
_DECIDED_WITHIN_S = 300.0  # without heartbeats: no sampler takes so long


def worker_of(trial: FrozenTrial) -> Identity | None:
    """Who scores a trial, or thinks about it; None in the moment after its making."""
    plain: Any = trial.user_attrs.get(WORKER) or trial.system_attrs.get(MAKER)
    return None if plain is None else Identity.from_dict(plain)


def give_back(study: Study, trial: FrozenTrial) -> None:
    """Queue the candidate of a failed trial again, as a new trial that the next worker takes.

    Not one that was never decided on, and not one that has failed so four times: it may be what
    kills the workers.
    """
    if CANDIDATE not in trial.user_attrs:
        return
    again = copy(trial)
    again.user_attrs = {CANDIDATE: trial.user_attrs[CANDIDATE]}
    again.system_attrs = deepcopy(trial.system_attrs)  # Optuna appends to the history in it
    again.system_attrs.pop(MAKER, None)  # or it would be taken for a dead one's, once begun
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        RetryHeartbeatStaleTrialCallback(max_retry=MOST_RETRIES)(study, again)


def fail(study: Study, trial: FrozenTrial) -> bool:
    """End a running trial without a result and give its candidate back; False if it has ended."""
    try:
        if not study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL):
            return False
    except UpdateFinishedTrialError:
        return False
    give_back(study, trial)
    return True


def drop_queue(study: Study) -> None:
    """End the trials that wait to be run: there are enough candidates without them."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        with suppress(UpdateFinishedTrialError):
            study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)


def close_dead(study: Study, *, alone: bool) -> int:
    """Fail the running trials of processes of this machine that have ended; how many there were.

    Args:
        study: the study.
        alone: nobody makes trials at this moment, so that one without a worker has been left.
    """
    closed = 0
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        worker = worker_of(trial)
        if alone if worker is None else worker.is_gone:
            closed += fail(study, trial)
    return closed


class Reclaimer:
    """Looks for dead workers while there is nothing else to do.

    Args:
        study: the study.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self._silent_since: dict[int, float] = {}

    def __call__(self) -> None:
        """Fail the running trials of workers that are gone."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            optuna.storages.fail_stale_trials(self.study)
        close_dead(self.study, alone=False)
        self._fail_those_without_heartbeat()

    def _fail_those_without_heartbeat(self) -> None:
        ages, grace = heartbeat_ages(self.study), silent_for_s(self.study) or _DECIDED_WITHIN_S
        now, before = time.monotonic(), self._silent_since
        self._silent_since = {}
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            heard = worker_of(trial) is not None if ages is None else trial.number in ages
            if heard:
                continue
            since = self._silent_since[trial.number] = before.get(trial.number, now)
            if now - since > grace:
                fail(self.study, trial)
