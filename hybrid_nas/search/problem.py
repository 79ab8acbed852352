"""What fits: the exact side of the search, without running any network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.cost import CostModel, Costs
from hybrid_nas.hardware.limits import Limits
from hybrid_nas.routing.designs import design
from hybrid_nas.search.candidate import CandidateSpace
from hybrid_nas.search.cloud_costs import CloudCosts
from hybrid_nas.spaces.cuts import blocks_in, cut_slots
from hybrid_nas.typing import BoolArray, IntArray


@dataclass(frozen=True)
class Problem:
    """Candidates, their costs and the limits.

    Attributes:
        candidates: the pairs.
        costs: cost model of the bases on the chosen board and runtime.
        limits: what must not be exceeded.
        classes: number of classes, for the routers' sizes.
        clouds: costs of the clouds that are chosen with the bases; None where none is.

    Raises:
        InputError: a router decides at a cut that the space does not have.
    """

    candidates: CandidateSpace
    costs: CostModel
    limits: Limits
    classes: int
    clouds: CloudCosts | None = None

    def __post_init__(self) -> None:
        space = self.candidates.space
        there = len(cut_slots(space))
        for name in self.candidates.routers:
            if design(name).cut > there:
                raise InputError(
                    f"router {name} reads features of stage cut {design(name).cut}, and space "
                    f"{space.name} has {there} (it has too few stages): choose another router"
                )

    def evaluate(self, rows: IntArray) -> Costs:
        """Costs of pairs, router included, for rows (n, columns).

        Where the cloud runs on the device too, its memory is part of them.
        """
        genes = self.candidates.base_genes(rows)
        designs = [design(name) for name in self.candidates.routers]
        cuts = np.array([d.cut for d in designs], dtype=np.int64)[rows[:, -1]]
        pairs = np.stack([rows[:, -1], self._features(genes, cuts)])
        different, number = np.unique(pairs, axis=1, return_inverse=True)  # few of many rows
        sizes = np.array(
            [
                (
                    designs[k].flash_bytes(self.classes, width),
                    designs[k].sram_bytes(self.classes, width),
                    designs[k].macs(self.classes, width),
                )
                for k, width in different.T.tolist()
            ],
            dtype=np.int64,
        ).reshape(-1, 3)[number.ravel()]
        found = self.costs.evaluate(
            genes,
            router_flash_bytes=sizes[:, 0],
            router_sram_bytes=sizes[:, 1],
            router_macs=sizes[:, 2],
            router_cut=cuts,
        )
        if self.clouds is None:
            return found
        return self.clouds.beside(found, self.candidates.cloud_genes(rows))

    def smallest_like(self, row: IntArray) -> IntArray:
        """`row` with the smallest of every network that the limits bear on; its router stays."""
        limited = len(self.candidates.space.genes)
        if self.clouds is not None and self.clouds.device is not None:
            limited = len(row) - 1
        return np.append(np.zeros(limited, dtype=np.int64), row[limited:])

    def _features(self, genes: IntArray, cuts: IntArray) -> IntArray:
        """Width of the pooled features that a router may read, (n,), by the cut of each."""
        space = self.candidates.space
        widths = np.zeros(len(genes), np.int64)
        for cut, slot in enumerate((len(space.slots) - 1, *cut_slots(space))):
            here = cuts == cut
            if here.any():
                blocks, number = blocks_in(space, genes[here], slot)
                widths[here] = np.array([block.cin for block in blocks])[number]
        return widths

    def fits(self, rows: IntArray) -> BoolArray:
        """Which pairs keep all limits."""
        return self.limits.fits(self.evaluate(rows))
