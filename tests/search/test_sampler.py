"""Every sampler proposes only what fits and is new, and the same again for the same seed."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from hybrid_nas.guided.trials import given_up
from hybrid_nas.search.candidate import Candidate
from hybrid_nas.search.problem import Problem
from hybrid_nas.search.reclaim import fail
from hybrid_nas.search.sampler import CANDIDATE, SAMPLERS, FeasibleSampler, SpaceExhaustedError
from hybrid_nas.search.setup import SearchSetup
from tests.search.conftest import TinyInputs

optuna.logging.set_verbosity(optuna.logging.WARNING)


def run(problem: Problem, name: str, trials: int, seed: int = 0) -> list[tuple[int, ...]]:
    """Rows that a search on a made-up objective tries."""
    rows: list[tuple[int, ...]] = []

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        sizes = problem.candidates.sizes
        row = np.array([trial.suggest_int(key, 0, size - 1) for key, size in sizes.items()])
        canonical = problem.candidates.row(problem.candidates.candidate(row))
        assert problem.fits(row[None]).all()
        trial.set_user_attr(CANDIDATE, list(canonical))
        rows.append(canonical)
        cost = problem.evaluate(row[None])
        return float(cost.macs[0]), -float(cost.params[0])

    study = optuna.create_study(
        directions=["minimize", "minimize"], sampler=FeasibleSampler(problem, name, seed)
    )
    study.optimize(objective, n_trials=trials)
    return rows


@pytest.fixture(scope="module")
def problem(tiny: TinyInputs) -> Problem:
    """A flash limit that only half of the space meets."""
    return SearchSetup(tiny.settings(flash_bytes=90 * 1024)).problem


@pytest.mark.parametrize("name", SAMPLERS)
class TestFeasibleSampler:
    def test_never_infeasible_never_twice(self, problem: Problem, name: str) -> None:
        trials = 24 if name == "gp" else 45
        rows = run(problem, name, trials)
        assert len(set(rows)) == len(rows) == trials

    def test_same_seed_same_candidates(self, problem: Problem, name: str) -> None:
        assert run(problem, name, 24, seed=5) == run(problem, name, 24, seed=5)
        assert run(problem, name, 5, seed=5) != run(problem, name, 5, seed=6)


def test_the_limit_cuts_the_space(problem: Problem) -> None:
    """The tests above would prove nothing if everything fitted."""
    space = problem.candidates.space
    assert not problem.fits(np.array([(*space.extremes()[1].tolist(), 0)])).any()


def test_a_tight_limit_is_still_met(tiny: TinyInputs) -> None:
    """Limits that fewer than one in a thousand random pairs meet."""
    loose = SearchSetup(tiny.settings()).problem
    space = loose.candidates.space
    smallest = (*space.extremes()[0].tolist(), 0)
    cost = loose.evaluate(np.array([smallest]))
    tight = SearchSetup(
        tiny.settings(
            sram_bytes=int(cost.sram_bytes[0]) + 600, flash_bytes=int(cost.flash_bytes[0]) + 700
        )
    ).problem
    assert len(set(run(tight, "random", 4))) == 4


def test_an_exhausted_space_says_so(tiny: TinyInputs) -> None:
    loose = SearchSetup(tiny.settings(routers=("confidence",))).problem
    smallest = (*loose.candidates.space.extremes()[0].tolist(), 0)
    cost = loose.evaluate(np.array([smallest]))
    only = SearchSetup(
        tiny.settings(
            routers=("confidence",),
            sram_bytes=int(cost.sram_bytes[0]),
            flash_bytes=int(cost.flash_bytes[0]),
        )
    ).problem
    with pytest.raises(SpaceExhaustedError, match="loosen a limit"):
        run(only, "random", 50)


@pytest.mark.parametrize(("retries", "again"), [(2, True), (3, False)])
def test_what_failed_as_the_last_retry_is_not_tried_again(
    problem: Problem, retries: int, again: bool
) -> None:
    study = optuna.create_study(
        directions=["minimize", "minimize"], sampler=FeasibleSampler(problem, "random", 0)
    )
    sizes = problem.candidates.sizes

    def ask() -> tuple[optuna.Trial, list[int]]:
        trial = study.ask()
        row = [trial.suggest_int(key, 0, size - 1) for key, size in sizes.items()]
        return trial, list(problem.candidates.canonical(np.array([row]))[0].tolist())

    failed, row = ask()
    failed.set_user_attr(CANDIDATE, row)
    failed.storage.set_trial_system_attr(failed._trial_id, "retry_history", list(range(retries)))
    study.tell(failed, state=TrialState.FAIL)
    assert (ask()[1] == row) is again


def test_a_candidate_is_begun_four_times_and_then_given_up() -> None:
    study = optuna.create_study()
    study.ask().set_user_attr(CANDIDATE, [0])
    for _ in range(4):
        (running,) = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        assert fail(study, running)
        if study.get_trials(states=(TrialState.WAITING,)):
            study.ask()
    trials = study.get_trials(deepcopy=False)
    assert [trial.state for trial in trials] == [TrialState.FAIL] * 4
    assert [given_up(trial) for trial in trials] == [False, False, False, True]


def test_router_and_base_are_distinguished(problem: Problem) -> None:
    genes = tuple(problem.candidates.space.extremes()[0].tolist())
    a, b = Candidate(genes, "confidence"), Candidate(genes, "linear-stats")
    assert problem.candidates.row(a) != problem.candidates.row(b)
