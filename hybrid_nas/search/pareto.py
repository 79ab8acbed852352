"""A front that grows point by point, in terms of losses: smaller is better in every column."""

from __future__ import annotations

import numpy as np

from hybrid_nas.typing import FloatArray


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
