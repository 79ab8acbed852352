"""Gene rows as coordinates whose squared distances say how different two candidates are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybrid_nas.typing import BoolArray, FloatArray, IntArray

INACTIVE = -1
"""Value of a gene that has no effect in its row."""


@dataclass(frozen=True)
class Gene:
    """One column of a row.

    Attributes:
        name: for messages.
        size: choices; values are 0 to size - 1, and `INACTIVE`.
        ordered: neighbouring values are alike (kernel sizes are, kinds of routers are not).
    """

    name: str
    size: int
    ordered: bool = True


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Candidates in the spaces that a kernel measures distances in.

    Attributes:
        parts: one array (n, d) per kind of difference, scaled so that candidates drawn at random
            are about 1 apart in each.
        costs: transformed exact costs, (n, costs).
    """

    parts: tuple[FloatArray, ...]
    costs: FloatArray

    def __getitem__(self, chosen: IntArray | slice) -> Coordinates:
        return Coordinates(tuple(part[chosen] for part in self.parts), self.costs[chosen])

    def __len__(self) -> int:
        return len(self.costs)

    def then(self, other: Coordinates) -> Coordinates:
        """These candidates and further ones."""
        parts = [np.concatenate(pair) for pair in zip(self.parts, other.parts, strict=True)]
        return Coordinates(tuple(parts), np.concatenate([self.costs, other.costs]))


_MOST_TOLD_APART = 128
"""Ordered genes with more values than this have no identity."""
PARTS = ("order", "identity", "activity")
"""Kinds of difference between rows, see `Encoder`."""


@dataclass(frozen=True, eq=False)
class CostScale:
    """Brings costs to a mean of 0 and a spread of 1, positive ones as logarithms.

    Accuracy grows by so much per doubling of a network, not per byte.

    Attributes:
        logarithm: which costs become logarithms, bool (costs,).
        center, spread: of the costs after that, (costs,).
    """

    logarithm: BoolArray
    center: FloatArray
    spread: FloatArray

    @classmethod
    def of(cls, costs: FloatArray) -> CostScale:
        """What these costs (n, k) need; n may be 0."""
        logarithm = np.asarray((costs > 0).all(0))
        values = _transformed(costs, logarithm)
        if not len(values):
            return cls(logarithm, np.zeros(values.shape[1]), np.ones(values.shape[1]))
        spread = values.std(0)
        return cls(logarithm, values.mean(0), np.where(spread > 1e-12, spread, 1.0))

    def __call__(self, costs: FloatArray) -> FloatArray:
        """Costs (n, k), scaled."""
        return (_transformed(costs, self.logarithm) - self.center) / self.spread


def _transformed(costs: FloatArray, logarithm: BoolArray) -> FloatArray:
    least = np.finfo(np.float64).tiny
    return np.where(logarithm, np.log(np.maximum(costs, least)), costs)


@dataclass(frozen=True, eq=False)
class Encoder:
    """Turns rows and their costs into `Coordinates`.

    Three kinds of difference count. *Order*: how far apart the values of ordered genes are.
    *Identity*: in how many genes the values differ at all (a Hamming distance). *Activity*: in how
    many genes one candidate has a value and the other none. The kernel weighs them, and so learns
    whether a space is better seen as ordinal or as categorical. Of an ordered gene with very many
    values only the order counts: any two of its values differ.

    Attributes:
        genes: the columns.
        scale: of the costs.
    """

    genes: tuple[Gene, ...]
    scale: CostScale

    def __call__(self, rows: IntArray, costs: FloatArray) -> Coordinates:
        """Coordinates of canonical rows (n, genes) with exact costs (n, costs)."""
        parts = self._order(rows), self._identity(rows), self._activity(rows)
        return Coordinates(parts, self.scale(costs))

    def _order(self, rows: IntArray) -> FloatArray:
        columns = [k for k, gene in enumerate(self.genes) if gene.ordered and gene.size > 1]
        last = np.array([self.genes[k].size - 1.0 for k in columns])
        values = np.where(rows[:, columns] == INACTIVE, 0.0, 2 * rows[:, columns] / last - 1)
        variance = ((last + 2) / last / 3).sum()  # of even values from -1 to 1
        return np.asarray(values / np.sqrt(max(2 * variance, 1.0)))

    def _identity(self, rows: IntArray) -> FloatArray:
        columns = [
            k
            for k, gene in enumerate(self.genes)
            if gene.size > 1 and not (gene.ordered and gene.size > _MOST_TOLD_APART)
        ]
        blocks = [rows[:, [k]] == np.arange(self.genes[k].size) for k in columns]
        if not blocks:
            return np.zeros((len(rows), 0))
        differing = sum(1 - 1 / self.genes[k].size for k in columns)
        return np.asarray(np.concatenate(blocks, axis=1) / np.sqrt(2 * differing))

    def _activity(self, rows: IntArray) -> FloatArray:
        return np.asarray((rows != INACTIVE) / np.sqrt(max(len(self.genes) / 4, 1.0)))
