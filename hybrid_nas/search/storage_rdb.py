"""Optuna's relational storage with the settings that a search with many processes needs."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Sequence
from typing import Any

import sqlalchemy as sa
from optuna.distributions import (
    BaseDistribution,
    check_distribution_compatibility,
    distribution_to_json,
)
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import event

from hybrid_nas.search.storage_read import read_trials

_BUSY_S = 300
_NO_LIMIT = 2**31 - 1  # above all ids
_IDLE_IN_TRANSACTION_MS = 20_000
_POSTGRES = ("postgresql://", "postgres://")


class Database(RDBStorage):
    """Any database that Optuna takes; SQLite and PostgreSQL get settings of their own.

    A process can be stopped anywhere, also while it holds a lock that all others need. PostgreSQL
    ends such a transaction after 20 s. SQLite cannot, and there others wait for up to five minutes.

    Args:
        url: where it is.
        heartbeat_s, grace_s: seconds between two signs of life, and without one until a worker is
            taken for dead.
        give_back: called with a trial that was just failed for that.
    """

    def __init__(
        self,
        url: str,
        heartbeat_s: int,
        grace_s: int,
        give_back: Callable[[Study, FrozenTrial], None] | None,
    ) -> None:
        self._sqlite = url.startswith("sqlite")
        self._unwritten: dict[int, list[dict[str, Any]]] = {}
        for prefix in _POSTGRES:
            if url.startswith(prefix):
                url = "postgresql+psycopg://" + url.removeprefix(prefix)
        super().__init__(
            url,
            engine_kwargs=_engine_options(url),
            heartbeat_interval=heartbeat_s,
            grace_period=grace_s,
            heartbeat_stale_trial_callback=give_back,
        )
        if self._sqlite:
            event.listen(self.engine, "connect", _tune_sqlite)
            self.engine.dispose()  # connections made before the listener

    # -- reading

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """The trial with an id."""
        with self.engine.connect() as connection:
            found = read_trials(connection, among=(trial_id,), after=_NO_LIMIT)
        if not found:
            raise KeyError(f"there is no trial with id {trial_id}")
        return found[0]

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        wanted = None if states is None else [state for state in TrialState if state in states]
        among = [k for k in included_trial_ids if k <= trial_id_greater_than]
        with self.engine.connect() as connection:
            return read_trials(
                connection, study_id, states=wanted, among=among, after=trial_id_greater_than
            )

    # -- writing

    def _set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None,
    ) -> None:
        """Keep it for `_write`: a transaction for each of fifty parameters is most of a trial."""
        if previous_distribution is not None:
            check_distribution_compatibility(previous_distribution, distribution)
        entry = {
            "trial_id": trial_id,
            "param_name": param_name,
            "param_value": param_value_internal,
            "distribution_json": distribution_to_json(distribution),
        }
        self._unwritten.setdefault(trial_id, []).append(entry)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute, and write the trial's parameters if they are not written yet."""
        self._write(trial_id, models.TrialUserAttributeModel.__table__, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute, and write the trial's parameters if they are not written yet."""
        self._write(trial_id, models.TrialSystemAttributeModel.__table__, key, value)

    def _write(self, trial_id: int, table: sa.Table, key: str, value: Any) -> None:
        params = self._unwritten.pop(trial_id, [])
        mine, its_key = table.c.trial_id == trial_id, table.c.key == key
        text = json.dumps(value)
        with self.engine.begin() as connection:
            state = connection.scalar(
                sa.select(models.TrialModel.state).where(models.TrialModel.trial_id == trial_id)
            )
            if state is None:
                raise KeyError(f"there is no trial with id {trial_id}")
            self.check_trial_is_updatable(trial_id, state)
            if params:
                connection.execute(sa.insert(models.TrialParamModel), params)
            # only the trial's own worker writes to it
            there = connection.execute(
                sa.update(table).where(mine, its_key).values(value_json=text)
            ).rowcount
            if not there:
                entry = {"trial_id": trial_id, "key": key, "value_json": text}
                connection.execute(sa.insert(table).values(entry))

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """End a trial, once.

        Optuna reads the state, then writes it, which SQLite does not make one step: of two
        processes, each could find the trial running and end it.
        """
        self._unwritten.pop(trial_id, None)
        if self._sqlite:
            session = self.scoped_session()  # the one that the method below goes on with
            try:
                session.execute(sa.text("BEGIN IMMEDIATE"))
            except sa.exc.SQLAlchemyError:
                session.rollback()
                raise
        return super().set_trial_state_values(trial_id, state, values)

    # -- watching

    def heartbeat_ages(self, study_id: int) -> dict[int, float]:
        """Seconds since the last sign of life of running trials, by number; not of those without.

        The database's clock counts, so that the machines' clocks need not agree.
        """
        trial, beat = models.TrialModel, models.TrialHeartbeatModel
        query = (
            sa.select(trial.number, beat.heartbeat, sa.func.now())
            .join(beat, beat.trial_id == trial.trial_id)
            .where(trial.study_id == study_id, trial.state == TrialState.RUNNING)
        )
        with self.engine.connect() as connection:
            rows = connection.execute(query).all()
        return {n: (now.replace(tzinfo=None) - at).total_seconds() for n, at, now in rows}


def _engine_options(url: str) -> dict[str, Any]:
    if url.startswith("sqlite"):
        return {"connect_args": {"timeout": _BUSY_S}}
    options: dict[str, Any] = {"pool_pre_ping": True}  # a server may have been started anew
    if url.startswith("postgresql"):
        # heartbeats are stored without a time zone: all workers must mean the same one
        settings = (
            f"-c timezone=utc -c idle_in_transaction_session_timeout={_IDLE_IN_TRANSACTION_MS}"
        )
        options["connect_args"] = {"options": settings, "connect_timeout": 10}
    return options


def _tune_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()
