"""Fronts and hypervolumes against brute force and Monte Carlo."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hybrid_nas.search.pareto import hypervolume, non_dominated

POINTS = st.integers(1, 3).flatmap(
    lambda m: arrays(float, st.tuples(st.integers(1, 8), st.just(m)), elements=st.integers(0, 5))
)


@given(POINTS)
def test_the_front_is_what_pairwise_comparison_leaves(points: np.ndarray) -> None:
    expected = [
        not any(
            all(a <= b for a, b in zip(q, p, strict=True))
            and any(a < b for a, b in zip(q, p, strict=True))
            for q in points.tolist()
        )
        for p in points.tolist()
    ]
    assert non_dominated(points).tolist() == expected


@given(POINTS)
def test_hypervolume_counts_unit_cells(points: np.ndarray) -> None:
    """On integer points the volume is the number of dominated unit cells."""
    m = points.shape[1]
    cells = itertools.product(range(7), repeat=m)
    count = sum(any(np.all(p <= np.array(cell)) for p in points) for cell in cells)
    assert hypervolume(points, np.full(m, 7.0)) == pytest.approx(count)


def test_points_beyond_the_reference_count_for_nothing() -> None:
    points = np.array([[0.0, 9.0], [2.0, 1.0]])
    assert hypervolume(points, np.array([4.0, 4.0])) == pytest.approx(2 * 3)
    assert hypervolume(points[:1], np.array([4.0, 4.0])) == 0


def test_no_points_no_volume() -> None:
    assert hypervolume(np.zeros((0, 2)), np.ones(2)) == 0
    assert non_dominated(np.zeros((0, 2))).tolist() == []
