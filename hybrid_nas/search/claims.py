"""How the processes of a search keep out of each other's way, with nothing but the study.

*Places.* A trial runs if fewer candidates are scored, being scored or queued than are wanted; of
those not yet scored, only trials with a lower number count. Numbers are given out one by one by the
storage, so the last of the trials that run has seen all others: never more are scored than were
wanted.

*Claims.* A worker writes down its candidate, then looks whether another trial has it, then signs.
Of two with the same candidate, at least the one that looks last sees the other. It yields to a
lower number and to a signed one; before a higher number that has not signed it waits.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from hybrid_nas.errors import HybridNasError
from hybrid_nas.search.reclaim import WORKER
from hybrid_nas.search.sampler import CANDIDATE

_COUNTED = (TrialState.COMPLETE, TrialState.RUNNING, TrialState.WAITING)
_RIVALS = (TrialState.COMPLETE, TrialState.RUNNING)
_LOOK_AGAIN_S = 0.05
_SIGNED_WITHIN_S = 10.0


class SteppedBackError(HybridNasError):
    """Another worker does what this one was about to do."""


def take_place(study: Study, trial: Trial, wanted: int) -> None:
    """Let a new trial run only if it is needed for `wanted` candidates.

    Raises:
        SteppedBackError: it is not.
    """
    before = sum(
        other.state == TrialState.COMPLETE or other.number < trial.number
        for other in study.get_trials(deepcopy=False, states=_COUNTED)
    )
    if before >= wanted:
        raise SteppedBackError("enough candidates are being scored")


def claim(study: Study, trial: Trial, row: list[int], worker: Mapping[str, Any]) -> None:
    """Make a candidate this trial's, and sign for it.

    Args:
        study: the study.
        trial: the trial.
        row: the candidate's canonical row.
        worker: `Identity.to_dict` of this process.

    Raises:
        SteppedBackError: another trial has it.
    """
    trial.set_user_attr(CANDIDATE, row)
    latest = time.monotonic() + _SIGNED_WITHIN_S
    while rivals := _rivals(study, trial.number, row):
        if time.monotonic() > latest or any(
            rival.number < trial.number or WORKER in rival.user_attrs for rival in rivals
        ):
            raise SteppedBackError("another worker has this candidate")
        time.sleep(_LOOK_AGAIN_S)
    trial.set_user_attr(WORKER, dict(worker))


def _rivals(study: Study, number: int, row: list[int]) -> list[FrozenTrial]:
    return [
        other
        for other in study.get_trials(deepcopy=False, states=_RIVALS)
        if other.user_attrs.get(CANDIDATE) == row and other.number != number
    ]
