"""Targets and costs: right by brute force, and honest about what they were not chosen on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_nas.errors import InfeasibleError, InputError
from hybrid_nas.routing import ModelOutputs
from hybrid_nas.routing.analysis import analyse
from hybrid_nas.routing.costs import ENERGY, LATENCY, PRICE, QueryCost, load_price
from hybrid_nas.routing.ranking import accuracy_curve
from hybrid_nas.routing.rewards import accuracy_rewards
from hybrid_nas.routing.targets import AtLeast, AtMost, threshold_at
from hybrid_nas.routing.thresholds import sent

Simulate = Callable[..., Any]
seeds = st.integers(0, 10_000)


@given(seeds, st.integers(0, 24))
def test_a_level_takes_as_few_queries_as_any_threshold_can(seed: int, half_inputs: int) -> None:
    random = np.random.default_rng(seed)
    n, level = 12, half_inputs / 24  # on the accuracies that there are, and between them
    score = random.integers(0, 6, n).astype(float)  # with ties
    b, g = random.random(n) < 0.5, random.random(n) < 0.8
    decisions = [score > threshold for threshold in (-1.0, *np.unique(score))]
    reaching = [d.sum() for d in decisions if np.where(d, g, b).mean() >= level - 1e-9]
    target, rewards = AtLeast(level), accuracy_rewards(b, g)
    coverage = target.coverage(score, rewards)
    decided = sent(score, threshold_at(score, coverage))
    if reaching:
        assert decided.sum() == min(reaching)
        target.check(score, rewards)
        return
    best = max(np.where(d, g, b).mean() for d in decisions)
    assert np.where(decided, g, b).mean() == pytest.approx(best)
    with pytest.raises(InfeasibleError, match=f"the best is {best:.4f}"):
        target.check(score, rewards)


@given(seeds, st.floats(0.0, 3.0))
def test_a_budget_is_spent_and_never_exceeded(seed: int, level: float) -> None:
    random = np.random.default_rng(seed)
    n = 12
    score = random.integers(0, 6, n).astype(float)
    cost = QueryCost(PRICE, 0.5, random.random(n) * 2.0)
    rewards = accuracy_rewards(np.zeros(n, bool), np.ones(n, bool))
    target = AtMost(level, cost)
    if level < 0.5:
        with pytest.raises(InfeasibleError, match=r"out of reach: without any query it is 0\.5"):
            target.check(score, rewards)
        return
    decisions = [score > threshold for threshold in (-1.0, *np.unique(score))]
    within = [d.sum() for d in decisions if cost.mean(d.astype(float)) <= level]
    decided = sent(score, threshold_at(score, target.coverage(score, rewards)))
    assert decided.sum() == max(within)


def test_targets_are_judged_on_inputs_that_did_not_set_them() -> None:
    """Who is right is drawn by lot: what looked best where it was set is no better elsewhere."""
    missed = []
    for seed in range(6):
        random = np.random.default_rng(seed)
        labels = random.integers(0, 3, 240)
        base = ModelOutputs(labels=labels, logits=random.normal(size=(240, 3)))
        cloud = ModelOutputs(predicted=random.integers(0, 3, 240))
        plain = analyse(base, cloud, (0.7,), repeats=1, seed=seed)
        score = plain.selection.scores[plain.default]
        curve = accuracy_curve(score, base.correct, cloud.pred == labels)
        best = float(curve.accuracy.max())
        found = analyse(base, cloud, (0.7,), repeats=1, seed=seed, targets=[AtLeast(best)])
        missed.append(best - found.targets[0].reached)
    assert np.mean(missed) > 0.015


def test_a_level_within_reach_is_reached_on_unseen_inputs(simulate: Simulate) -> None:
    pair = simulate(3000)
    latency = QueryCost(LATENCY, 200.0, 2000.0)
    targets = [AtLeast(0.78), AtMost(800.0, latency)]
    found = analyse(pair.base, pair.cloud, (0.7,), repeats=2, costs=[latency], targets=targets)
    level, budget = found.targets
    assert level.reached == pytest.approx(0.78, abs=0.012)
    assert not level.is_cost and budget.is_cost
    assert budget.reached == pytest.approx(800.0, abs=25.0)
    assert budget.means[LATENCY] == pytest.approx(200.0 + 2000.0 * (1.0 - budget.coverage))
    # a budget of 800 ms allows 30 % of queries, as coverage 0.7 does
    assert budget.accuracy == pytest.approx(found.methods["selected"][0.7].accuracy, abs=0.003)
    for one in found.targets:
        assert one.interval.low <= one.accuracy <= one.interval.high


def test_a_level_out_of_reach_names_the_best(simulate: Simulate) -> None:
    pair = simulate(400)
    with pytest.raises(InfeasibleError, match=r"accuracy 0\.999 is out of reach: the best is 0\."):
        analyse(pair.base, pair.cloud, (0.7,), repeats=1, targets=[AtLeast(0.999)])


def test_costs_per_input_follow_the_decisions(simulate: Simulate) -> None:
    pair = simulate(600)
    price = np.where(np.arange(600) % 2 == 0, 3.0, 1.0)
    found = analyse(pair.base, pair.cloud, (0.7,), repeats=1, costs=[QueryCost(PRICE, 0.1, price)])
    oracle = found.methods["oracle-bound"][0.7]
    only_cloud = pair.cloud_correct & ~pair.base.correct
    assert only_cloud.mean() < 0.3  # so that the oracle sends them all
    assert oracle.means[PRICE] == pytest.approx(0.1 + (price * only_cloud).mean())
    assert found.methods["random"][0.7].means[PRICE] == pytest.approx(0.1 + 0.3 * price.mean())


def test_costs_read_aloud() -> None:
    assert QueryCost(ENERGY, 1.0, 2.0).text(3.25) == "3.25 mJ"
    assert QueryCost(LATENCY, 1.0, 2.0).words == "mean latency"


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"price": np.array(0.002)}, 0.002),
        ({"cost_per_10k": np.array([15.0])}, 0.0015),
        ({"price": np.array([1.0, 2.0, 3.0])}, [1.0, 2.0, 3.0]),
        ({"price": np.array(1), "cost_per_10k": np.array(5.0)}, 1.0),
        ({"labels": np.arange(3)}, None),
    ],
)
def test_prices_are_read_from_outputs(
    tmp_path: Path, arrays: dict[str, Any], expected: object
) -> None:
    np.savez(tmp_path / "cloud.npz", **arrays)
    found = load_price(tmp_path / "cloud.npz", 3)
    if expected is None:
        assert found is None
    else:
        np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"price": np.ones(2)}, r"shape \(2,\): expected one number, or one for each of 3"),
        ({"cost_per_10k": np.ones(3)}, "cost_per_10k is float64 of shape"),
        ({"price": np.array(-1.0)}, "negative prices or NaN"),
        ({"price": np.array([1.0, np.nan, 1.0])}, "negative prices or NaN"),
        ({"price": np.array("free")}, "expected one number"),
    ],
)
def test_prices_that_are_none_are_refused(
    tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    np.savez(tmp_path / "cloud.npz", **arrays)
    with pytest.raises(InputError, match=message):
        load_price(tmp_path / "cloud.npz", 3)
