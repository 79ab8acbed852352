"""The engine proposes what is new and fits, the same again, and what is worth scoring."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, qmc

from hybrid_nas.errors import InputError
from hybrid_nas.guided import Effort, Engine, ExhaustedError, Gene, History, Problem
from hybrid_nas.guided.candidates import neighbours
from hybrid_nas.guided.pareto import front_mask, hypervolume
from hybrid_nas.guided.problem import keys
from hybrid_nas.typing import FloatArray, IntArray
from tests.guided.toy import chain, extend, random_history, score

QUICK = Effort(startup=4, generations=2, brood=40, parents=10, climbs=1, kept=30)


def test_the_last_few_of_a_large_space_are_found() -> None:
    """What the inner search breeds counts, when drawing finds nothing beyond it."""
    rows = np.concatenate([np.zeros((1, 20), np.int64), np.eye(20, dtype=np.int64)])

    def costs(rows: IntArray) -> FloatArray:
        return rows.sum(1, keepdims=True) + 1.0

    genes = tuple(Gene(f"g{k}", 4) for k in range(20))
    problem = Problem(genes, (0, None), costs, lambda rows, costs: costs[:, 0] <= 2)
    known = History(rows[:-4], score(problem, rows[:-4]))
    found = go(problem, Engine(problem), len(rows), known)
    assert set(keys(found.rows)) == set(keys(rows))


def test_neighbours_of_a_gene_with_very_many_values() -> None:
    problem = Problem((Gene("a", 10**6), Gene("b", 3)), (None,))
    rows = neighbours(problem, np.array([5, 1]), np.random.default_rng(0))
    assert len(rows) < 200 and (rows >= 0).all() and (rows < problem.sizes).all()
    assert {(4, 1), (6, 1), (9, 1), (5, 0), (5, 2)} <= {tuple(row) for row in rows.tolist()}


def go(problem: Problem, engine: Engine, n: int, history: History | None = None) -> History:
    """Ask and score until there are `n` candidates."""
    history = history or History.empty(problem)
    while len(history) < n:
        row = engine.ask(history)
        history = extend(history, row, score(problem, row[None]))
    return history


@settings(deadline=None, max_examples=12)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=10),
    share=st.floats(0.1, 1.0),
    seed=st.integers(0, 1000),
    losses=st.integers(0, 3),
)
def test_never_twice_never_infeasible_until_all_are_known(
    sizes: list[int], share: float, seed: int, losses: int
) -> None:
    """Whatever the space, the limit and the scores, even nan and equal ones."""
    problem = chain(tuple(sizes))
    drawn = np.random.default_rng(seed).integers(0, problem.sizes, (200, len(sizes)))
    limit = np.quantile(problem.costs(problem.canonical(drawn)), share)
    problem = chain(tuple(sizes), limit=float(limit))
    rng = np.random.default_rng(seed)
    history = History.empty(problem)
    engine = Engine(problem, seed=seed, effort=QUICK)
    total = len(_all(problem)) if np.prod(sizes) <= 4096 else 10**9
    for number in range(16):
        if number == total:
            with pytest.raises(ExhaustedError):
                engine.ask(history)
            break
        row = engine.ask(history)
        np.testing.assert_array_equal(problem.canonical(row[None])[0], row)
        assert problem.costs(row[None])[0, 0] <= limit
        assert keys(row[None])[0] not in keys(history.rows)
        value = score(problem, row[None])
        value[0, 1] = (value[0, 1], 1.0, np.nan, rng.choice([np.nan, 1.0, 1e9]))[losses]
        history = extend(history, row, value)


def _all(problem: Problem) -> IntArray:
    """Every feasible candidate by brute force."""
    rows = np.array(list(itertools.product(*[range(size) for size in problem.sizes])))
    rows = np.unique(problem.canonical(rows), axis=0)
    return rows[problem.feasible(rows, problem.costs(rows))]


def test_a_small_space_is_exhausted() -> None:
    problem = chain((3, 2, 3, 2), limit=24)
    everything = _all(problem)
    engine = Engine(problem, effort=QUICK)
    history = go(problem, engine, len(everything))
    assert set(keys(history.rows)) == set(keys(everything))
    with pytest.raises(ExhaustedError, match="known"):
        engine.ask(history)


def test_a_large_space_with_few_feasible_candidates_is_exhausted() -> None:
    cheapest = np.sort(chain((3,) * 10).costs(_all(chain((3,) * 10)))[:, 0])
    problem = chain((3,) * 10, limit=float(cheapest[20]))
    everything = _all(problem)
    assert 20 < len(everything) < 60
    history = go(problem, Engine(problem, effort=QUICK), len(everything))
    assert set(keys(history.rows)) == set(keys(everything))


def test_starts_lead_to_a_feasible_region_that_draws_do_not_find() -> None:
    target = np.random.default_rng(0).integers(0, 3, 25)

    def near(rows: IntArray, costs: FloatArray) -> np.ndarray:
        return (rows != target).sum(1) <= 2

    problem = replace(
        chain((3,) * 25),
        canonical=lambda rows: rows,
        costs=lambda rows: np.ones((len(rows), 1)) + rows.sum(1, keepdims=True),
        feasible=near,
        starts=target[None],
    )
    history = go(problem, Engine(problem, effort=QUICK), 12)
    assert near(history.rows, history.losses).all()


@pytest.mark.parametrize("block", [100, 5])
def test_a_restart_changes_nothing(block: int) -> None:
    """Fresh engines for every proposal, in the middle of a block too, go the same way."""
    problem, effort = chain((3,) * 10), replace(QUICK, block=block)
    history = go(problem, Engine(problem, seed=3, effort=effort), 24)
    for n in (0, 3, 4, 11, 13, 17, 22, 23):
        fresh = Engine(problem, seed=3, effort=effort)
        np.testing.assert_array_equal(fresh.ask(history.first(n)), history.rows[n])
    other = Engine(problem, seed=4, effort=effort)
    assert any((other.ask(history.first(n)) != history.rows[n]).any() for n in (2, 3, 5))


def test_pending_candidates_are_kept_away_from() -> None:
    """Eight asked for without a score in between: all different, and spread over the costs."""
    problem = chain((3,) * 12)
    history = random_history(problem, 30)
    engine, pending = Engine(problem, effort=QUICK), problem.no_rows
    for _ in range(8):
        pending = np.concatenate([pending, engine.ask(history, pending)[None]])
    assert len(set(keys(pending)) | set(keys(history.rows))) == 38
    spread = np.ptp(problem.costs(pending))
    assert spread > 0.3 * np.ptp(problem.costs(history.rows))
    skipped = [Engine(problem, effort=QUICK).ask(history, skip=k) for k in range(3)]
    assert len(set(keys(np.array(skipped)))) == 3


def test_the_best_of_a_small_space_is_proposed() -> None:
    """Where all is rated, the proposal has the largest expected improvement by brute force."""
    problem = chain((3,) * 6)
    history = random_history(problem, 30)
    engine = Engine(problem)
    chosen = engine.ask(history)
    rest = _all(problem)
    rest = rest[[key not in set(keys(history.rows)) for key in keys(rest)]]
    mean, sd = engine.predict(history, rest)
    references = engine.references(history)
    low = np.minimum(mean - 4 * sd, history.losses.min(0)).min(0)
    places = qmc.scale(qmc.Sobol(2, rng=0).random_base2(15), low, references.points.max(0))
    places = places[~(history.losses[None] <= places[:, None]).all(2).any(1)]
    # how often only the candidate dominates a place, and what the place counts
    chances = (mean[:, :1] <= places[:, 0]) * norm.cdf(places[:, 1], mean[:, 1:], sd[:, 1:])
    gains = chances @ ((places[:, None] < references.points).all(2) @ references.weights)
    mine = gains[keys(rest).index(keys(chosen[None])[0])]
    assert mine > 0.97 * gains.max() > 0


def test_better_than_random_and_finds_most_of_the_true_front() -> None:
    problem = chain((3,) * 8)
    truth = score(problem, _all(problem))
    reference = truth.max(0)
    best = hypervolume(truth, reference)
    share = {}
    history = go(problem, Engine(problem, seed=1), 40)
    share["guided"] = hypervolume(history.losses, reference) / best
    share["random"] = hypervolume(random_history(problem, 40).losses, reference) / best
    assert share["guided"] > 0.97 > share["random"]


def test_one_objective_climbs_to_the_best() -> None:
    problem = replace(chain((3,) * 7), objectives=(None,))
    everything = _all(problem)
    history = History.empty(problem)
    engine = Engine(problem, effort=replace(QUICK, startup=6))
    for _ in range(40):
        row = engine.ask(history)
        history = extend(history, row, score(problem, row[None])[:, 1:])
    assert history.losses.min() <= np.sort(score(problem, everything)[:, 1])[3]


def test_three_objectives_with_two_learnt() -> None:
    problem = replace(chain((3,) * 10), objectives=(None, 0, None))
    history = History.empty(problem)
    engine = Engine(problem, effort=QUICK)
    for _ in range(16):
        row = engine.ask(history)
        cost, loss = score(problem, row[None])[0]
        history = extend(history, row, np.array([[loss, cost, float(row.sum())]]))
    assert front_mask(history.losses).sum() >= 3


def test_an_objective_that_follows_a_cost_is_known_but_for_the_difference() -> None:
    whole = chain()
    alone = replace(whole, objectives=(None, None))
    following = replace(alone, follows=(0, None))
    history = random_history(whole, 30)
    shifted = History(history.rows, history.losses + np.array([600.0, 0.0]))
    rows = random_history(whole, 80, seed=1).rows
    rows = rows[[key not in keys(history.rows) for key in keys(rows)]]
    truth = score(whole, rows)[:, 0] + 600.0
    mean, sd = Engine(following).predict(shifted, rows)
    np.testing.assert_allclose(mean[:, 0], truth, atol=1e-6)
    off, _ = Engine(alone).predict(shifted, rows)
    assert np.abs(off[:, 0] - truth).max() > 1e-3 and (sd[:, 1] > 0).all()
    # what follows nothing is learnt as before
    np.testing.assert_array_equal(mean[:, 1], off[:, 1])


def test_no_costs_at_all() -> None:
    problem = Problem((Gene("a", 4), Gene("b", 3, ordered=False)), (None,))
    history = History.empty(problem)
    engine = Engine(problem, effort=QUICK)
    for _ in range(12):
        row = engine.ask(history)
        history = extend(history, row, np.array([[float(row[0] - row[1])]]))
    assert len(set(keys(history.rows))) == 12


class TestEarlierScores:
    def test_they_take_the_place_of_a_start(self) -> None:
        """The costs of the earlier search were others; only its learnt scores count."""
        problem = chain((3,) * 8)
        earlier = random_history(problem, 60)
        wrong = History(earlier.rows, earlier.losses * [1000.0, 1.0])
        engine = Engine(problem, earlier=wrong)
        mean, _ = engine.predict(History.empty(problem), earlier.rows)
        np.testing.assert_array_equal(mean[:, 0], earlier.losses[:, 0])
        np.testing.assert_allclose(mean[:, 1], earlier.losses[:, 1], atol=0.1)
        warm = go(problem, engine, 12)
        cold = go(problem, Engine(problem), 12)
        reference = score(problem, _all(problem)).max(0)
        assert hypervolume(warm.losses, reference) > hypervolume(cold.losses, reference)

    def test_limits_may_differ(self) -> None:
        earlier = random_history(chain((3,) * 8), 60)
        tight = chain((3,) * 8, limit=float(np.quantile(earlier.losses[:, 0], 0.3)))
        history = go(tight, Engine(tight, earlier=earlier, effort=QUICK), 8)
        assert (history.losses[:, 0] <= np.quantile(earlier.losses[:, 0], 0.3)).all()

    def test_unknown_values_are_nan(self) -> None:
        problem = chain((3,) * 8)
        earlier = random_history(problem, 30)
        earlier.losses[::2, 1] = np.nan
        assert len(go(problem, Engine(problem, earlier=earlier, effort=QUICK), 3)) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reference": [1.0]}, "one for each"),
        ({"seed": -1}, "whole number of 0 or more"),
        ({"earlier": History(np.zeros((2, 3), np.int64), np.zeros((2, 2)))}, "9 genes"),
    ],
)
def test_wrong_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Engine(chain(), **arguments)  # type: ignore[arg-type]


def test_candidates_without_a_finite_cost_are_not_proposed() -> None:
    problem = chain((3,) * 5)
    plain = problem.costs

    def costs(rows: IntArray) -> FloatArray:
        return np.where(rows[:, 1:2] == 1, np.inf, plain(rows))

    odd = replace(problem, costs=costs)
    history = go(odd, Engine(odd, effort=QUICK), 15)
    assert (history.rows[:, 1] != 1).all()
