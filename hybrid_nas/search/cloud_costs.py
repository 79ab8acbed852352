"""What the networks cost that a search may choose as its clouds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hybrid_nas.hardware.cost import CostModel, Costs
from hybrid_nas.spaces.cuts import blocks_in
from hybrid_nas.spaces.space import Genes, SearchSpace
from hybrid_nas.typing import IntArray


@dataclass(frozen=True)
class CloudPrice:
    """One cloud network.

    Attributes:
        macs, params: of the network.
        latency_ms: on the device, where it runs there; None elsewhere, where a query takes what the
            settings say, whatever the network.
    """

    macs: int
    params: int
    latency_ms: float | None = None


@dataclass(frozen=True)
class CloudCosts:
    """Costs of a space's networks as clouds.

    Attributes:
        space: of the clouds.
        device: their costs on the board, where both networks run there; None elsewhere.
        holds_picture: whether SRAM holds, while the base runs, the picture that the cloud's network
            will read.
    """

    space: SearchSpace
    device: CostModel | None = None
    holds_picture: bool = False

    def price(self, genes: Genes) -> CloudPrice:
        """What a query to one network costs."""
        network = self.space.architecture(genes)
        latency_ms = None
        if self.device is not None:
            latency_ms = float(self.device.evaluate(np.array([genes])).latency_ms[0])
        return CloudPrice(network.macs, network.params, latency_ms)

    def beside(self, base: Costs, genes: IntArray) -> Costs:
        """Costs of n bases with their clouds (n, genes) on the same device.

        The networks run one after the other in the same SRAM; both lie in flash, the runtime's code
        once. Where the cloud is elsewhere, nothing is added.
        """
        if self.device is None:
            return base
        strong = self.device.evaluate(genes)
        weights = strong.flash_bytes - self.device.runtime.flash.fixed_bytes
        picture = self.picture_bytes(genes) if self.holds_picture else 0
        return replace(
            base,
            sram_bytes=np.maximum(base.sram_bytes + picture, strong.sram_bytes),
            flash_bytes=base.flash_bytes + weights,
        )

    def picture_bytes(self, genes: IntArray) -> IntArray:
        """Bytes of the picture that each network reads, (n,)."""
        blocks, number = blocks_in(self.space, genes, 0)
        return np.array([block.h * block.w * block.cin for block in blocks])[number]
