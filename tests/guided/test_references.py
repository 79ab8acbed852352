"""Where hypervolume counts, against counted cells and the definition."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hybrid_nas.guided.pareto import front_mask, hypervolume
from hybrid_nas.guided.references import References
from hybrid_nas.typing import FloatArray
from tests.guided.toy import grids


@given(grids(), st.integers(0, 2**32 - 1))
def test_an_improvement_is_the_weighted_sum_of_both_hypervolumes_gains(
    points: FloatArray, seed: int
) -> None:
    m = points.shape[1]
    near, far = np.full(m, 3.0), np.full(m, 6.5)
    references = References(np.stack([near, far]), np.array([0.75, 0.25]))
    candidates = np.random.default_rng(seed).integers(0, 8, (6, m)).astype(float)
    found = references.undominated(points).improvement(candidates, np.zeros((6, m)))
    for candidate, value in zip(candidates, found, strict=True):
        both = np.concatenate([points, candidate[None]])
        gains = [hypervolume(both, at) - hypervolume(points, at) for at in (near, far)]
        np.testing.assert_allclose(value, 0.75 * gains[0] + 0.25 * gains[1], atol=1e-9)


@given(grids())
def test_one_lies_beyond_the_front_and_one_beyond_everything(points: FloatArray) -> None:
    front = points[front_mask(points)]
    references = References.around(points)
    assert references.weights.sum() == 1
    *near, far = references.points
    assert (far > points.max(0)).all()
    flat = (np.ptp(front, axis=0) == 0).any()
    assert len(near) == (0 if flat else 1)
    for point in near:
        assert (front.max(0) < point).all() and (point <= far).all()
        np.testing.assert_allclose(point, 1.1 * front.max(0) - 0.1 * front.min(0))


def test_units_do_not_matter() -> None:
    losses = np.random.default_rng(0).random((20, 2))
    one = References.around(losses)
    other = References.around(losses * [1000.0, 1.0] + [5.0, 0.0])
    np.testing.assert_allclose(other.points, one.points * [1000.0, 1.0] + [5.0, 0.0])
