"""Optuna parameters as the genes of a problem, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hybrid_nas.errors import InputError
from hybrid_nas.guided.features import Gene
from hybrid_nas.guided.problem import Problem, filled
from hybrid_nas.typing import BoolArray, FloatArray, IntArray

Params = dict[str, Any]
_REMEMBERED = 200_000  # candidates whose costs are kept


@dataclass(frozen=True)
class Parameters:
    """Named Optuna distributions with finitely many values, in column order.

    Attributes:
        distributions: integers, categories, and floats with a step.

    Raises:
        InputError: a distribution has no finite list of values.
    """

    distributions: Mapping[str, BaseDistribution]

    def __post_init__(self) -> None:
        for name, distribution in self.distributions.items():
            _size(name, distribution)

    @property
    def genes(self) -> tuple[Gene, ...]:
        """A gene per parameter; categories have no order."""
        return tuple(
            Gene(name, _size(name, d), ordered=not isinstance(d, CategoricalDistribution))
            for name, d in self.distributions.items()
        )

    def params(self, row: IntArray) -> Params:
        """Values that a row (genes,) stands for; genes without effect have their first value."""
        pairs = zip(self.distributions.items(), filled(row).tolist(), strict=True)
        return {name: _value(distribution, k) for (name, distribution), k in pairs}

    def row(self, params: Mapping[str, Any]) -> tuple[int, ...] | None:
        """The row of values; None if one is missing or outside its distribution."""
        row = []
        for name, distribution in self.distributions.items():
            if name not in params:
                return None
            inside = distribution.to_internal_repr(params[name])
            if not distribution._contains(inside):
                return None
            row.append(_index(distribution, inside))
        return tuple(row)

    def problem(
        self,
        objectives: Sequence[int | None],
        costs: Callable[[Params], Sequence[float] | float] | None = None,
        feasible: Callable[[Params, Sequence[float]], bool] | None = None,
        canonical: Callable[[Params], Params] | None = None,
    ) -> Problem:
        """A problem from functions of one candidate's parameters; answers are remembered.

        Functions of arrays are faster: build a `Problem` from `genes` where these are too slow.

        Args:
            objectives: per objective of the study its place in `costs`, or None if it is learnt.
            costs: parameters to one or more exact costs.
            feasible: parameters and costs to whether the candidate may be tried.
            canonical: parameters to those of the same candidate that stand for all that are equal.
        """
        known: dict[tuple[int, ...], tuple[FloatArray, bool]] = {}

        def assess(row: tuple[int, ...]) -> tuple[FloatArray, bool]:
            if row not in known:
                if len(known) >= _REMEMBERED:
                    known.clear()
                params = self.params(np.array(row))
                cost = np.atleast_1d(np.asarray(() if costs is None else costs(params), float))
                fits = feasible is None or bool(feasible(params, cost.tolist()))
                known[row] = cost, fits
            return known[row]

        width = len(assess((0,) * len(self.distributions))[0])

        def all_costs(rows: IntArray) -> FloatArray:
            found = [assess(tuple(row))[0] for row in rows.tolist()]
            return np.array(found, np.float64).reshape(len(rows), width)

        def all_feasible(rows: IntArray, costs: FloatArray) -> BoolArray:
            return np.array([assess(tuple(row))[1] for row in rows.tolist()], bool)

        def all_canonical(rows: IntArray) -> IntArray:
            if canonical is None or not len(rows):
                return rows
            found = [self.row(canonical(self.params(row))) for row in rows]
            if None in found:
                raise InputError("`canonical` gave parameters outside the search space")
            return np.array(found, np.int64)

        return Problem(self.genes, tuple(objectives), all_costs, all_feasible, all_canonical)


def _size(name: str, distribution: BaseDistribution) -> int:
    match distribution:
        case CategoricalDistribution():
            return len(distribution.choices)
        case IntDistribution() | FloatDistribution(step=float()):
            assert distribution.step is not None
            return round((distribution.high - distribution.low) / distribution.step) + 1
    raise InputError(
        f"parameter {name} has no finite list of values: expected an integer, a category or a "
        f"float with a step, got {distribution}"
    )


def _value(distribution: BaseDistribution, index: int) -> Any:
    match distribution:
        case CategoricalDistribution():
            return distribution.choices[index]
        case IntDistribution():
            return distribution.low + index * distribution.step
        case FloatDistribution(step=float(step)):
            return min(distribution.low + index * step, distribution.high)
    raise AssertionError(distribution)


def _index(distribution: BaseDistribution, inside: float) -> int:
    match distribution:
        case CategoricalDistribution():
            return int(inside)
        case IntDistribution():
            return round((inside - distribution.low) / distribution.step)
        case FloatDistribution(step=float(step)):
            return round((inside - distribution.low) / step)
    raise AssertionError(distribution)
