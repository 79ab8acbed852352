"""The Optuna sampler: parameters, directions, resuming, several asking at once."""

from __future__ import annotations

import copy
import doctest
import pickle
import warnings
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from hybrid_nas.errors import InputError
from hybrid_nas.guided import Effort, ExhaustedError, GuidedSampler, Parameters, engine, sampler

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
    wanted = made.problem.canonical(made._engine_of(study, {}).ask(made.read_history(study))[None])[
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


def test_a_candidate_that_another_scores_meanwhile_is_not_scored_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A quick rival asks and tells while this trial is still thinking."""
    study = study_of(make())
    study.optimize(objective, n_trials=6)
    trial, real, quick = study.ask(), engine.Engine.ask, []

    def slow(self: Any, *given: Any) -> Any:
        row = real(self, *given)
        if not quick:
            quick.append(row)
            params = Parameters(SPACE).params(row)
            study.add_trial(
                optuna.trial.create_trial(params=params, distributions=SPACE, values=[1.0, 1.0])
            )
        return row

    monkeypatch.setattr(engine.Engine, "ask", slow)
    suggest(trial)
    assert len(set(tried(study))) == 8


def test_enqueued_trials_are_taken_and_known() -> None:
    study = study_of(make())
    study.optimize(objective, n_trials=5)
    chosen = {"depth": 3, "kind": "plain", "rate": 0.2, "width": 20}
    study.enqueue_trial(chosen)
    study.optimize(objective, n_trials=12)
    assert study.trials[5].params == chosen
    assert len(set(tried(study))) == 17


def test_an_enqueued_part_is_completed_by_what_fits_and_is_new() -> None:
    study = study_of(make())
    for _ in range(6):
        study.enqueue_trial({"depth": 9, "kind": "residual"})
    study.optimize(objective, n_trials=9)
    begun = study.trials[:6]
    assert all(t.params["depth"] == 9 and t.params["kind"] == "residual" for t in begun)
    assert len(set(tried(study))) == 9
    assert all(trial.values[0] <= 400 for trial in study.trials)


def test_an_enqueued_part_that_nothing_new_completes() -> None:
    space = {"x": IntDistribution(0, 4), "y": IntDistribution(0, 1)}
    problem = Parameters(space).problem(objectives=(None,))
    study = optuna.create_study(sampler=GuidedSampler(space, problem, effort=QUICK))
    for _ in range(3):
        study.enqueue_trial({"x": 4})
    with pytest.raises(ExhaustedError, match="'x': 4"):
        study.optimize(lambda t: t.suggest_int("x", 0, 4) + t.suggest_int("y", 0, 1), n_trials=3)
    assert sorted(t.params["y"] for t in study.trials[:2]) == [0, 1]
    assert [t.params["x"] for t in study.trials[:2]] == [4, 4]


@pytest.mark.filterwarnings("ignore:PartialFixedSampler is experimental")
def test_beneath_a_sampler_that_fixes_parameters() -> None:
    fixing = optuna.samplers.PartialFixedSampler({"depth": 5}, make())
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=fixing)
    study.optimize(objective, n_trials=12)
    assert {trial.params["depth"] for trial in study.trials} == {5}
    assert len(set(tried(study))) == 12
    assert all(trial.values[0] <= 400 for trial in study.trials)


def test_parameters_that_are_not_asked_for() -> None:
    """A width that only residual blocks have: their trials are learnt from and not repeated."""
    space = {"kind": CategoricalDistribution(["plain", "residual"]), "width": IntDistribution(0, 5)}

    def conditional(trial: optuna.Trial) -> float:
        if trial.suggest_categorical("kind", ["plain", "residual"]) == "plain":
            return 3.5
        return float(trial.suggest_int("width", 0, 5))

    problem = Parameters(space).problem(
        objectives=(None,), canonical=lambda p: {**p, "width": 0} if p["kind"] == "plain" else p
    )
    made = GuidedSampler(space, problem, effort=QUICK)
    study = optuna.create_study(sampler=made)
    study.optimize(conditional, n_trials=7)
    assert sorted(t.values[0] for t in study.trials) == [0, 1, 2, 3, 3.5, 4, 5]
    assert len(made.read_history(study)) == 7
    with pytest.raises(ExhaustedError):
        study.optimize(conditional, n_trials=1)


def test_pruned_candidates_are_not_tried_again() -> None:
    def pruning(trial: optuna.Trial) -> float:
        if suggest(trial)["kind"] == "plain":
            raise optuna.TrialPruned
        return 1.0

    problem = Parameters(SPACE).problem(objectives=(None,))
    made = GuidedSampler(SPACE, problem, effort=QUICK, retry_failed=True)
    study = optuna.create_study(sampler=made)
    study.optimize(pruning, n_trials=15)
    assert len(set(tried(study))) == 15


def test_brackets_of_hyperband_share_what_was_tried() -> None:
    pruner = optuna.pruners.HyperbandPruner(1, 9, 3)
    space = {"x": IntDistribution(0, 11)}
    made = GuidedSampler(space, Parameters(space).problem(objectives=(None,)), effort=QUICK)
    study = optuna.create_study(sampler=made, pruner=pruner)
    study.optimize(lambda trial: trial.suggest_int("x", 0, 11), n_trials=12)
    assert sorted(t.params["x"] for t in study.trials) == list(range(12))


def test_a_study_made_anew_under_its_old_name(tmp_path: Any) -> None:
    """Notebooks do that: nothing of the deleted study is left in the sampler."""
    url, made, found = f"sqlite:///{tmp_path}/study.db", make(seed=2), []
    for _ in range(2):
        study = study_of(made, storage=url, study_name="a")
        study.optimize(objective, n_trials=7)
        found.append(tried(study))
        optuna.delete_study(study_name="a", storage=url)
    assert found[0] == found[1] and len(set(found[1])) == 7


def test_trials_of_another_search_space_say_nothing() -> None:
    """A choice that there was, and a value beyond the range."""
    study = optuna.create_study(directions=["minimize", "maximize"])
    wider = {**SPACE, "kind": CategoricalDistribution(["plain", "dense"])}
    params = {"depth": 1, "rate": 0.1, "width": 8}
    for kind in ("plain", "dense"):
        study.add_trial(
            optuna.trial.create_trial(
                params={**params, "kind": kind}, distributions=wider, values=[1.0, 1.0]
            )
        )
    study.sampler = made = make()
    assert len(made.read_history(study)) == 1
    study.optimize(objective, n_trials=1)


def test_a_pickled_sampler_goes_on_alike() -> None:
    """As in a study that is dumped, and in processes that are given one."""
    problem = Parameters(SPACE).problem(objectives=(0, None), costs=cost)
    study = study_of(GuidedSampler(SPACE, problem, seed=4, effort=QUICK))
    study.optimize(objective, n_trials=6)
    others = [pickle.loads(pickle.dumps(study)), copy.deepcopy(study)]
    for each in (study, *others):
        each.optimize(objective, n_trials=3)
    assert tried(others[0]) == tried(study) == tried(others[1])


def test_an_objective_that_asks_for_other_values_is_warned_of() -> None:
    study = study_of(make())
    with pytest.warns(UserWarning, match="width is drawn at random"):
        study.ask().suggest_int("width", 100, 200, log=True)


def test_integers_with_very_many_values() -> None:
    space = {"n": IntDistribution(1, 10**6), "m": FloatDistribution(0, 1, step=1e-5)}

    def distance(trial: optuna.Trial) -> float:
        n, m = trial.suggest_int("n", 1, 10**6), trial.suggest_float("m", 0, 1, step=1e-5)
        return abs(n / 10**6 - 0.3) + abs(m - 0.6)

    problem = Parameters(space).problem(objectives=(None,))
    study = optuna.create_study(sampler=GuidedSampler(space, problem, effort=QUICK))
    study.optimize(distance, n_trials=30)
    assert study.best_value < 0.05


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

    def test_one_value_needs_no_step(self) -> None:
        parameters = Parameters({"rate": FloatDistribution(0.5, 0.5), "x": IntDistribution(0, 1)})
        assert [gene.size for gene in parameters.genes] == [1, 2]
        assert parameters.params(np.array([0, 1])) == {"rate": 0.5, "x": 1}
        assert parameters.row({"rate": 0.5, "x": 1}) == (0, 1)

    @pytest.mark.filterwarnings("ignore:Choices for a categorical")
    def test_choices_that_optuna_takes_for_the_same_are_refused(self) -> None:
        Parameters({"x": CategoricalDistribution([0, "0", None, float("nan"), (1, 2)])})
        with pytest.raises(InputError, match="x has equal choices 1 and True"):
            Parameters({"x": CategoricalDistribution([0, 1, True])})

    def test_too_many_values_are_refused(self) -> None:
        with pytest.raises(InputError, match="x has 1,000,000,000,001 values"):
            Parameters({"x": FloatDistribution(0, 1, step=1e-12)})

    def test_a_continuous_parameter_is_refused(self) -> None:
        with pytest.raises(InputError, match="rate has no finite list"):
            Parameters({"rate": FloatDistribution(0, 1)})


class TestWrongUse:
    @pytest.mark.parametrize(
        ("costs", "words"),
        [
            (None, "objective 0 is cost 1, counted from 0, and there are 0"),
            (lambda params: 1.0, "there are 1 costs"),
            (lambda params: None, "`costs` gave None"),
            (lambda params: [1.0] * (params["depth"] + 1), "give as many for all"),
        ],
    )
    def test_costs_that_do_not_suit(self, costs: Any, words: str) -> None:
        with pytest.raises(InputError, match=words):
            problem = Parameters(SPACE).problem(objectives=(1, None), costs=costs)
            problem.costs(np.array([[0, 0, 0, 0], [1, 0, 0, 0], [2, 0, 0, 0]]))

    @pytest.mark.parametrize("seed", [-1, None, 0.5])
    def test_a_seed_that_is_none(self, seed: Any) -> None:
        with pytest.raises(InputError, match="a seed is a whole number"):
            make(seed=seed)

    def test_nothing_fits(self) -> None:
        with pytest.raises(ExhaustedError, match="no candidate fits"):
            suggest(study_of(make(limit=0)).ask())

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
