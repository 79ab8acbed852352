"""What fits: the exact side of the search, without running any network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybrid_nas.hardware.cost import CostModel, Costs
from hybrid_nas.hardware.limits import Limits
from hybrid_nas.routing.designs import design
from hybrid_nas.search.candidate import CandidateSpace
from hybrid_nas.typing import BoolArray, IntArray


@dataclass(frozen=True)
class Problem:
    """Candidates, their costs and the limits.

    Attributes:
        candidates: the pairs.
        costs: cost model of the bases on the chosen board and runtime.
        limits: what must not be exceeded.
        classes: number of classes, for the routers' sizes.
    """

    candidates: CandidateSpace
    costs: CostModel
    limits: Limits
    classes: int

    def evaluate(self, rows: IntArray) -> Costs:
        """Costs of pairs, router included, for rows (n, genes + 1)."""
        genes = self.candidates.space.canonical(rows[:, :-1])
        features = self._features(genes)
        designs = [design(self.candidates.routers[k]) for k in rows[:, -1].tolist()]
        pairs = list(zip(designs, features.tolist(), strict=True))
        return self.costs.evaluate(
            genes,
            router_flash_bytes=np.array([d.flash_bytes(self.classes, f) for d, f in pairs]),
            router_sram_bytes=np.array([d.sram_bytes(self.classes, f) for d, f in pairs]),
            router_macs=np.array([d.macs(self.classes, f) for d, f in pairs]),
        )

    def _features(self, genes: IntArray) -> IntArray:
        """Width of the pooled features that a router may read, (n,)."""
        space = self.candidates.space
        last = len(space.slots) - 1
        codes = space.block_codes(genes)[:, last]
        unique, inverse = np.unique(codes, return_inverse=True)
        return np.array([space.block(last, int(c)).cin for c in unique])[inverse]

    def fits(self, rows: IntArray) -> BoolArray:
        """Which pairs keep all limits."""
        return self.limits.fits(self.evaluate(rows))
