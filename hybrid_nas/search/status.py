"""How a search is doing, read from its study alone: no data set, no supernet."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from hybrid_nas.search.elapsed import elapsed_seconds
from hybrid_nas.search.join import ENDED, StudyRecord
from hybrid_nas.search.objectives import OBJECTIVES
from hybrid_nas.search.pareto import RunningFront
from hybrid_nas.search.progress import Box
from hybrid_nas.search.reclaim import worker_of
from hybrid_nas.search.storage import heartbeat_ages, silent_for_s

_PACE_OVER = 30  # of the last trials
SCHEMA = "hybrid-nas/status/1"


@dataclass(frozen=True)
class WorkerStatus:
    """A process that is scoring a candidate.

    Attributes:
        host, pid: which process of which machine.
        since: when it joined, ISO 8601, UTC.
        trial: number of the trial that it is at.
        scoring_s: for how long it has been.
        heartbeat_s: since its last sign of life; None where the storage has none.
        silent: it has given none for so long that its trial will be taken from it.
    """

    host: str
    pid: int
    since: str
    trial: int
    scoring_s: float
    heartbeat_s: float | None
    silent: bool


@dataclass(frozen=True)
class SearchStatus:
    """A search at a moment.

    Attributes:
        study: its name.
        wanted: candidates to score.
        trials: by state, in lower case. Failed ones were interrupted or taken from a dead worker,
            and their candidates tried again, or stood back for another worker's.
        workers: those that are scoring.
        per_minute: candidates, over the last thirty; None before the first. Pauses in which none
            was being scored do not count.
        objective, best: the first objective and its best value; None before the first candidate.
        front: pairs that no other beats.
        hypervolume: share of the box that they dominate, as in the progress of ``search``.
        ended: why the search has ended, or None; also while somebody goes on with it.
        seconds_left: at that pace; None where nobody is scoring, or none is known.
    """

    study: str
    wanted: int
    trials: dict[str, int]
    workers: tuple[WorkerStatus, ...]
    per_minute: float | None
    objective: str
    best: float | None
    front: int
    hypervolume: float
    ended: str | None
    seconds_left: float | None
    schema: str = SCHEMA


class Watcher:
    """Reads a study's status again and again; what has been scored is read once.

    Args:
        study: of a search.

    Raises:
        InputError: it is none.
    """

    def __init__(self, study: Study) -> None:
        self.study, self.record = study, StudyRecord.required(study)
        self._names: list[str] = list(self.record.settings["objectives"])
        self._kinds = [OBJECTIVES[name] for name in self._names]
        ideal, worst = (np.array(bound) for bound in self.record.box)
        self._box, self._front = Box(ideal, worst), RunningFront(len(self._names))
        self._met: set[int] = set()

    def __call__(self) -> SearchStatus:
        """The status now."""
        trials = self.study.get_trials(deepcopy=False)
        scored = [t for t in trials if t.state == TrialState.COMPLETE]
        self._take_in(scored)
        self.record = StudyRecord.required(self.study)
        wanted, front = int(self.record.settings["trials"]), self._front.losses
        workers, pace = self._workers(trials), per_minute(scored)
        left = None
        if workers and pace:
            left = 60 * max(wanted - len(scored), 0) / pace
        counts = Counter(trial.state.name.lower() for trial in trials)
        first = self._kinds[0]
        return SearchStatus(
            study=self.study.study_name,
            wanted=wanted,
            trials={state.name.lower(): counts[state.name.lower()] for state in TrialState},
            workers=workers,
            per_minute=pace,
            objective=first.label(float(self.record.settings["target_coverage"])),
            best=first.loss(float(front[:, 0].min())) if len(front) else None,
            front=len(front),
            hypervolume=self._box.share(front) if len(front) else 0.0,
            ended=None if workers else self.study.user_attrs.get(ENDED),
            seconds_left=left,
        )

    def _take_in(self, scored: Sequence[FrozenTrial]) -> None:
        for trial in scored:
            if trial.number not in self._met:
                self._met.add(trial.number)
                pairs = zip(self._kinds, trial.values, strict=True)
                self._front.add(np.array([kind.loss(value) for kind, value in pairs]))

    def _workers(self, trials: Sequence[FrozenTrial]) -> tuple[WorkerStatus, ...]:
        ages, grace = heartbeat_ages(self.study) or {}, silent_for_s(self.study) or math.inf
        now, found = datetime.now(), []
        for trial in trials:
            worker = worker_of(trial) if trial.state == TrialState.RUNNING else None
            if worker is None:
                continue
            age, began = ages.get(trial.number), trial.datetime_start or now
            found.append(
                WorkerStatus(
                    host=worker.host,
                    pid=worker.pid,
                    since=worker.since,
                    trial=trial.number,
                    scoring_s=max((now - began).total_seconds(), 0.0),
                    heartbeat_s=age,
                    silent=worker.is_gone or (age is not None and age > grace),
                )
            )
        return tuple(sorted(found, key=lambda worker: (worker.host, worker.pid)))


def per_minute(scored: Sequence[FrozenTrial]) -> float | None:
    """The pace over the last of these trials, while any was open; None if it is not known."""
    ends = sorted(
        (trial.datetime_complete, trial.datetime_start)
        for trial in scored
        if trial.datetime_start is not None and trial.datetime_complete is not None
    )
    recent = [(begin, end) for end, begin in ends[-_PACE_OVER:]]
    seconds = float(elapsed_seconds(recent).max(initial=0.0))
    return 60 * len(recent) / seconds if seconds > 0 else None
