"""Accuracy over coverage, against brute force over orders and properties that must hold."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_nas.routing.metrics import kept_accuracy
from hybrid_nas.routing.ranking import (
    abstaining_curve,
    accuracy_curve,
    input_accuracy,
    oracle_accuracy,
    send_weights,
)
from hybrid_nas.routing.rewards import accuracy_rewards
from hybrid_nas.typing import BoolArray, FloatArray

Case = tuple[FloatArray, BoolArray, BoolArray]


@st.composite
def cases(draw: st.DrawFn, max_size: int = 40) -> Case:
    """Few distinct scores, so that ties are the rule."""
    n = draw(st.integers(1, max_size))
    rows = draw(st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.booleans()),
                         min_size=n, max_size=n))  # fmt: skip
    scores, base, cloud = zip(*rows, strict=True)
    return np.array(scores) / 4.0 - 0.5, np.array(base), np.array(cloud)


def mean_over_orders(case: Case, n_sent: int) -> float:
    """Accuracy when `n_sent` inputs are sent, averaged over all orders that the scores allow."""
    score, base, cloud = case
    accuracies = []
    for order in itertools.permutations(range(len(score))):
        if all(score[a] >= score[b] for a, b in itertools.pairwise(order)):
            chosen = np.isin(np.arange(len(score)), order[:n_sent])
            accuracies.append(np.where(chosen, cloud, base).mean())
    return float(np.mean(accuracies))


@given(cases(max_size=6))
def test_ties_are_sent_in_random_order(case: Case) -> None:
    score, base, cloud = case
    n = len(score)
    curve = accuracy_curve(score, base, cloud)
    for n_sent in range(n + 1):
        expected = mean_over_orders(case, n_sent)
        coverage = 1 - n_sent / n
        weights = send_weights(score, coverage)
        assert curve.at(coverage) == pytest.approx(expected)
        assert input_accuracy(weights, base, cloud).mean() == pytest.approx(expected)


@given(cases())
def test_the_curve_runs_from_the_cloud_to_the_base(case: Case) -> None:
    score, base, cloud = case
    curve = accuracy_curve(score, base, cloud)
    assert curve.at(1.0) == pytest.approx(base.mean())
    assert curve.at(0.0) == pytest.approx(cloud.mean())
    assert (np.diff(curve.coverage) > 0).all()


@given(cases(), st.floats(0.0, 1.0))
def test_weights_send_exactly_the_quota_and_agree_with_the_curve(
    case: Case, coverage: float
) -> None:
    score, base, cloud = case
    weights = send_weights(score, coverage)
    assert weights.mean() == pytest.approx(1 - coverage, abs=1e-8)
    assert (weights >= 0).all()
    assert (weights <= 1 + 1e-9).all()
    order = np.argsort(score)
    assert (np.diff(weights[order]) >= -1e-12).all()
    accuracy = input_accuracy(weights, base, cloud).mean()
    assert accuracy == pytest.approx(accuracy_curve(score, base, cloud).at(coverage), abs=1e-7)


@given(cases())
def test_the_area_is_the_mean_over_coverages(case: Case) -> None:
    curve = accuracy_curve(*case)
    grid = np.linspace(0, 1, 20001)
    mean = np.interp(grid, curve.coverage, curve.accuracy).mean()
    assert curve.area == pytest.approx(mean, abs=1e-3)


@given(cases(max_size=10), st.floats(0.01, 1.0))
def test_no_choice_of_inputs_beats_the_oracle(case: Case, coverage: float) -> None:
    _, base, cloud = case
    n = len(base)
    quota = int(np.floor((1 - coverage) * n + 1e-9))
    best = max(
        np.where(np.isin(np.arange(n), chosen), cloud, base).mean()
        for size in range(quota + 1)
        for chosen in itertools.combinations(range(n), size)
    )
    bound = oracle_accuracy(base, cloud, coverage)
    assert best <= bound + 1e-9
    assert bound <= best + 1 / n  # the bound also uses the fraction of an input


@given(cases())
def test_the_oracle_never_loses_by_a_larger_quota(case: Case) -> None:
    _, base, cloud = case
    bounds = [oracle_accuracy(base, cloud, c) for c in np.linspace(1, 0, 21)]
    assert (np.diff(bounds) >= -1e-12).all()
    assert bounds[0] == pytest.approx(base.mean())
    assert bounds[-1] == pytest.approx((base | cloud).mean())


@given(cases(), st.floats(0.01, 1.0))
def test_the_oracle_s_decisions_give_its_accuracy(case: Case, coverage: float) -> None:
    _, base, cloud = case
    rewards = accuracy_rewards(base, cloud)
    weights = rewards.oracle_weights(coverage)
    assert weights.mean() <= 1 - coverage + 1e-9
    assert rewards.of(weights).mean() == pytest.approx(oracle_accuracy(base, cloud, coverage))


@given(cases())
def test_abstaining_is_judged_on_what_is_kept(case: Case) -> None:
    score, base, _ = case
    n = len(score)
    curve = abstaining_curve(score, base)
    assert curve.at(1.0) == pytest.approx(base.mean())
    for threshold in np.unique(score):
        decided = score > threshold
        kept = kept_accuracy(base, decided)
        assert kept.value == pytest.approx(base[~decided].mean())
        assert curve.at(1 - decided.sum() / n) == pytest.approx(kept.value)


def test_a_perfect_cloud_makes_the_hybrid_an_abstaining_classifier() -> None:
    random = np.random.default_rng(0)
    score, base = random.normal(size=500), random.random(500) < 0.7
    hybrid = accuracy_curve(score, base, np.ones(500, dtype=bool))
    abstaining = abstaining_curve(score, base)
    for coverage in (0.3, 0.7, 0.9):
        kept_right = hybrid.at(coverage) - (1 - coverage)
        assert abstaining.at(coverage) == pytest.approx(kept_right / coverage)
