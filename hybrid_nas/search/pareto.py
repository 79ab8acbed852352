"""Pareto fronts and hypervolumes, in terms of losses: smaller is better in every column."""

from __future__ import annotations

import numpy as np

from hybrid_nas.typing import BoolArray, FloatArray


def non_dominated(losses: FloatArray) -> BoolArray:
    """Which points no other point beats: bool (n,) for losses (n, m).

    A point is beaten by one that is nowhere worse and somewhere better; equal points all stay.
    O(n^2 m), vectorised.

    >>> non_dominated(np.array([[1.0, 2.0], [2.0, 1.0], [2.0, 2.0]])).tolist()
    [True, True, False]
    """
    keep = np.ones(len(losses), bool)
    for k, point in enumerate(losses):
        beaten = np.all(losses <= point, axis=1) & np.any(losses < point, axis=1)
        keep[k] = not beaten.any()
    return keep


def hypervolume(losses: FloatArray, reference: FloatArray) -> float:
    """Volume that points (n, m) dominate up to a reference point (m,).

    Sweeps the last objective and recurses on the others (Fonseca et al., CEC 2006, without its
    bookkeeping): exact, O(n^(m-1) log n), meant for fronts of tens of points.
    """
    points = losses[np.all(losses < reference, axis=1)]
    if not len(points):
        return 0.0
    if losses.shape[1] == 1:
        return float(reference[0] - points[:, 0].min())
    points = points[non_dominated(points)]
    points = points[np.argsort(points[:, -1], kind="stable")]
    edges = np.append(points[:, -1], reference[-1])
    return float(
        sum(
            (edges[k + 1] - edges[k]) * hypervolume(points[: k + 1, :-1], reference[:-1])
            for k in range(len(points))
            if edges[k + 1] > edges[k]
        )
    )


class RunningFront:
    """The front of points that come one by one: O(front) each, whatever came before.

    Attributes:
        losses: the points that no other has beaten, (k, m), in the order of their coming; of equal
            ones the first.
    """

    def __init__(self, objectives: int) -> None:
        self.losses: FloatArray = np.zeros((0, objectives))

    def add(self, point: FloatArray) -> bool:
        """Take in a point (m,); whether it is on the front now."""
        if np.all(self.losses <= point, axis=1).any():
            return False
        kept = self.losses[~np.all(point <= self.losses, axis=1)]
        self.losses = np.concatenate([kept, point[None]])
        return True
