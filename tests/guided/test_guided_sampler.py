"""The Optuna sampler: parameters, directions, resuming, several asking at once."""

from __future__ import annotations

import doctest
import warnings
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from hybrid_nas.errors import InputError
from hybrid_nas.guided import Effort, ExhaustedError, GuidedSampler, Parameters, sampler

optuna.logging.set_verbosity(optuna.logging.WARNING)
QUICK = Effort(startup=4, generations=2, brood=40, parents=10, climbs=1, kept=30)
SPACE = {
    "depth": IntDistribution(1, 9, step=2),
    "kind": CategoricalDistribution(["plain", "residual", None]),
    "rate": FloatDistribution(0.1, 0.5, step=0.1),
    "width": IntDistribution(8, 64, log=True),
}


def cost(params: dict[str, Any]) -> float:
    return params["depth"] * params["width"] * (2.0 if params["kind"] == "residual" else 1.0)


def gain(params: dict[str, Any]) -> float:
    bonus = {"plain": 0.0, "residual": 0.4, None: -0.3}[params["kind"]]
    return float(np.log(cost(params)) + bonus - (params["rate"] - 0.3) ** 2)


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "depth": trial.suggest_int("depth", 1, 9, step=2),
        "kind": trial.suggest_categorical("kind", ["plain", "residual", None]),
        "rate": trial.suggest_float("rate", 0.1, 0.5, step=0.1),
        "width": trial.suggest_int("width", 8, 64, log=True),
    }


def objective(trial: optuna.Trial) -> tuple[float, float]:
    params = suggest(trial)
    return cost(params), gain(params)


def make(seed: int = 0, limit: float = 400.0, **arguments: Any) -> GuidedSampler:
    problem = Parameters(SPACE).problem(
        objectives=(0, None), costs=cost, feasible=lambda params, costs: costs[0] <= limit
    )
    return GuidedSampler(SPACE, problem, seed=seed, **{"effort": QUICK, **arguments})


def study_of(made: GuidedSampler, **arguments: Any) -> optuna.Study:
    return optuna.create_study(directions=["minimize", "maximize"], sampler=made, **arguments)


def tried(study: optuna.Study) -> list[tuple[Any, ...]]:
    return [tuple(trial.params.values()) for trial in study.get_trials(deepcopy=False)]


def test_every_candidate_is_new_and_fits() -> None:
    study = study_of(make())
    study.optimize(objective, n_trials=25)
    assert len(set(tried(study))) == 25
    assert all(trial.values[0] <= 400 for trial in study.trials)


def test_it_maximises_what_the_study_maximises() -> None:
    """With a maximised objective alone, the last candidates are far better than the first."""
    problem = Parameters(SPACE).problem(objectives=(None,), costs=cost)
    study = optuna.create_study(
        direction="maximize", sampler=GuidedSampler(SPACE, problem, effort=QUICK)
    )
    study.optimize(lambda trial: gain(suggest(trial)), n_trials=30)
    best = np.log(9 * 64 * 2) + 0.4
    assert study.best_value > best - 0.1


def test_killed_and_resumed_is_the_same(tmp_path: Any) -> None:
    """A trial of the dead process is left behind; the same candidates follow."""
    whole = study_of(make(seed=7))
    whole.optimize(objective, n_trials=14)
    url = f"sqlite:///{tmp_path}/study.db"
    first = study_of(make(seed=7, retry_failed=True), storage=url, study_name="a")
    first.optimize(objective, n_trials=9)
    dead = first.ask()
    suggest(dead)
    first.tell(dead, state=TrialState.FAIL)
    second = optuna.load_study(storage=url, study_name="a", sampler=make(seed=7, retry_failed=True))
    second.optimize(objective, n_trials=5)
    done = [tuple(t.params.values()) for t in second.get_trials(states=(TrialState.COMPLETE,))]
    assert done == tried(whole)


def test_failed_candidates_are_not_tried_again_unless_told() -> None:
    for again in (False, True):
        study = study_of(make(retry_failed=again))
        study.optimize(objective, n_trials=6)
        failed = study.ask()
        params = suggest(failed)
        study.tell(failed, state=TrialState.FAIL)
        assert (suggest(study.ask()) == params) is again


@pytest.mark.parametrize(("retries", "again"), [(2, True), (3, False)])
def test_what_failed_as_the_last_retry_is_not_tried_again(retries: int, again: bool) -> None:
    study = study_of(make(retry_failed=True))
    study.optimize(objective, n_trials=6)
    failed = study.ask()
    params = suggest(failed)
    failed.storage.set_trial_system_attr(failed._trial_id, "retry_history", list(range(retries)))
    study.tell(failed, state=TrialState.FAIL)
    assert (suggest(study.ask()) == params) is again


def test_nan_scores_do_not_stop_a_study() -> None:
    def sometimes(trial: optuna.Trial) -> tuple[float, float]:
        values = objective(trial)
        return values if trial.number % 3 else (values[0], float("nan"))

    study = study_of(make())
    study.optimize(sometimes, n_trials=18)
    assert len(set(tried(study))) == 18


@pytest.mark.parametrize("before", [0, 8])
def test_several_ask_before_anyone_tells(before: int, tmp_path: Any) -> None:
    """Workers with a sampler each, also when trials were begun that have no candidate yet."""
    url = f"sqlite:///{tmp_path}/study.db"
    study = study_of(make(), storage=url, study_name="a")
    study.optimize(objective, n_trials=before)
    workers = [optuna.load_study(study_name="a", storage=url, sampler=make()) for _ in range(4)]
    trials = [worker.ask() for worker in workers]
    asked = [tuple(suggest(trial).values()) for trial in reversed(trials)]
    assert len(set(asked) | set(tried(study)[:before])) == 4 + before


def test_a_candidate_that_another_claims_meanwhile_is_left_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The rival's claim appears between reading the study and claiming."""
    study = study_of(make())
    study.optimize(objective, n_trials=6)
    rival, trial = study.ask(), study.ask()
    made = study.sampler
    assert isinstance(made, GuidedSampler)
    wanted = made.problem.canonical(made._engine_of(study).ask(made.read_history(study))[None])[
        0
    ].tolist()
    claimed: list[Any] = []
    real = study._storage.set_trial_system_attr

    def both(trial_id: int, key: str, value: Any) -> None:
        if not claimed:
            claimed.append(value)
            real(rival._trial_id, key, value)
        real(trial_id, key, value)

    monkeypatch.setattr(study._storage, "set_trial_system_attr", both)
    row = made.parameters.row(suggest(trial))
    assert claimed and row is not None and list(row) != claimed[0]
    assert wanted is not None


def test_enqueued_trials_are_taken_and_known() -> None:
    study = study_of(make())
    study.optimize(objective, n_trials=5)
    chosen = {"depth": 3, "kind": "plain", "rate": 0.2, "width": 20}
    study.enqueue_trial(chosen)
    study.optimize(objective, n_trials=12)
    assert study.trials[5].params == chosen
    assert len(set(tried(study))) == 17


def test_other_parameters_are_drawn_repeatably() -> None:
    def more(trial: optuna.Trial) -> tuple[float, float]:
        return objective(trial)[0], trial.suggest_float("other", 0, 1)

    others = []
    for _ in range(2):
        study = study_of(make())
        study.optimize(more, n_trials=3)
        others.append([trial.params["other"] for trial in study.trials])
    assert others[0] == others[1] and len(set(others[0])) == 3


def test_earlier_study_under_another_limit() -> None:
    """The history of a loose study is a warm start for a tight one."""
    loose = make(limit=1000)
    study = study_of(loose)
    study.optimize(objective, n_trials=20)
    earlier = loose.read_history(study)
    assert len(earlier) == 20
    np.testing.assert_allclose(earlier.losses[:, 1], [-t.values[1] for t in study.trials])
    tight = study_of(make(limit=100, earlier=earlier))
    tight.optimize(objective, n_trials=8)
    assert all(trial.values[0] <= 100 for trial in tight.trials)


def test_one_parameter_and_the_end_of_the_space() -> None:
    space = {"x": IntDistribution(0, 4)}
    problem = Parameters(space).problem(objectives=(None,))
    study = optuna.create_study(sampler=GuidedSampler(space, problem, effort=QUICK))
    study.optimize(lambda trial: (trial.suggest_int("x", 0, 4) - 2) ** 2, n_trials=5)
    assert sorted(t.params["x"] for t in study.trials) == [0, 1, 2, 3, 4]
    with pytest.raises(ExhaustedError):
        study.optimize(lambda trial: trial.suggest_int("x", 0, 4), n_trials=1)


def test_equal_parameters_are_tried_once() -> None:
    """Two layers at most; the second kernel means nothing without the second layer."""
    space = {
        "layers": IntDistribution(1, 2),
        "a": IntDistribution(0, 2),
        "b": IntDistribution(0, 2),
    }

    def canonical(params: dict[str, Any]) -> dict[str, Any]:
        return {**params, "b": 0} if params["layers"] == 1 else params

    problem = Parameters(space).problem(objectives=(None,), canonical=canonical)
    study = optuna.create_study(sampler=GuidedSampler(space, problem, effort=QUICK))
    study.optimize(
        lambda t: sum(t.suggest_int(n, d.low, d.high) for n, d in space.items()), n_trials=12
    )
    names = {tuple(canonical(t.params).values()) for t in study.trials}
    assert len(names) == 12


class TestParameters:
    def test_rows_and_values_are_one_to_one(self) -> None:
        parameters = Parameters(SPACE)
        assert [g.size for g in parameters.genes] == [5, 3, 5, 57]
        assert [g.ordered for g in parameters.genes] == [True, False, True, True]
        rng = np.random.default_rng(0)
        for _ in range(30):
            row = rng.integers(0, [5, 3, 5, 57])
            params = parameters.params(row)
            assert parameters.row(params) == tuple(row.tolist())
            for name, distribution in SPACE.items():
                assert distribution._contains(distribution.to_internal_repr(params[name]))

    def test_strangers_have_no_row(self) -> None:
        parameters = Parameters(SPACE)
        params = parameters.params(np.zeros(4, np.int64))
        assert parameters.row({**params, "depth": 11}) is None
        assert parameters.row({"depth": 1}) is None

    def test_a_continuous_parameter_is_refused(self) -> None:
        with pytest.raises(InputError, match="rate has no finite list"):
            Parameters({"rate": FloatDistribution(0, 1)})


class TestWrongUse:
    def test_a_maximised_cost(self) -> None:
        study = optuna.create_study(directions=["maximize", "maximize"], sampler=make())
        with pytest.raises(InputError, match="minimise it"):
            suggest(study.ask())

    def test_another_number_of_objectives(self) -> None:
        study = optuna.create_study(sampler=make())
        with pytest.raises(InputError, match="1 objectives and the problem 2"):
            suggest(study.ask())

    def test_space_and_problem_differ(self) -> None:
        problem = Parameters({"x": IntDistribution(0, 4)}).problem(objectives=(None,))
        with pytest.raises(InputError, match="same columns"):
            GuidedSampler(SPACE, problem)


def test_the_example_runs() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert doctest.testmod(sampler).failed == 0
