"""Pareto fronts, and what is not yet dominated as disjoint boxes. Smaller is better throughout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from hybrid_nas.typing import BoolArray, FloatArray

_ROOT_TAU = float(np.sqrt(2 * np.pi))
_MOST_POINTS = {1: 1000, 2: 1000, 3: 200, 4: 60}
_MOST_POINTS_BEYOND = 25  # with five objectives and more: boxes grow as n^(m // 2)


def front_mask(losses: FloatArray) -> BoolArray:
    """Which points (n, m) no other point beats; of equal points the first.

    Every step keeps the point of least sum, which nothing left can beat, and drops what it beats:
    O(n m) per point of the front.

    >>> front_mask(np.array([[1.0, 2.0], [2.0, 1.0], [2.0, 2.0], [1.0, 2.0]])).tolist()
    [True, True, False, False]
    """
    keep = np.zeros(len(losses), bool)
    if not len(losses):
        return keep
    low, span = losses.min(0), np.ptp(losses, axis=0)
    scaled = (losses - low) / np.where(span > 0, span, 1.0)
    left = np.lexsort((*losses.T, scaled.sum(1)))  # equal sums by rounding: then by columns
    while len(left):
        best = left[0]
        keep[best] = True
        left = left[(losses[left] < losses[best]).any(1)]
    return keep


def thinned(losses: FloatArray) -> FloatArray:
    """The front of losses (n, m), thinned out evenly where it would make too many boxes."""
    front = losses[front_mask(losses)]
    most = _MOST_POINTS.get(losses.shape[1], _MOST_POINTS_BEYOND)
    if len(front) <= most:
        return front
    span = np.maximum(np.ptp(front, axis=0), np.finfo(np.float64).tiny)
    scaled = front / span
    chosen = [int(np.argmin(scaled.sum(1)))]
    distance = np.full(len(front), np.inf)
    while len(chosen) < most:  # always the one that is furthest from those chosen
        distance = np.minimum(distance, ((scaled - scaled[chosen[-1]]) ** 2).sum(1))
        chosen.append(int(np.argmax(distance)))
    return front[chosen]


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes of what a front leaves undominated, each with what its volume counts.

    Attributes:
        lower, upper: corners, (boxes, m); `lower` may be minus infinity.
        weight: (boxes,). Where boxes overlap their weights add up.
    """

    lower: FloatArray
    upper: FloatArray
    weight: FloatArray

    @classmethod
    def beyond(cls, front: FloatArray, reference: FloatArray) -> Boxes:
        """Disjoint boxes, of weight 1, for points (n, m) and all below a reference point.

        The points may be dominated, equal, or outside the reference.
        """
        points = front[np.all(front < reference, axis=1)]
        points = points[front_mask(points)]
        if len(reference) == 1:
            top = points.min(0) if len(points) else reference
            return cls(np.full((1, 1), -np.inf), top.reshape(1, 1), np.ones(1))
        if len(reference) == 2:
            lower, upper = _strips(points, reference)
            return cls(lower, upper, np.ones(len(upper)))
        # What is below some local upper bound is undominated. Seen from the other side, the bounds
        # are points that dominate it, so the same sweep cuts it into boxes.
        bounds = _sweep(points, reference)[0]
        _, lower, upper = _sweep(-bounds, np.full(len(reference), np.inf))
        return cls(-upper, -lower, np.ones(len(upper)))

    def improvement(self, mean: FloatArray, sd: FloatArray) -> FloatArray:
        """Expected hypervolume improvement of candidates, exact.

        With independent Gaussian losses the expected volume that a candidate adds in a box is the
        product over objectives of E(u - Y)+ - E(l - Y)+, the mean length that it covers of an edge
        from l to u (Yang et al., "Efficient computation of expected hypervolume improvement using
        box decomposition algorithms", J. Global Optimization 2019). An objective that is known has
        sd 0, and its term is the plain length.

        Args:
            mean, sd: of the losses, (n, m).

        Returns:
            float64 (n,), in units of volume times weight.
        """
        total = np.ones((len(mean), len(self.upper)))
        for k in range(mean.shape[1]):
            edges, place = np.unique(
                np.concatenate([self.lower[:, k], self.upper[:, k]]), return_inverse=True
            )
            shortfall = expected_shortfall(edges, mean[:, k], sd[:, k])
            total *= shortfall[:, place[len(self.upper) :]] - shortfall[:, place[: len(self.upper)]]
        return np.asarray(total @ self.weight)


def expected_shortfall(edges: FloatArray, mean: FloatArray, sd: FloatArray) -> FloatArray:
    """E(t - Y)+ for Gaussian Y of mean and sd (n,) and thresholds t (edges,): (n, edges)."""
    gap = edges - mean[:, None]
    known = np.maximum(gap, 0.0)
    uncertain = sd > 0
    if not uncertain.any():
        return known
    finite = np.isfinite(edges)  # minus infinity: nothing is below it, and 0 is there already
    at, s = gap[np.ix_(uncertain, finite)], sd[uncertain, None]
    z = at / s
    density = np.exp(-0.5 * z**2) / _ROOT_TAU
    # far below the mean the two terms cancel to rounding errors, which may be negative
    known[np.ix_(uncertain, finite)] = np.maximum(at * ndtr(z) + s * density, 0.0)
    return known


def hypervolume(losses: FloatArray, reference: FloatArray) -> float:
    """Volume that points (n, m) dominate up to a reference point (m,), exact."""
    points = losses[np.all(losses < reference, axis=1)]
    points = points[front_mask(points)]
    if not len(points):
        return 0.0
    if len(reference) == 2:  # the sum of the front's steps
        points = points[np.argsort(points[:, 0])]
        heights = np.append(reference[1], points[:-1, 1]) - points[:, 1]
        return float((reference[0] - points[:, 0]) @ heights)
    _, lower, upper = _sweep(points, reference)
    return float(np.prod(upper - lower, axis=1).sum())


def _strips(points: FloatArray, reference: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Two objectives: vertical strips between the points of a front."""
    points = points[np.argsort(points[:, 0])]
    edges = np.concatenate([[-np.inf], points[:, 0], reference[:1]])
    tops = np.append(reference[1], points[:, 1])
    lower = np.stack([edges[:-1], np.full(len(tops), -np.inf)], axis=1)
    return lower, np.stack([edges[1:], tops], axis=1)


def _sweep(points: FloatArray, reference: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Local upper bounds of points (n, m), and the boxes of what the points dominate.

    Point after point, every bound above it splits into one bound per objective (Lacour, Klamroth
    and Fonseca, "A box decomposition algorithm to compute the hypervolume indicator", Computers &
    Operations Research 2017). A bound remembers the points that define its coordinates; between
    them and the bound lies its box.

    Returns:
        The bounds, and the boxes' lower and upper corners.
    """
    m = len(reference)
    bounds = reference[None].copy()
    defining = np.full((1, m, m), -np.inf)  # which point set coordinate k: its coordinates
    defining[0, np.arange(m), np.arange(m)] = reference
    for point in points:
        above = np.all(point < bounds, axis=1)
        old, set_by = bounds[above], defining[above]
        parts, parts_by = [bounds[~above]], [defining[~above]]
        for k in range(m):
            good = point[k] >= np.delete(set_by[:, :, k], k, axis=1).max(1, initial=-np.inf)
            child, child_by = old[good].copy(), set_by[good].copy()
            child[:, k], child_by[:, k] = point[k], point
            parts.append(child)
            parts_by.append(child_by)
        bounds, defining = np.concatenate(parts), np.concatenate(parts_by)
    lower, upper = bounds.copy(), bounds.copy()
    upper[:, 0] = reference[0]
    for k in range(1, m):
        lower[:, k] = defining[:, :k, k].max(1)
    real = np.all(lower < upper, axis=1)  # equal coordinates leave flat ones
    return bounds, lower[real], upper[real]
