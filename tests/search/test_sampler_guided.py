"""The guided sampler in the search: what fits, nothing twice, the same again; exact objectives."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.storages import BaseStorage, InMemoryStorage

from hybrid_nas.errors import InputError
from hybrid_nas.guided import Effort
from hybrid_nas.search.guided import PairSampler, guided_problem, make_sampler
from hybrid_nas.search.objectives import OBJECTIVES
from hybrid_nas.search.problem import Problem
from hybrid_nas.search.sampler import CANDIDATE, FeasibleSampler, SpaceExhaustedError
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.search.setup import SearchSetup
from tests.search.conftest import TinyInputs

optuna.logging.set_verbosity(optuna.logging.WARNING)
QUICK = Effort(startup=5, generations=2, brood=60, parents=10, climbs=1, kept=30)
Row = tuple[int, ...]


def study_of(setup: SearchSetup, storage: BaseStorage | None = None) -> optuna.Study:
    """A study as a search has it, with a new sampler; the one in `storage` if there is one."""
    return optuna.create_study(
        directions=[OBJECTIVES[name].direction for name in setup.settings.objectives],
        sampler=PairSampler(setup.problem, setup.settings, QUICK),
        storage=storage,
        study_name="a",
        load_if_exists=True,
    )


def propose(setup: SearchSetup, trials: int, study: optuna.Study | None = None) -> list[Row]:
    """Rows that a search tries on a made-up accuracy and its own costs."""
    problem = setup.problem
    rows: list[Row] = []

    def objective(trial: optuna.Trial) -> tuple[float, ...]:
        sizes = problem.candidates.sizes
        row = np.array([trial.suggest_int(key, 0, size - 1) for key, size in sizes.items()])
        assert problem.fits(row[None]).all()
        canonical = problem.candidates.row(problem.candidates.candidate(row))
        trial.set_user_attr(CANDIDATE, list(canonical))
        rows.append(canonical)
        return values(problem, setup.settings, row)

    (study or study_of(setup)).optimize(objective, n_trials=trials)
    return rows


def values(problem: Problem, settings: SearchSettings, row: np.ndarray) -> tuple[float, ...]:
    """Exact costs, and a figure that grows with them and has a taste in genes."""
    cost = problem.evaluate(row[None])
    taste = np.sin(np.arange(len(row))) @ problem.candidates.canonical(row[None])[0]
    learnt = float(np.log(cost.macs[0]) + 0.1 * taste)
    exact = {"flash": cost.flash_bytes, "sram": cost.sram_bytes, "edge-latency": cost.latency_ms}
    return tuple(float(exact[name][0]) if name in exact else learnt for name in settings.objectives)


KINDS = {
    "default": {},
    "exact": {"objectives": ("accuracy", "edge-latency", "flash")},
    "budget": {"mean_latency_ms": 900.0},
    "loss": {"max_loss": 5.0},
    "abstaining": {"cloud": "none", "objectives": ("auc", "sram")},
    "joint": {"cloud": None, "search_cloud": "own", "routers": ("confidence", "linear-stats")},
}


def guided(tiny: TinyInputs, **changes: object) -> SearchSetup:
    """A search under a flash limit that only a part of the space meets."""
    return SearchSetup(tiny.settings(sampler="guided", flash_bytes=90 * 1024, **changes))


@pytest.mark.parametrize("kind", KINDS)
def test_new_and_feasible_in_every_kind_of_search(tiny: TinyInputs, kind: str) -> None:
    rows = propose(guided(tiny, **KINDS[kind]), 16)
    assert len(set(rows)) == len(rows) == 16


def test_resumed_or_not_the_trials_are_the_same(tiny: TinyInputs) -> None:
    setup = guided(tiny)
    straight = propose(setup, 12)
    storage = InMemoryStorage()
    parts: list[Row] = []
    for trials in (3, 5, 4):  # stops before and after the first prediction
        parts += propose(setup, trials, study_of(setup, storage))
    assert parts == straight
    assert propose(guided(tiny, seed=1), 12) != straight


def test_a_trial_that_died_leaves_its_candidate_free(tiny: TinyInputs) -> None:
    setup = guided(tiny)
    study = study_of(setup)
    first = propose(setup, 1, study)
    died = study.ask()
    for name, size in setup.problem.candidates.sizes.items():
        died.suggest_int(name, 0, size - 1)
    study.tell(died, state=optuna.trial.TrialState.FAIL)
    assert first + propose(setup, 11, study) == propose(setup, 12)


def test_an_exhausted_space_says_so(tiny: TinyInputs) -> None:
    loose = SearchSetup(tiny.settings(routers=("confidence",))).problem
    cost = loose.evaluate(loose.candidates.extremes()[:1])
    setup = SearchSetup(
        tiny.settings(
            sampler="guided",
            routers=("confidence",),
            sram_bytes=int(cost.sram_bytes[0]),
            flash_bytes=int(cost.flash_bytes[0]),
        )
    )
    with pytest.raises(SpaceExhaustedError, match="loosen a limit"):
        propose(setup, 50)


class TestProblem:
    @pytest.mark.parametrize("kind", KINDS)
    def test_fits_is_the_searchs(self, tiny: TinyInputs, kind: str) -> None:
        setup = guided(tiny, **KINDS[kind])
        found = guided_problem(setup.problem, setup.settings)
        rows = setup.problem.candidates.sample(200, np.random.default_rng(0))
        canonical = found.canonical(rows)
        fits = found.feasible(canonical, found.costs(canonical))
        assert fits.tolist() == setup.problem.fits(rows).tolist()
        assert 0 < fits.sum() < len(fits)
        assert found.canonical(canonical).tolist() == canonical.tolist()

    def test_exact_objectives_are_the_costs(self, tiny: TinyInputs) -> None:
        names = ("accuracy", "sram", "edge-latency", "flash")
        setup = guided(tiny, objectives=names)
        found = guided_problem(setup.problem, setup.settings)
        rows = setup.problem.candidates.sample(50, np.random.default_rng(0))
        exact, cost = found.exact(found.costs(found.canonical(rows))), setup.problem.evaluate(rows)
        assert np.isnan(exact[:, 0]).all() and found.learnt == (0,)
        assert exact[:, 1].tolist() == cost.sram_bytes.tolist()
        assert exact[:, 2].tolist() == cost.latency_ms.tolist()
        assert exact[:, 3].tolist() == cost.flash_bytes.tolist()

    def test_mean_latency_is_the_devices_and_what_queries_add(self, tiny: TinyInputs) -> None:
        setup = guided(tiny, objectives=("accuracy", "mean-latency"))
        found = guided_problem(setup.problem, setup.settings)
        rows = setup.problem.candidates.sample(3, np.random.default_rng(0))
        for row in rows:
            costs = setup.problem.evaluate(row[None])
            figures = setup.scorer.score(setup.problem.candidates.candidate(row), costs)
            target = setup.settings.target_coverage
            kept = figures.at[target].coverage
            known = found.followed(found.costs(found.canonical(row[None])))[0, 1]
            query = setup.settings.query_ms
            left = OBJECTIVES["mean-latency"].read(figures, target) - known
            assert left == pytest.approx((1 - kept) * (query - figures.saved_ms))

    def test_without_a_table_latency_is_no_cost(self, tiny: TinyInputs) -> None:
        setup = guided(tiny, board="rp2040", objectives=("auc", "sram"))
        assert setup.table is None
        found = guided_problem(setup.problem, setup.settings)
        assert np.isfinite(found.costs(setup.problem.candidates.extremes())).all()
        assert len(set(propose(setup, 12))) == 12

    def test_a_joint_search_sees_the_clouds_macs(self, tiny: TinyInputs) -> None:
        setup = guided(tiny, **KINDS["joint"])
        found = guided_problem(setup.problem, setup.settings)
        rows = setup.problem.candidates.sample(20, np.random.default_rng(1))
        space = setup.problem.candidates.cloud
        assert space is not None
        genes = setup.problem.candidates.cloud_genes(rows).tolist()
        macs = [space.architecture(row).macs for row in genes]
        assert found.costs(found.canonical(rows))[:, -2].tolist() == macs


def test_both_networks_on_the_device(tiny: TinyInputs) -> None:
    setup = guided(tiny, **{**KINDS["joint"], "cloud_on_device": True})
    found = guided_problem(setup.problem, setup.settings)
    rows = setup.problem.candidates.sample(200, np.random.default_rng(0))
    canonical = found.canonical(rows)
    fits = found.feasible(canonical, found.costs(canonical))
    assert fits.tolist() == setup.problem.fits(rows).tolist()
    assert not fits.all()


def test_settings_name_the_sampler(tiny: TinyInputs) -> None:
    setup = guided(tiny)
    assert isinstance(make_sampler(setup.problem, setup.settings), PairSampler)
    other = make_sampler(setup.problem, replace(setup.settings, sampler="nsga2"))
    assert isinstance(other, FeasibleSampler)


def test_an_unknown_sampler_is_named() -> None:
    with pytest.raises(InputError, match="guided, tpe"):
        SearchSettings(sampler="grid")


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_costs_of_many_rows_are_those_of_each(seed: int) -> None:
    """Routers are looked up by kind and width; one row at a time needs no such table."""
    setup = _default()
    rng = np.random.default_rng(seed)
    rows = setup.candidates.sample(9, rng)
    together = setup.evaluate(rows)
    for k, row in enumerate(rows):
        alone = setup.evaluate(row[None])
        assert alone.flash_bytes[0] == together.flash_bytes[k]
        assert alone.sram_bytes[0] == together.sram_bytes[k]
        assert alone.latency_ms[0] == pytest.approx(together.latency_ms[k])


@lru_cache
def _default() -> Problem:
    routers = ("confidence", "linear-stats", "mlp8-features", "linear-features")
    return SearchSetup(SearchSettings(routers=routers)).problem
