"""The study behind a search: Optuna's storage, opened so that a kill at any moment loses nothing.

Three kinds, by URL:

``sqlite:///FILE``
    The default, ``study.db`` in the run directory. One machine. It runs with a write-ahead log: a
    trial's result is one transaction, present or absent as a whole, and a write costs no disk flush
    (synchronous=NORMAL survives the death of the process; after a power cut the last few trials may
    be missing, never half there).
``postgresql://USER@HOST/DATABASE``
    Any number of machines. Needs psycopg (``pip install 'hybrid-nas[postgres]'``).
``journal:///FILE``
    Optuna's journal, a file that is only appended to. One machine; no heartbeats.

After three slashes a path is relative, after four it is absolute. In the first two, workers give a
sign of life to the database while they score (Optuna's heartbeat), and a trial that has given none
for three times as long is taken for dead. All times are the database's own.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage, JournalStorage
from optuna.study import Study
from optuna.trial import FrozenTrial
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError, SQLAlchemyError

from hybrid_nas.errors import InputError
from hybrid_nas.search.objectives import Direction
from hybrid_nas.search.storage_journal import JournalFile
from hybrid_nas.search.storage_rdb import Database
from hybrid_nas.search.storage_url import JOURNAL, file_of, sqlite_url, without_password

HEARTBEAT_S = 20
GRACE = 3
"""A worker is taken for dead after so many heartbeats without one."""
_STARTS = 5

GiveBack = Callable[[Study, FrozenTrial], None]


def open_storage(
    url: str,
    *,
    heartbeat_s: int = HEARTBEAT_S,
    give_back: GiveBack | None = None,
    create: bool = True,
) -> BaseStorage:
    """Optuna's storage at a URL; see the module's text.

    Args:
        url: where it is.
        heartbeat_s: seconds between two signs of life of a worker.
        give_back: called with a trial that was just failed because its worker is dead.
        create: make what is not there yet.

    Raises:
        InputError: the URL is none, nothing answers there, or nothing is there and nothing is to be
            created.
    """
    if not create:
        _check_there(url)
    try:
        if url.startswith(JOURNAL):
            return JournalStorage(JournalFile(url.removeprefix(JOURNAL)))
        return _open_database(url, heartbeat_s, give_back)
    except ModuleNotFoundError as error:
        raise InputError(
            f"--storage {without_password(url)} needs the package {error.name}: for PostgreSQL, "
            "pip install 'hybrid-nas[postgres]'"
        ) from error
    except (SQLAlchemyError, ImportError, ValueError, RuntimeError, StorageInternalError) as error:
        raise _cannot_open(url, error) from error
    except OSError as error:
        raise _cannot_open(url, error) from error


def _open_database(url: str, heartbeat_s: int, give_back: GiveBack | None) -> Database:
    with warnings.catch_warnings():
        # heartbeats are marked experimental in Optuna 5; they are what finds dead workers
        warnings.simplefilter("ignore", ExperimentalWarning)
        for attempt in range(1, _STARTS + 1):
            try:
                return Database(url, heartbeat_s, GRACE * heartbeat_s, give_back)
            except (ProgrammingError, IntegrityError, OperationalError):
                # two that make the same tables at the same moment; or nothing answers
                if attempt == _STARTS:
                    raise
                time.sleep(0.1 * attempt)
    raise AssertionError


def _check_there(url: str) -> None:
    path = file_of(url)
    if path is not None and not path.is_file():
        raise InputError(f"--storage {url}: no file {path}")


def _cannot_open(url: str, error: Exception) -> InputError:
    reason = " ".join(str(getattr(error, "orig", None) or error).split())[:160]
    return InputError(
        f"--storage {without_password(url)} cannot be opened: {without_password(reason)}; give "
        "sqlite:///FILE, postgresql://USER@HOST/DATABASE or journal:///FILE"
    )


def create_study(
    storage: BaseStorage, name: str, directions: Sequence[Direction], sampler: BaseSampler
) -> Study:
    """The study of that name, made if it is not there yet."""
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)  # failures are raised, not logged
    return optuna.create_study(
        storage=storage,
        study_name=name,
        directions=directions,
        sampler=sampler,
        load_if_exists=True,
    )


def load_study(storage: BaseStorage, name: str | None, url: str) -> Study:
    """The study of that name, or the only one there is.

    Raises:
        InputError: there is none, or there are several and no name was given.
    """
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    names = sorted(study.study_name for study in storage.get_all_studies())
    where = f"--storage {without_password(url)}"
    if not names:
        raise InputError(
            f"{where} holds no study: start one with 'hybrid-nas search --storage ...'"
        )
    if name is None and len(names) > 1:
        raise InputError(f"{where} holds several studies: give --study, one of {_some(names)}")
    if name is not None and name not in names:
        raise InputError(f"{where} holds no study {name!r}: give --study, one of {_some(names)}")
    return optuna.load_study(study_name=name or names[0], storage=storage)


def _some(names: Sequence[str], most: int = 8) -> str:
    more = "" if len(names) <= most else f" and {len(names) - most} more"
    return ", ".join(names[:most]) + more


def heartbeat_ages(study: Study) -> dict[int, float] | None:
    """Seconds since the last sign of life of each running trial, by trial number.

    A trial that has given none yet is not among them; None where the storage has no heartbeats.
    """
    backend: Any = getattr(study._storage, "_backend", None)
    return backend.heartbeat_ages(study._study_id) if isinstance(backend, Database) else None


def silent_for_s(study: Study) -> float | None:
    """Seconds without a sign of life after which a worker is taken for dead."""
    backend: Any = getattr(study._storage, "_backend", None)
    return float(backend.grace_period or 0) if isinstance(backend, Database) else None


__all__ = [
    "GRACE",
    "HEARTBEAT_S",
    "create_study",
    "heartbeat_ages",
    "load_study",
    "open_storage",
    "silent_for_s",
    "sqlite_url",
]
