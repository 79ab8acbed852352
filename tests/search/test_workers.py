"""Several workers on one study: places, claims, sleepers, those that leave; scoring is free."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import TrialState

from benchmarks.engine_overhead import StubScorer
from hybrid_nas.errors import HybridNasError
from hybrid_nas.hardware.cost import Costs
from hybrid_nas.search.candidate import Candidate
from hybrid_nas.search.identity import Identity
from hybrid_nas.search.join import open_study
from hybrid_nas.search.leave import Leave
from hybrid_nas.search.reclaim import MAKER, WORKER, Reclaimer, close_dead, worker_of
from hybrid_nas.search.sampler import CANDIDATE
from hybrid_nas.search.score import PairFigures
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.search.storage import open_storage
from hybrid_nas.search.worker import Worker, objective_values
from tests.search.conftest import TinyInputs


class Scorer(StubScorer):
    """Calls something in the middle of each scoring."""

    def __init__(self, setup: SearchSetup, during: Callable[[], None]) -> None:
        super().__init__(setup.settings)
        self._during = during

    def score(self, candidate: Candidate, costs: Costs) -> PairFigures:
        self._during()
        return super().score(candidate, costs)


@pytest.fixture(params=["sqlite", "journal"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{request.param}:///{tmp_path}/study.{request.param}"


@pytest.fixture(scope="module")
def setup(tiny: TinyInputs) -> SearchSetup:
    found = SearchSetup(tiny.settings(trials=24))
    assert found.problem
    return found


def worker_on(
    setup: SearchSetup,
    url: str,
    during: Callable[[], None] = lambda: None,
    leave: Leave | None = None,
) -> Worker:
    study = open_study(setup, url, "study", heartbeat_s=1)
    scorer = Scorer(setup, during)
    return Worker(study, setup.problem, scorer, setup.settings, leave)  # type: ignore[arg-type]


def states(study: Study) -> Counter[str]:
    return Counter(trial.state.name for trial in study.get_trials(deepcopy=False))


def candidates(study: Study) -> list[tuple[int, ...]]:
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [tuple(trial.user_attrs[CANDIDATE]) for trial in trials]


def test_never_too_many_never_twice(setup: SearchSetup, url: str) -> None:
    """Five workers that begin at the same moment, with the same seed, in threads."""
    barrier, errors = threading.Barrier(5), []
    workers = [
        worker_on(SearchSetup(setup.settings), url, lambda: time.sleep(0.01)) for _ in range(5)
    ]

    def run(worker: Worker) -> None:
        barrier.wait()
        try:
            worker.run()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    study = workers[0].study
    found = candidates(study)
    assert len(found) == len(set(found)) == setup.settings.trials
    assert set(states(study)) <= {"COMPLETE", "FAIL"}
    assert sum(worker.done_here for worker in workers) == setup.settings.trials


def test_a_sleeper_drops_its_result(setup: SearchSetup, url: str) -> None:
    """Its trial is ended by others while it scores; it goes on, and nothing is there twice."""
    other = open_study(setup, url, "study")
    taken: list[int] = []

    def take_away() -> None:
        running = other.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        if len(taken) < 3:
            taken.append(running[0].number)
            other.tell(running[0].number, state=TrialState.FAIL)

    worker = worker_on(setup, url, take_away)
    assert worker.run() == "24 candidates scored"
    assert states(worker.study) == {"COMPLETE": 24, "FAIL": 3}
    assert worker.done_here == 24
    trials = worker.study.get_trials(deepcopy=False)
    assert all(trials[number].values is None for number in taken)


@pytest.mark.parametrize("moment", ["before it is told", "while it is told"])
def test_a_sleeper_drops_its_result_at_the_last_moment(
    setup: SearchSetup, url: str, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    worker, other = worker_on(setup, url), open_study(setup, url, "study")
    taken: list[int] = []

    def take_away() -> None:
        running = other.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        if len(taken) < 3 and running:
            taken.append(running[0].number)
            other.tell(running[0].number, state=TrialState.FAIL)

    if moment == "before it is told":

        def values(figures: PairFigures, settings: SearchSettings) -> tuple[float, ...]:
            take_away()
            return objective_values(figures, settings)

        monkeypatch.setattr("hybrid_nas.search.worker.objective_values", values)
    else:
        storage = type(worker.study._storage)
        ended = storage.set_trial_state_values

        def end(self: Any, trial_id: int, state: TrialState, values: Any = None) -> bool:
            if state == TrialState.COMPLETE:
                take_away()
            return ended(self, trial_id, state, values)

        monkeypatch.setattr(storage, "set_trial_state_values", end)
    assert worker.run() == "24 candidates scored"
    assert states(worker.study) == {"COMPLETE": 24, "FAIL": 3}
    found = candidates(worker.study)
    assert len(set(found)) == 24 and worker.done_here == 24
    trials = worker.study.get_trials(deepcopy=False)
    assert all(trials[number].values is None for number in taken)


def test_who_leaves_gives_its_candidate_back(setup: SearchSetup, url: str) -> None:
    leave, count = Leave(), iter(range(100))

    def ctrl_c() -> None:
        if next(count) == 5:
            leave.want()

    worker = worker_on(setup, url, ctrl_c, leave)
    with pytest.raises(KeyboardInterrupt):
        worker.run()
    assert states(worker.study) == {"COMPLETE": 5, "FAIL": 1, "WAITING": 1}
    interrupted = worker.study.get_trials(deepcopy=False)[5]
    worker_on(setup, url).run()
    assert states(worker.study) == {"COMPLETE": 24, "FAIL": 1}
    assert candidates(worker.study)[5] == tuple(interrupted.user_attrs[CANDIDATE])


def test_an_error_of_the_scoring_is_raised(setup: SearchSetup, url: str) -> None:
    def fail() -> None:
        raise HybridNasError("the network is broken")

    worker = worker_on(setup, url, fail)
    with pytest.raises(HybridNasError, match="the network is broken"):
        worker.run()
    assert states(worker.study) == {"FAIL": 1}


def test_a_storage_that_does_not_answer_is_asked_again(
    setup: SearchSetup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hybrid_nas.search.storage_rdb import Database

    worker = worker_on(setup, f"sqlite:///{tmp_path}/study.db")
    original, calls = RDBStorage.set_trial_state_values, iter(range(1000))

    def unreliable(*given: object, **named: object) -> bool:
        if next(calls) == 3:
            raise optuna.exceptions.StorageInternalError("server closed the connection")
        return original(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Database, "set_trial_state_values", unreliable)
    worker.run()
    found = candidates(worker.study)
    assert len(found) == len(set(found)) == 24


class TestReclaim:
    def begun(self, setup: SearchSetup, url: str, worker: Identity | None) -> Study:
        """A study with a running trial that has a candidate."""
        study = open_study(setup, url, "study", heartbeat_s=1)
        row = setup.problem.candidates.sample(1, np.random.default_rng(0))[0]
        trial = study.ask()
        for (name, size), value in zip(
            setup.problem.candidates.sizes.items(), row.tolist(), strict=True
        ):
            study._storage.set_trial_param(
                trial._trial_id, name, value, IntDistribution(0, size - 1)
            )
        candidate = setup.problem.candidates.candidate(row)
        trial.set_user_attr(CANDIDATE, list(setup.problem.candidates.row(candidate)))
        if worker is not None:
            trial.set_user_attr(WORKER, worker.to_dict())
        return study

    @pytest.mark.filterwarnings("ignore:Heartbeat of storage")
    def test_of_a_process_that_is_gone(self, setup: SearchSetup, url: str) -> None:
        here = Identity.here()
        study = self.begun(setup, url, Identity(**{**here.to_dict(), "started": "1"}))
        assert close_dead(study, alone=False) == 1
        assert states(study) == {"FAIL": 1, "WAITING": 1}
        failed, waiting = study.get_trials(deepcopy=False)
        assert waiting.params == failed.params
        assert waiting.user_attrs == {CANDIDATE: failed.user_attrs[CANDIDATE]}

    def test_of_one_that_was_killed_while_it_thought(self, setup: SearchSetup, url: str) -> None:
        """Its trial has no candidate yet; somebody else may be making one at this moment."""

        class Killed(BaseException):
            pass

        def thinks(*_: object) -> None:
            raise Killed

        worker = worker_on(setup, url)
        worker.study.sampler.sampler.sample_relative = thinks  # type: ignore[attr-defined]
        with pytest.raises(Killed):
            worker.run()
        (trial,) = worker.study.get_trials(deepcopy=False)
        assert worker_of(trial) == Identity.from_dict(worker._identity)
        assert close_dead(worker.study, alone=False) == 0  # it lives: it is this process
        gone = {**worker._identity, "started": "1"}
        worker.study._storage.set_trial_system_attr(trial._trial_id, MAKER, gone)
        assert close_dead(worker.study, alone=False) == 1
        assert states(worker.study) == {"FAIL": 1}
        again = worker_on(setup, url)
        assert again.run() == "24 candidates scored"
        other = worker_on(setup, url.replace("study.", "other."))
        other.run()
        assert candidates(again.study) == candidates(other.study)  # as if nothing had been

    @pytest.mark.filterwarnings("ignore:Heartbeat of storage")
    def test_not_of_one_that_lives_or_is_elsewhere(self, setup: SearchSetup, url: str) -> None:
        here = Identity.here()
        study = self.begun(setup, url, here)
        assert close_dead(study, alone=True) == 0
        elsewhere = Identity(**{**here.to_dict(), "machine": "another", "started": "1"})
        assert not elsewhere.is_gone

    @pytest.mark.filterwarnings("ignore:Heartbeat of storage")
    def test_of_one_that_died_before_its_first_heartbeat(
        self, setup: SearchSetup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Optuna itself never ends such a trial."""
        study = self.begun(setup, f"sqlite:///{tmp_path}/study.db", None)
        reclaim, now = Reclaimer(study), [0.0]
        monkeypatch.setattr("hybrid_nas.search.reclaim.time.monotonic", lambda: now[0])
        reclaim()
        assert states(study) == {"RUNNING": 1}
        now[0] = 3.1
        reclaim()
        assert states(study) == {"FAIL": 1, "WAITING": 1}

    @pytest.mark.filterwarnings("ignore:Heartbeat of storage")
    def test_a_candidate_that_kills_is_given_up(self, setup: SearchSetup, url: str) -> None:
        gone = Identity(**{**Identity.here().to_dict(), "started": "1"})
        study = self.begun(setup, url, gone)
        for _ in range(4):
            assert close_dead(study, alone=True) == 1
            if states(study)["WAITING"]:
                study.ask()
        assert states(study) == {"FAIL": 4}


def test_trials_read_as_optuna_reads_them(setup: SearchSetup, tmp_path: Path) -> None:
    """Every field of every trial, by Optuna's own storage on the same file."""
    url = f"sqlite:///{tmp_path}/study.db"
    leave, count = Leave(), iter(range(100))
    worker = worker_on(setup, url, lambda: leave.want() if next(count) == 9 else None, leave)
    with pytest.raises(KeyboardInterrupt):
        worker.run()
    ours = open_storage(url)
    theirs = RDBStorage(url)
    study_id = ours.get_study_id_from_name("study")
    for deepcopy in (False, True):
        found = ours.get_all_trials(study_id, deepcopy=deepcopy)
        assert found == theirs.get_all_trials(study_id)
        assert [t.distributions for t in found] == [
            t.distributions for t in theirs.get_all_trials(study_id)
        ]
    some = (TrialState.FAIL, TrialState.WAITING)
    assert len(ours.get_all_trials(study_id, states=some)) == 2
    assert ours.get_all_trials(study_id, states=some) == theirs.get_all_trials(
        study_id, states=some
    )
