"""The exhaustive table as data: scores and costs of all pairs, true fronts, a problem to search.

Nothing here runs a network. Costs are those of the day on which the table was made, so that replays
stay comparable when cost models change.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from exhaustive_space import lean, narrowed, search_setup

from hybrid_nas.errors import InputError
from hybrid_nas.guided.pareto import front_mask, hypervolume
from hybrid_nas.hardware.cost import Costs
from hybrid_nas.hardware.limits import Limits
from hybrid_nas.npz import load_arrays
from hybrid_nas.search.candidate import CandidateSpace
from hybrid_nas.search.problem import Problem
from hybrid_nas.typing import BoolArray, FloatArray, IntArray

TABLE = Path(__file__).resolve().parent / "data" / "exhaustive.npz"
INACTIVE = 255
"""Of a gene without effect, in the file."""

PROBLEMS = {
    "default": Limits(320 * 1024, 1024 * 1024),
    "tight": Limits(48 * 1024, 512 * 1024),
}
"""Limits under which the table is searched: the default search's, and some that bite harder."""


@dataclass(frozen=True, eq=False)
class Redraw:
    """Some of the architectures scored again, on other digits and other renderings.

    Attributes:
        index: which architectures, (m,).
        accuracy, coverage: as in `Table`, (splits, m, routers, coverages).
    """

    index: IntArray
    accuracy: FloatArray
    coverage: FloatArray


@dataclass(frozen=True, eq=False)
class Table:
    """Scores of n architectures beside every router.

    A *pair* is numbered ``architecture * routers + router``.

    Attributes:
        rows: canonical genes of the lean space, -1 where without effect, (n, genes).
        accuracy, stderr: hybrid accuracy and its standard error, (n, routers, coverages); nan where
            the architecture exceeds 320 KB or 1 MB and was not scored.
        coverage: realised, in the same shape: a router that sees no gain sends less.
        base_accuracy: of the architecture alone, (n,).
        edge_ms, router_ms, sram_bytes, flash_bytes: of base and router, (n, routers).
        macs, params: of the architecture, (n,).
        facts: what scores depend on: routers, coverages, hashes, the price of a query.
        redraw: scores on other splits; None if there are none.
    """

    rows: IntArray
    accuracy: FloatArray
    stderr: FloatArray
    coverage: FloatArray
    base_accuracy: FloatArray
    edge_ms: FloatArray
    router_ms: FloatArray
    sram_bytes: IntArray
    flash_bytes: IntArray
    macs: IntArray
    params: IntArray
    facts: dict[str, object]
    redraw: Redraw | None = None

    @classmethod
    def load(cls, path: Path = TABLE) -> Table:
        """The table of a file.

        Raises:
            InputError: the file is missing or damaged.
        """
        arrays = load_arrays(path)
        facts = json.loads(str(arrays.pop("facts")))
        rows = arrays.pop("rows").astype(np.int64)
        again = {k.removeprefix("redraw_"): arrays.pop(k) for k in list(arrays) if "redraw_" in k}
        redraw = None
        if again:
            redraw = Redraw(**{k: _wide(v) for k, v in again.items()})
        plain = {name: _wide(values) for name, values in arrays.items()}
        return cls(np.where(rows == INACTIVE, -1, rows), facts=facts, redraw=redraw, **plain)

    def arrays(self) -> dict[str, np.ndarray]:
        """What the file holds: float32, and integers as small as they may be."""
        names = ("accuracy", "stderr", "coverage", "base_accuracy", "edge_ms", "router_ms")
        found = {name: getattr(self, name).astype(np.float32) for name in names}
        for name in ("sram_bytes", "flash_bytes", "macs", "params"):
            found[name] = getattr(self, name).astype(np.int32)
        if self.redraw is not None:
            found["redraw_index"] = self.redraw.index.astype(np.int32)
            found["redraw_accuracy"] = self.redraw.accuracy.astype(np.float32)
            found["redraw_coverage"] = self.redraw.coverage.astype(np.float32)
        rows = np.where(self.rows < 0, INACTIVE, self.rows).astype(np.uint8)
        return {"rows": rows, "facts": np.array(json.dumps(self.facts)), **found}

    @property
    def routers(self) -> tuple[str, ...]:
        """Names of the router designs."""
        return tuple(self.facts["routers"])  # type: ignore[arg-type]

    def losses(self, target: float = 0.7) -> FloatArray:
        """Minus accuracy and mean latency in ms of all pairs at a coverage, (pairs, 2)."""
        k = list(self.facts["coverages"]).index(target)  # type: ignore[call-overload]
        mean_ms = self._mean_ms(self.coverage[:, :, k], self.edge_ms)
        return np.stack([-self.accuracy[:, :, k].ravel(), mean_ms.ravel()], axis=1)

    def redrawn_losses(self, target: float = 0.7) -> FloatArray:
        """The same on the other splits, (splits, m * routers, 2)."""
        assert self.redraw is not None
        k = list(self.facts["coverages"]).index(target)  # type: ignore[call-overload]
        mean_ms = self._mean_ms(self.redraw.coverage[..., k], self.edge_ms[self.redraw.index])
        accuracy = self.redraw.accuracy[..., k]
        return np.stack(
            [-accuracy.reshape(len(accuracy), -1), mean_ms.reshape(len(accuracy), -1)], axis=2
        )

    def _mean_ms(self, coverage: FloatArray, edge_ms: FloatArray) -> FloatArray:
        return np.asarray(edge_ms + (1 - coverage) * float(self.facts["query_ms"]))  # type: ignore[arg-type]

    def fits(self, limits: Limits) -> BoolArray:
        """Which pairs were scored and keep the limits, (pairs,)."""
        memory = (self.sram_bytes <= limits.sram_bytes) & (self.flash_bytes <= limits.flash_bytes)
        return np.asarray((memory & np.isfinite(self.accuracy[:, :, 0])).ravel())

    @cached_property
    def number_of(self) -> dict[tuple[int, ...], int]:
        """Number of the architecture with these canonical genes."""
        return {tuple(row): k for k, row in enumerate(self.rows.tolist())}

    def pairs(self, rows: IntArray) -> IntArray:
        """Numbers of the pairs with these canonical rows (k, genes + 1), router last."""
        architecture = [self.number_of[tuple(row)] for row in rows[:, :-1].tolist()]
        return np.array(architecture, dtype=np.int64) * len(self.routers) + rows[:, -1]

    def stored(self, costs: Costs, pairs: IntArray) -> Costs:
        """Costs of pairs, with what the table holds in place of what they are today."""
        base = pairs // len(self.routers)
        return replace(
            costs,
            sram_bytes=self.sram_bytes.ravel()[pairs],
            flash_bytes=self.flash_bytes.ravel()[pairs],
            latency_ms=self.edge_ms.ravel()[pairs],
            router_ms=self.router_ms.ravel()[pairs],
            macs=self.macs[base],
            params=self.params[base],
        )


def _wide(values: np.ndarray) -> np.ndarray:
    """int64, or float64 without what float32 added (a coverage of 0.7 is 0.7 again)."""
    if values.dtype.kind in "iu":
        return values.astype(np.int64)
    return values.astype(np.float64).round(6)


@dataclass(frozen=True)
class TableProblem(Problem):
    """A search's problem whose costs are looked up; limits beyond the table's are not allowed."""

    table: Table | None = None

    def evaluate(self, rows: IntArray) -> Costs:
        """Stored costs of rows (n, columns)."""
        assert self.table is not None
        pairs = self.table.pairs(self.candidates.canonical(rows))
        return self.table.stored(super().evaluate(rows), pairs)


def table_problem(table: Table, limits: Limits) -> TableProblem:
    """What the program's samplers search, over the genes that are free."""
    setup = search_setup()
    space = lean(narrowed(setup.space))
    if len(space.genes) != table.rows.shape[1]:
        raise InputError("the table was made for another space: collect it anew")
    known = setup.problem
    costs = type(known.costs)(
        space, known.costs.board, known.costs.runtime, setup.table, uplink=known.costs.uplink
    )
    return TableProblem(
        CandidateSpace(space, table.routers), costs, limits, known.classes, table=table
    )


@dataclass(frozen=True, eq=False)
class Truth:
    """The true front of a problem on the table, and how near to it some pairs are.

    Attributes:
        losses: of all pairs, (pairs, 2).
        fits: which pairs may be chosen, (pairs,).
        front: numbers of the pairs that no other beats; of equal ones the first.
        reference: nadir of the front, (2,): the worst that the front has in each objective.
        volume: that the front dominates up to there.
    """

    losses: FloatArray
    fits: BoolArray
    front: IntArray
    reference: FloatArray
    volume: float

    @classmethod
    def of(cls, table: Table, limits: Limits, target: float = 0.7) -> Truth:
        """The truth under limits at a coverage."""
        losses, fits = table.losses(target), table.fits(limits)
        among = np.flatnonzero(fits)
        front = among[front_mask(losses[among])]
        reference = losses[front].max(axis=0)
        return cls(losses, fits, front, reference, hypervolume(losses[front], reference))

    @property
    def size(self) -> int:
        """How many pairs there are to choose from."""
        return int(self.fits.sum())

    def curve(self, order: Sequence[int]) -> FloatArray:
        """Share of the true hypervolume after each of these pairs, (len(order),)."""
        shares, front, share = [], np.zeros((0, 2)), 0.0
        for loss in self.losses[np.asarray(order, dtype=np.int64)]:
            if not (front <= loss).all(axis=1).any() and (loss < self.reference).all():
                front = np.concatenate([front[(front < loss).any(axis=1)], loss[None]])
                share = hypervolume(front, self.reference) / self.volume
            shares.append(share)
        return np.array(shares)


def evaluations_to(curve: FloatArray, share: float) -> float:
    """After how many pairs a curve is at `share`; infinity if never."""
    reached = np.flatnonzero(curve >= share - 1e-12)
    return float(reached[0] + 1) if len(reached) else float("inf")
