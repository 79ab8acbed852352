"""Fronts, hypervolumes and their expected improvement, against definitions and Monte Carlo."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_nas.guided.pareto import Boxes, expected_shortfall, front_mask, hypervolume
from hybrid_nas.typing import FloatArray
from tests.guided.toy import grids


def cells_dominated(points: FloatArray) -> float:
    """Volume up to reference (5, ...) of points on the integer grid, by counting unit cells."""
    corners = np.stack(np.meshgrid(*[np.arange(5)] * points.shape[1], indexing="ij"), axis=-1)
    corners = corners.reshape(-1, points.shape[1])
    return float((points[None] <= corners[:, None]).all(2).any(1).sum())


@given(grids())
def test_hypervolume_counts_cells(points: FloatArray) -> None:
    assert hypervolume(points, np.full(points.shape[1], 5.0)) == cells_dominated(points)


@given(grids())
def test_front_is_what_nothing_beats(points: FloatArray) -> None:
    kept = points[front_mask(points)]
    beaten = [((points <= p).all(1) & (points < p).any(1)).any() for p in points]
    assert {tuple(p) for p in kept} == {
        tuple(p) for p, b in zip(points, beaten, strict=True) if not b
    }
    assert len({tuple(p) for p in kept}) == len(kept)


@given(grids(), st.integers(0, 2**32 - 1))
def test_sure_candidates_improve_by_what_they_add(points: FloatArray, seed: int) -> None:
    m = points.shape[1]
    reference = np.full(m, 5.0)
    candidates = np.random.default_rng(seed).integers(0, 7, (6, m)).astype(float)
    found = Boxes.beyond(points, reference).improvement(candidates, np.zeros((6, m)))
    added = [
        cells_dominated(np.concatenate([points, c[None]])) - cells_dominated(points)
        for c in candidates
    ]
    np.testing.assert_allclose(found, added, atol=1e-9)


@settings(deadline=None, max_examples=25)
@given(grids())
def test_boxes_are_disjoint_and_undominated(points: FloatArray) -> None:
    m = points.shape[1]
    boxes = Boxes.beyond(points, np.full(m, 5.0))
    probes = np.random.default_rng(0).uniform(-1, 5, (300, m))
    inside = ((boxes.lower < probes[:, None]) & (probes[:, None] < boxes.upper)).all(2).sum(1)
    dominated = (points[None] <= probes[:, None]).all(2).any(1)
    np.testing.assert_array_equal(inside, np.where(dominated, 0, 1))


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_expected_improvement_against_monte_carlo(m: int) -> None:
    """Random places, and random losses: how often does only the candidate dominate the place?

    Some objectives are known, some uncertain; tolerance of five standard errors.
    """
    rng, n = np.random.default_rng(m), 40_000
    points, reference = rng.random((8, m)), np.ones(m)
    mean, sd = rng.uniform(0.0, 0.6, (3, m)), rng.uniform(0.05, 0.3, (3, m))
    if m > 1:
        sd[:, 0] = 0.0
    found = Boxes.beyond(points, reference).improvement(mean, sd)
    places = rng.uniform(-1.0, 1.0, (n, m))
    free = ~(points[None] <= places[:, None]).all(2).any(1)
    for k in range(3):
        drawn = rng.normal(mean[k], sd[k], (n, m))
        hits = 2.0**m * (free & (drawn <= places).all(1))
        assert found[k] > 0
        assert found[k] == pytest.approx(hits.mean(), abs=5 * hits.std() / n**0.5)


def test_shortfall_of_known_values_and_far_thresholds() -> None:
    edges = np.array([-np.inf, 0.0, 2.0])
    sure = expected_shortfall(edges, np.array([1.0]), np.array([0.0]))
    np.testing.assert_array_equal(sure, [[0.0, 0.0, 1.0]])
    unsure = expected_shortfall(edges, np.array([1.0]), np.array([1e-3]))
    np.testing.assert_allclose(unsure, [[0.0, 0.0, 1.0]], atol=1e-12)
    assert (unsure >= 0).all()


def test_an_empty_front_leaves_everything() -> None:
    boxes = Boxes.beyond(np.zeros((0, 3)), np.ones(3))
    assert boxes.improvement(np.zeros((1, 3)), np.zeros((1, 3))) == pytest.approx(1.0)
    assert hypervolume(np.zeros((0, 3)), np.ones(3)) == 0.0
