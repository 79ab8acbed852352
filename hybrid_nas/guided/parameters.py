"""Optuna parameters as the genes of a problem, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
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
Costs = Callable[[Params], Sequence[float] | float]
Feasible = Callable[[Params, Sequence[float]], bool]
Canonical = Callable[[Params], Params]
_REMEMBERED = 200_000  # candidates whose costs are kept
_MOST_VALUES = 2**31 - 1  # rows are compared as int32


@dataclass(frozen=True)
class Parameters:
    """Named Optuna distributions with finitely many values, in column order.

    Attributes:
        distributions: integers, categories, and floats with a step.

    Raises:
        InputError: a distribution has no finite list of values, too long a one, or equal choices.
    """

    distributions: Mapping[str, BaseDistribution]

    def __post_init__(self) -> None:
        for name, distribution in self.distributions.items():
            size = _size(name, distribution)
            if size > _MOST_VALUES:
                raise InputError(
                    f"parameter {name} has {size:,} values and may have {_MOST_VALUES:,}: give it "
                    "a larger step"
                )
            if isinstance(distribution, CategoricalDistribution):
                _check_choices(name, distribution)

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
        for name in self.distributions:
            index = self.index(name, params[name]) if name in params else None
            if index is None:
                return None
            row.append(index)
        return tuple(row)

    def index(self, name: str, value: Any) -> int | None:
        """The place of a parameter's value; None if it is outside its distribution."""
        distribution = self.distributions[name]
        try:
            inside = distribution.to_internal_repr(value)
        except ValueError:  # no choice of these, or no number
            return None
        return _index(distribution, inside) if distribution._contains(inside) else None

    def problem(
        self,
        objectives: Sequence[int | None],
        costs: Costs | None = None,
        feasible: Feasible | None = None,
        canonical: Canonical | None = None,
    ) -> Problem:
        """A problem from functions of one candidate's parameters; answers are remembered.

        Functions of arrays are faster: build a `Problem` from `genes` where these are too slow.

        Args:
            objectives: per objective of the study its place in `costs`, or None if it is learnt.
            costs: parameters to one or more exact costs.
            feasible: parameters and costs to whether the candidate may be tried.
            canonical: parameters to those of the same candidate that stand for all that are equal.

        Raises:
            InputError: an objective names a cost that `costs` does not give.
        """
        answers = _Answers(self, costs, feasible, canonical)
        return Problem(
            self.genes, tuple(objectives), answers.costs, answers.feasible, answers.canonical
        )


@dataclass(eq=False)
class _Answers:
    """Functions of one candidate's parameters as functions of rows.

    Attributes:
        parameters: names and values.
        cost_of, fits, same_as: the user's functions, see `Parameters.problem`.
    """

    parameters: Parameters
    cost_of: Costs | None
    fits: Feasible | None
    same_as: Canonical | None
    _known: dict[tuple[int, ...], tuple[FloatArray, bool]] = field(default_factory=dict)

    def costs(self, rows: IntArray) -> FloatArray:
        """Exact costs of rows (n, genes), (n, costs)."""
        found = [self._assess(tuple(row))[0] for row in rows.tolist()]
        return np.array(found, np.float64).reshape(len(rows), self._width)

    def feasible(self, rows: IntArray, costs: FloatArray) -> BoolArray:
        """Which rows may be tried, (n,)."""
        return np.array([self._assess(tuple(row))[1] for row in rows.tolist()], bool)

    def canonical(self, rows: IntArray) -> IntArray:
        """The rows that stand for rows (n, genes)."""
        if self.same_as is None or not len(rows):
            return rows
        found = []
        for row in rows:
            same = self.same_as(self.parameters.params(row))
            found.append(self.parameters.row(same))
            if found[-1] is None:
                raise InputError(f"`canonical` gave parameters outside the search space: {same}")
        return np.array(found, np.int64)

    @cached_property
    def _width(self) -> int:
        """How many costs there are: those of the first candidate."""
        first = np.zeros((1, len(self.parameters.distributions)), np.int64)
        return len(self._cost(self.parameters.params(self.canonical(first)[0])))

    def _assess(self, row: tuple[int, ...]) -> tuple[FloatArray, bool]:
        if row not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            params = self.parameters.params(np.array(row))
            cost = self._cost(params)
            if len(cost) != self._width:
                raise InputError(
                    f"`costs` gave {len(cost)} costs for {params} and {self._width} for another "
                    "candidate: give as many for all"
                )
            self._known[row] = cost, self.fits is None or bool(self.fits(params, cost.tolist()))
        return self._known[row]

    def _cost(self, params: Params) -> FloatArray:
        if self.cost_of is None:
            return np.zeros(0)
        found = self.cost_of(params)
        if found is None:
            raise InputError(f"`costs` gave None for {params}: return a number, or several")
        return np.atleast_1d(np.asarray(found, np.float64))


def _check_choices(name: str, distribution: CategoricalDistribution) -> None:
    """Refuse choices that Optuna stores as the same, such as 1 and True."""
    for place, choice in enumerate(distribution.choices):
        first = int(distribution.to_internal_repr(choice))
        if first != place:
            raise InputError(
                f"parameter {name} has equal choices {distribution.choices[first]!r} and "
                f"{choice!r}, which Optuna cannot tell apart: give one of them, or strings"
            )


def _size(name: str, distribution: BaseDistribution) -> int:
    if distribution.single():
        return 1
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
        case FloatDistribution():  # without a step it has one value
            return min(distribution.low + index * (distribution.step or 0.0), distribution.high)
    raise AssertionError(distribution)


def _index(distribution: BaseDistribution, inside: float) -> int:
    match distribution:
        case CategoricalDistribution():
            return int(inside)
        case IntDistribution():
            return round((inside - distribution.low) / distribution.step)
        case FloatDistribution():
            return round((inside - distribution.low) / (distribution.step or 1.0))
    raise AssertionError(distribution)
