"""Standard errors and bootstrap intervals, against formulas and simulated truth."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest

from hybrid_nas.routing.bootstrap import bootstrap_means
from hybrid_nas.routing.metrics import (
    clustered_mean,
    clustered_stderr,
    kept_accuracy,
    pair_accuracy,
)


def grouped_values(
    random: np.random.Generator, n_groups: int = 80, size: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """Values of which half the variance is between groups."""
    groups = np.repeat(np.arange(n_groups), size)
    return random.normal(size=n_groups)[groups] + random.normal(size=n_groups * size), groups


def test_hybrid_accuracy_counts_base_where_kept_and_cloud_where_sent() -> None:
    base = np.array([True, True, False, False])
    cloud = np.array([True, False, True, False])
    found = pair_accuracy(base, cloud, np.array([False, False, True, True]))
    assert found.value == 0.75  # the last is wrong in both
    assert found.stderr == pytest.approx(0.25)  # sqrt(0.75 * 0.25 / (4 - 1))
    assert pair_accuracy(base, cloud, np.ones(4, dtype=bool)).value == cloud.mean()


def test_without_a_cloud_only_kept_inputs_count() -> None:
    base, sent = np.array([True, False, False, True]), np.array([False, True, True, False])
    assert pair_accuracy(base, None, sent).value == 1.0
    assert pair_accuracy(base, None, ~sent).value == 0.0


def test_without_groups_the_standard_error_is_the_usual_one() -> None:
    values = np.random.default_rng(0).normal(size=300)
    assert clustered_stderr(values) == pytest.approx(values.std(ddof=1) / math.sqrt(300))
    each_its_own = np.random.default_rng(1).permutation(300)
    assert clustered_stderr(values, each_its_own) == pytest.approx(clustered_stderr(values))


def test_equal_groups_give_the_standard_error_of_their_means() -> None:
    values, groups = grouped_values(np.random.default_rng(0))
    means = values.reshape(80, 10).mean(axis=1)
    assert clustered_stderr(values, groups) == pytest.approx(means.std(ddof=1) / math.sqrt(80))


def test_the_standard_error_by_group_is_the_spread_over_redraws() -> None:
    random = np.random.default_rng(0)
    draws = [grouped_values(random) for _ in range(400)]
    spread = np.std([values.mean() for values, _ in draws])
    claimed = np.mean([clustered_stderr(values, groups) for values, groups in draws])
    assert claimed == pytest.approx(spread, rel=0.12)
    by_input = np.mean([clustered_stderr(values) for values, _ in draws])
    assert by_input < 0.55 * spread


def test_a_single_group_has_no_standard_error() -> None:
    assert math.isnan(clustered_stderr(np.arange(5.0), np.zeros(5, dtype=np.int64)))


def test_the_error_of_the_kept_accuracy_is_its_spread_over_redraws() -> None:
    random = np.random.default_rng(0)
    found = []
    for _ in range(1000):
        decided = random.random(400) < 0.3
        found.append(kept_accuracy(random.random(400) < np.where(decided, 0.5, 0.8), decided))
    spread = np.std([estimate.value for estimate in found])
    assert np.mean([estimate.stderr for estimate in found]) == pytest.approx(spread, rel=0.1)
    assert kept_accuracy(np.ones(3, dtype=bool), np.ones(3, dtype=bool)).value == 1.0


def test_the_bootstrap_agrees_with_the_formula_by_group() -> None:
    values, groups = grouped_values(np.random.default_rng(3), n_groups=300)
    interval = bootstrap_means(values[:, None], groups, resamples=4000)[0]
    stderr = clustered_stderr(values, groups)
    assert interval.value == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - 1.96 * stderr, abs=0.1 * stderr)
    assert interval.high == pytest.approx(values.mean() + 1.96 * stderr, abs=0.1 * stderr)


def test_unequal_groups_are_resampled_whole() -> None:
    random = np.random.default_rng(0)
    groups = random.integers(0, 200, 3000) ** 2 // 200
    values = random.normal(size=200)[groups] + random.normal(size=3000)
    interval = bootstrap_means(values[:, None], groups, resamples=4000)[0]
    width = (interval.high - interval.low) / (2 * 1.96)
    assert width == pytest.approx(clustered_stderr(values, groups), rel=0.15)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for seed in range(300):
        values, groups = grouped_values(random, n_groups=60, size=3)
        interval = bootstrap_means(values[:, None], groups, resamples=400, seed=seed)[0]
        covered += interval.low <= 0.0 <= interval.high
    assert 0.90 <= covered / 300 <= 0.985


def test_differences_are_paired() -> None:
    """Methods that are right on nearly the same inputs differ by less than either varies."""
    random = np.random.default_rng(0)
    ours = (random.random(1000) < 0.7).astype(float)
    theirs = np.where(random.random(1000) < 0.02, 1 - ours, ours)
    alone, paired = bootstrap_means(np.stack([ours, ours - theirs], axis=1))
    assert paired.high - paired.low < 0.4 * (alone.high - alone.low)
    same = bootstrap_means((ours - ours)[:, None])[0]
    assert (same.low, same.high) == (0.0, 0.0)


def test_the_bootstrap_follows_its_seed_and_not_its_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(50, 2))
    whole = bootstrap_means(values, resamples=100, seed=5)
    assert bootstrap_means(values, resamples=100, seed=5) == whole
    assert bootstrap_means(values, resamples=100, seed=6) != whole
    monkeypatch.setattr("hybrid_nas.routing.bootstrap._CHUNK_DRAWS", 170)
    chunked = bootstrap_means(values, resamples=100, seed=5)
    for one, other in zip(chunked, whole, strict=True):  # products of other shapes round otherwise
        assert astuple(one) == pytest.approx(astuple(other), rel=1e-12)


def test_a_mean_comes_with_its_error() -> None:
    estimate = clustered_mean(np.array([0.0, 1.0, 1.0, 0.0]))
    assert estimate.value == 0.5
    assert estimate.stderr == pytest.approx(math.sqrt(1 / 3) / 2)
