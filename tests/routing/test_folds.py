"""Folds: groups stay together, sizes and answers are balanced."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_nas.errors import InputError
from hybrid_nas.routing.folds import group_folds


@given(
    n=st.integers(20, 200),
    n_groups=st.integers(5, 60),
    n_folds=st.integers(2, 5),
    seed=st.integers(0, 1000),
)
def test_no_group_lies_in_two_folds(n: int, n_groups: int, n_folds: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    groups = np.append(np.arange(5), random.integers(0, n_groups, n - 5))
    folds = group_folds(random.random(n) < 0.7, random.random(n) < 0.9, groups, n_folds, seed)
    for group in np.unique(groups):
        assert len(np.unique(folds[groups == group])) == 1
    assert set(folds) == set(range(n_folds))


def test_folds_have_like_sizes_and_like_shares_of_what_the_cloud_mends() -> None:
    random = np.random.default_rng(0)
    b, g = random.random(1000) < 0.8, random.random(1000) < 0.9
    folds = group_folds(b, g, None, 5, 0)
    assert np.bincount(folds).tolist() == [200] * 5
    for event in (g & ~b, b & ~g):
        counts = np.bincount(folds, weights=event)
        assert counts.max() - counts.min() <= 1


def test_folds_follow_the_seed() -> None:
    b = g = np.ones(50, dtype=bool)
    assert (group_folds(b, g, None, 5, 1) == group_folds(b, g, None, 5, 1)).all()
    assert (group_folds(b, g, None, 5, 1) != group_folds(b, g, None, 5, 2)).any()


def test_too_few_groups_are_refused() -> None:
    b = np.ones(9, dtype=bool)
    with pytest.raises(InputError, match="3 groups make no 5 folds"):
        group_folds(b, b, np.repeat([0, 1, 2], 3), 5, 0)
