"""The study behind a search: Optuna's storage, opened so that a kill at any moment loses nothing.

SQLite runs with a write-ahead log: a trial's result is one transaction, present or absent as a
whole, and a write costs no disk flush (synchronous=NORMAL survives the death of the process; after
a power cut the last few trials may be missing, never half there).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import TrialState
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from hybrid_nas.errors import InputError
from hybrid_nas.search.objectives import Direction

_BUSY_S = 60
_HEARTBEAT_S = 20


def sqlite_url(path: Path) -> str:
    """The storage URL of a SQLite file."""
    return f"sqlite:///{path}"


def open_storage(url: str) -> RDBStorage:
    """An Optuna RDB storage with heartbeats; see the module's text for SQLite.

    Raises:
        InputError: the URL is none, or nothing answers there.
    """
    sqlite = url.startswith("sqlite")
    options: dict[str, Any] = {"connect_args": {"timeout": _BUSY_S}} if sqlite else {}
    try:
        # heartbeats are marked experimental in Optuna 5; they are what finds dead workers
        warnings.filterwarnings("ignore", message=".*heartbeat_interval.*")
        storage = RDBStorage(
            url,
            engine_kwargs=options,
            heartbeat_interval=_HEARTBEAT_S,
        )
    except (SQLAlchemyError, ImportError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"--storage {url.split('@')[-1]} cannot be opened: {reason}") from error
    if sqlite:
        event.listen(storage.engine, "connect", _tune_sqlite)
        storage.engine.dispose()  # connections made before the listener
    return storage


def _tune_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def create_study(
    storage: RDBStorage, name: str, directions: Sequence[Direction], sampler: BaseSampler
) -> Study:
    """The study of that name, made if it is not there yet."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # failures are raised, not logged
    return optuna.create_study(
        storage=storage,
        study_name=name,
        directions=directions,
        sampler=sampler,
        load_if_exists=True,
    )


def fail_interrupted(study: Study) -> int:
    """Close trials that a dead process left running; their candidates become free again.

    Call only when no other process works on the study.
    """
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in running:
        study.tell(trial.number, state=TrialState.FAIL)
    return len(running)
