"""Dividing pools into splits: whole groups, seeded, stratified, and honest about small ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_nas.data.splitting import (
    HELD_OUT_BESIDE_TEST,
    VAL_SHARES,
    PoolLabels,
    divide,
    plan_splits,
    standard_error_points,
)
from hybrid_nas.errors import InputError


def _pool(n: int, n_classes: int = 4, first_group: int = 0, per_group: int = 1) -> PoolLabels:
    index = np.arange(n) // per_group
    return PoolLabels(index % n_classes, first_group + index)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=4, max_size=40),
    n_classes=st.integers(1, 5),
    seed=st.integers(0, 2**31),
)
def test_division_is_a_partition_that_keeps_groups_whole(
    sizes: list[int], n_classes: int, seed: int
) -> None:
    groups = np.repeat(np.arange(len(sizes)) * 7 - 3, sizes)
    labels = np.random.default_rng(seed).integers(0, n_classes, len(groups))
    parts = divide(labels, groups, VAL_SHARES, seed)
    assert list(parts) == list(VAL_SHARES)
    together = np.concatenate(list(parts.values()))
    assert np.array_equal(np.sort(together), np.arange(len(groups)))
    assert all(len(index) and np.array_equal(index, np.sort(index)) for index in parts.values())
    owners = [set(groups[index].tolist()) for index in parts.values()]
    assert sum(len(owner) for owner in owners) == len(sizes)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(40, 400), n_classes=st.integers(2, 10), seed=st.integers(0, 1000))
def test_single_images_are_divided_in_proportion_in_every_class(
    n: int, n_classes: int, seed: int
) -> None:
    """Every class count and every total is within two images of its exact share."""
    labels = np.random.default_rng(seed).integers(0, n_classes, n)
    parts = divide(labels, np.arange(n), VAL_SHARES, seed)
    for name, index in parts.items():
        exact = VAL_SHARES[name] * np.bincount(labels, minlength=n_classes)
        assert np.abs(np.bincount(labels[index], minlength=n_classes) - exact).max() <= 2
        assert abs(len(index) - VAL_SHARES[name] * n) <= 2


def test_one_giant_group_leaves_no_split_empty() -> None:
    groups = np.array([0] * 97 + [1, 2, 3])
    parts = divide(np.arange(100) % 2, groups, VAL_SHARES, seed=0)
    assert sorted(len(index) for index in parts.values()) == [1, 1, 1, 97]


def test_seed_decides_and_repeats() -> None:
    labels, groups = np.arange(200) % 5, np.arange(200)
    first = divide(labels, groups, VAL_SHARES, seed=1)
    again = divide(labels, groups, VAL_SHARES, seed=1)
    other = divide(labels, groups, VAL_SHARES, seed=2)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert any(not np.array_equal(first[name], other[name]) for name in first)


def test_too_few_groups_are_refused_with_the_count() -> None:
    with pytest.raises(InputError, match=r"60 images of 3 groups .* 4 splits"):
        divide(np.zeros(60, np.int64), np.arange(60) % 3, VAL_SHARES, seed=0)


def test_all_four_come_from_val_when_there_is_no_test() -> None:
    plan = plan_splits({"train": _pool(50), "val": _pool(400, first_group=50)}, seed=0)
    assert {name: part.pool for name, part in plan.parts.items()} == {
        "train": "train", "fit": "val", "threshold": "val", "score": "val", "test": "val",
    }  # fmt: skip
    assert len(plan.parts["train"].index) == 50
    assert len(plan.parts["test"].index) == 120


def test_a_test_pool_is_the_test_split_in_its_own_order() -> None:
    pools = {
        "train": _pool(50),
        "val": _pool(100, first_group=50),
        "test": _pool(30, first_group=150),
    }
    plan = plan_splits(pools, seed=0)
    assert plan.parts["test"].pool == "test"
    assert np.array_equal(plan.parts["test"].index, np.arange(30))
    assert sum(len(plan.parts[name].index) for name in ("fit", "threshold", "score")) == 100


def test_without_val_the_splits_are_held_out_of_train_by_group() -> None:
    train = _pool(1000, per_group=4)
    plan = plan_splits({"train": train, "test": _pool(40, first_group=1000)}, seed=0)
    held_out = [plan.parts[name] for name in ("fit", "threshold", "score")]
    assert {part.pool for part in held_out} == {"train"}
    n_held_out = sum(len(part.index) for part in held_out)
    assert n_held_out == pytest.approx(HELD_OUT_BESIDE_TEST * 1000, abs=8)
    kept = set(train.groups[plan.parts["train"].index].tolist())
    for part in held_out:
        assert not kept & set(train.groups[part.index].tolist())
    assert any("held out of train" in note for note in plan.warnings)


def test_a_group_in_two_pools_is_refused_by_name() -> None:
    pools = {"train": _pool(20), "val": _pool(40, first_group=19)}
    names = [f"user{k}" for k in range(60)]
    with pytest.raises(InputError, match="'user19' has images in both train and val"):
        plan_splits(pools, seed=0, group_names=names)


def test_small_splits_are_warned_about_and_large_ones_are_not() -> None:
    """At 80 % accuracy one point is 1600 independent images."""
    small = plan_splits({"train": _pool(50), "val": _pool(1000, first_group=50)}, seed=0)
    assert [note.split()[1] for note in small.warnings] == ["score", "test"]
    large = plan_splits({"train": _pool(50), "val": _pool(6000, first_group=50)}, seed=0)
    assert large.warnings == ()
    grouped = _pool(6000, first_group=50, per_group=10)
    assert len(plan_splits({"train": _pool(50), "val": grouped}, seed=0).warnings) == 2


def test_standard_error_counts_wholly_dependent_groups_once() -> None:
    """Against the spread of simulated accuracies where all images of a group agree."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(50), rng.integers(1, 12, 50))
    right = rng.random((20000, 50)) < 0.8
    accuracies = right[:, groups].mean(axis=1)
    assert standard_error_points(groups) == pytest.approx(100 * accuracies.std(), rel=0.03)
    assert standard_error_points(np.arange(1600)) == pytest.approx(1.0)


def test_a_class_that_a_split_lacks_is_named() -> None:
    labels = np.array([0, 1] * 40 + [2, 2])
    pools = {
        "train": PoolLabels(labels, np.arange(82)),
        "val": PoolLabels(labels, 100 + np.arange(82)),
    }
    plan = plan_splits(pools, seed=0, classes=("ant", "bee", "cow"))
    lacking = [note for note in plan.warnings if "no image of class cow" in note]
    assert len(lacking) == 2
