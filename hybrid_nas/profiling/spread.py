"""Operators as points, and choosing each as far as possible from those chosen before."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np

from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.profiling.pool import op_class
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.typing import FloatArray


@dataclass(frozen=True)
class Candidates:
    """The operators to choose from, and how far apart they are.

    Distances are between operators of one class, each dimension scaled to the range it has there.
    """

    ops: tuple[OpSpec, ...]
    classes: tuple[str, ...]
    coordinates: FloatArray

    @classmethod
    def of(cls, ops: Sequence[OpSpec]) -> Candidates:
        """Candidates with their coordinates, (n, dimensions)."""
        arrays = OpArrays.of(ops)
        sizes = [arrays.h * arrays.w, arrays.cin, arrays.cout, arrays.kernel, arrays.stride]
        logs = np.log(np.maximum(np.stack(sizes, axis=1), 1))
        coordinates = np.zeros_like(logs)
        for mask in arrays.classes.values():
            if mask.any():
                low, high = logs[mask].min(0), logs[mask].max(0)
                coordinates[mask] = (logs[mask] - low) / np.where(high > low, high - low, 1)
        return cls(tuple(ops), tuple(map(op_class, ops)), coordinates)


class Spread:
    """Farthest-point choice within one class, away from what was chosen or measured before.

    Args:
        candidates: of all classes.
        name: the class.
        measured: what is measured or chosen already.
        excluded: what must not be chosen, but says nothing about its neighbours.
        weights: of each candidate, (n,); distances are multiplied by them.
    """

    def __init__(
        self,
        candidates: Candidates,
        name: str,
        measured: Set[OpSpec],
        excluded: Set[OpSpec] = frozenset(),
        weights: FloatArray | None = None,
    ) -> None:
        numbers = [n for n, found in enumerate(candidates.classes) if found == name]
        ops = [candidates.ops[number] for number in numbers]
        self._ops = ops
        self._at = candidates.coordinates[numbers]
        self._weights = np.ones(len(ops)) if weights is None else weights[numbers]
        self._free = np.array([op not in measured and op not in excluded for op in ops])
        self._distance = np.full(len(ops), np.inf)
        for number, op in enumerate(ops):
            if op in measured:
                self._near(number)

    def __len__(self) -> int:
        """How many are left."""
        return int(self._free.sum())

    @property
    def best(self) -> float:
        """Weighted distance of the candidate that `take` would take; infinite in a new class."""
        return float(np.where(self._free, self._distance * self._weights, -np.inf).max())

    def take(self) -> OpSpec:
        """The farthest candidate, by weighted distance; in a new class the one in the middle."""
        score = self._distance * self._weights
        if np.isinf(self._distance).all():
            score = -((self._at - np.median(self._at, axis=0)) ** 2).sum(1)
        number = int(np.where(self._free, score, -np.inf).argmax())
        self._free[number] = False
        self._near(number)
        return self._ops[number]

    def _near(self, number: int) -> None:
        steps = self._at - self._at[number]
        self._distance = np.minimum(self._distance, np.sqrt((steps**2).sum(1)))
