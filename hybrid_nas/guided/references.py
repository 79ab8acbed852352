"""Up to where hypervolume counts, and how much of it where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybrid_nas.guided.pareto import Boxes, front_mask
from hybrid_nas.typing import FloatArray

_MARGIN = 0.1
_FAR_WEIGHT = 0.05  # 0.01 to 0.1 are as good, 0.3 and 0 are worse (docs/benchmarks.md)


@dataclass(frozen=True, eq=False)
class References:
    """Reference points, each with a weight: what a place counts are the weights of those beyond it.

    Two take the place of one (a weighted hypervolume: Zitzler, Brockhoff and Thiele, "The
    hypervolume indicator revisited", EMO 2007). With a reference point as far out as the worst
    candidates are, the ends of the front would be worth more than all between them; right behind
    the front's ends, nothing would be worth looking for beyond them (Ishibuchi et al., "How to
    specify a reference point in hypervolume calculation", Evolutionary Computation 2018).

    Attributes:
        points: losses, (k, m).
        weights: (k,).
    """

    points: FloatArray
    weights: FloatArray

    @classmethod
    def at(cls, reference: FloatArray) -> References:
        """One reference point (m,)."""
        return cls(reference[None], np.ones(1))

    @classmethod
    def around(cls, losses: FloatArray) -> References:
        """A tenth of the range beyond the worst of the front, and beyond the worst of all (n, m).

        Where the front has no extent the second stands alone.
        """
        front = losses[front_mask(losses)]
        far, near = _beyond(losses), _beyond(front)
        if not (np.ptp(front, axis=0) > 0).all():
            return cls.at(far)
        return cls(np.stack([near, far]), np.array([1 - _FAR_WEIGHT, _FAR_WEIGHT]))

    def undominated(self, front: FloatArray) -> Boxes:
        """What points (n, m) leave undominated, with its weights."""
        boxes = [Boxes.beyond(front, point) for point in self.points]
        return Boxes(
            np.concatenate([each.lower for each in boxes]),
            np.concatenate([each.upper for each in boxes]),
            np.concatenate([w * b.weight for w, b in zip(self.weights, boxes, strict=True)]),
        )


def _beyond(losses: FloatArray) -> FloatArray:
    worst, span = losses.max(0), np.ptp(losses, axis=0)
    return np.asarray(worst + _MARGIN * np.where(span > 0, span, np.maximum(abs(worst), 1.0)))
