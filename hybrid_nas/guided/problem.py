"""What is searched: genes, exact costs, what is allowed, and which objectives must be learnt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from hybrid_nas.errors import HybridNasError, InputError
from hybrid_nas.guided.features import INACTIVE, Gene
from hybrid_nas.typing import BoolArray, FloatArray, IntArray


class ExhaustedError(HybridNasError):
    """Every feasible candidate is known already, or none was found that is new."""


def _same(rows: IntArray) -> IntArray:
    return rows


def _no_costs(rows: IntArray) -> FloatArray:
    return np.zeros((len(rows), 0))


def _all(rows: IntArray, costs: FloatArray) -> BoolArray:
    return np.ones(len(rows), bool)


@dataclass(frozen=True)
class Problem:
    """A search over rows of integers.

    The functions must give the same answer for the same row, and take any number of rows, also 0.

    Attributes:
        genes: the columns.
        objectives: for each objective the column of `costs` that gives it exactly, or None if it is
            learnt from scores. All are losses here: smaller is better.
        costs: canonical rows (n, genes) to costs (n, k), cheap and exact. Columns that are no
            objective still help to predict those that are learnt.
        feasible: canonical rows and their costs to bool (n,).
        canonical: rows to rows that are equal exactly when the candidates are; genes without effect
            become `features.INACTIVE`. Its own results stay as they are.
        starts: rows that are likely to be feasible, (any, genes), if such are known.
        follows: for each learnt objective a column of `costs` that it equals but for a difference,
            which alone is learnt, or None; empty for none at all.

    Raises:
        InputError: there is no gene or no objective, a gene without a choice, `follows` has another
            length than `objectives`, or one of them names a cost that there is not.
    """

    genes: tuple[Gene, ...]
    objectives: tuple[int | None, ...]
    costs: Callable[[IntArray], FloatArray] = _no_costs
    feasible: Callable[[IntArray, FloatArray], BoolArray] = _all
    canonical: Callable[[IntArray], IntArray] = _same
    starts: IntArray | None = field(default=None, compare=False)
    follows: tuple[int | None, ...] = ()

    def __post_init__(self) -> None:
        if not self.genes or not self.objectives:
            raise InputError("a guided search needs a parameter and an objective at least")
        for gene in self.genes:
            if gene.size < 1:
                raise InputError(f"parameter {gene.name} has no choices: give it one at least")
        if len(self.follows) not in (0, len(self.objectives)):
            raise InputError(
                f"{len(self.objectives)} objectives follow {len(self.follows)} costs: give one "
                "entry for each objective, or none"
            )
        width = self.costs(self.no_rows).shape[1]
        for place, column in enumerate((*self.objectives, *self.follows)):
            if column is not None and not 0 <= column < width:
                raise InputError(
                    f"objective {place % len(self.objectives)} is cost {column}, counted from 0, "
                    f"and there are {width} costs: give one of those, or None if it is learnt"
                )

    @property
    def sizes(self) -> IntArray:
        """Choices of each gene, (genes,)."""
        return np.array([gene.size for gene in self.genes], dtype=np.int64)

    @property
    def learnt(self) -> tuple[int, ...]:
        """Which objectives are predicted."""
        return tuple(k for k, column in enumerate(self.objectives) if column is None)

    @property
    def no_rows(self) -> IntArray:
        """An array of 0 rows."""
        return np.zeros((0, len(self.genes)), dtype=np.int64)

    def within(self, values: Mapping[int, int]) -> Problem:
        """The same problem over the candidates whose genes have `values`, by column."""
        columns, fixed = list(values), list(values.values())

        def canonical(rows: IntArray) -> IntArray:
            rows = rows.copy()
            rows[:, columns] = fixed
            return self.canonical(rows)

        return replace(self, canonical=canonical)

    def exact(self, costs: FloatArray) -> FloatArray:
        """Objectives (n, m) of rows with these costs; nan where they are learnt."""
        losses = np.full((len(costs), len(self.objectives)), np.nan)
        for k, column in enumerate(self.objectives):
            if column is not None:
                losses[:, k] = costs[:, column]
        return losses

    def followed(self, costs: FloatArray) -> FloatArray:
        """What learnt objectives (n, m) are but for a difference; 0 where they follow nothing."""
        known = np.zeros((len(costs), len(self.objectives)))
        for k, column in enumerate(self.follows):
            if column is not None:
                known[:, k] = costs[:, column]
        return known


def keys(rows: IntArray) -> list[bytes]:
    """A hashable name of each row: equal for equal rows."""
    whole = np.ascontiguousarray(rows, dtype=np.int32)
    return [row.tobytes() for row in whole]


def filled(rows: IntArray) -> IntArray:
    """Rows with 0 for genes that have no effect, for those who need a value."""
    return np.where(rows == INACTIVE, 0, rows)


@dataclass(frozen=True, eq=False)
class History:
    """What is known, in the order in which it was begun.

    Attributes:
        rows: canonical rows, (n, genes).
        losses: objectives, (n, m), smaller is better; nan where there is no value.
    """

    rows: IntArray
    losses: FloatArray

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def empty(cls, problem: Problem) -> History:
        """Nothing is known."""
        return cls(problem.no_rows, np.zeros((0, len(problem.objectives))))

    def first(self, n: int) -> History:
        """Only the first `n`."""
        return History(self.rows[:n], self.losses[:n])

    def then(self, other: History) -> History:
        """This and what came after it."""
        return History(
            np.concatenate([self.rows, other.rows]), np.concatenate([self.losses, other.losses])
        )

    @property
    def digest(self) -> tuple[bytes, bytes]:
        """Equal for equal histories."""
        return self.rows.tobytes(), self.losses.tobytes()


def finite(losses: FloatArray) -> FloatArray:
    """The rows of losses (n, m) that are known in full."""
    return losses[np.isfinite(losses).all(1)]
