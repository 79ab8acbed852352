"""Subnets put together from blocks that were copied out of a supernet once.

Building a network's layers anew takes longer than everything else of an extraction, and the
networks of a search have most blocks in common.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import replace
from typing import Any

from torch import nn

from hybrid_nas.spaces.space import Genes
from hybrid_nas.supernet.device import place
from hybrid_nas.supernet.extract import copied_part
from hybrid_nas.supernet.network import Supernet
from hybrid_nas.supernet.standalone import StandaloneNet

_MAX_BYTES = 128 * 1024 * 1024


class BlockCache:
    """Blocks of one supernet as plain layers on the CPU; those used last are kept.

    Args:
        supernet: in evaluation mode; its weights must stay as they are.
        max_bytes: of parameters that are kept.
    """

    def __init__(self, supernet: Supernet, max_bytes: int = _MAX_BYTES) -> None:
        self._supernet, self._max_bytes = supernet, max_bytes
        self._parts: OrderedDict[Hashable, nn.Module] = OrderedDict()
        self._bytes = 0

    def network(self, genes: Genes) -> StandaloneNet:
        """The subnet, with batch-norm statistics of whichever network was last.

        It shares layers with the networks given before and after: use it before the next one is
        asked for.
        """
        supernet = self._supernet
        supernet.activate(genes)
        parts = [self._part(block, layer) for block, layer in supernet.parts]
        self._forget()
        return StandaloneNet(supernet.space.architecture(genes), parts).eval()

    def _part(self, block: Any, layer: nn.Module | None) -> nn.Module | None:
        key = (layer, replace(block, h=1, w=1))  # no weight depends on the size of the image
        if key not in self._parts:
            part = copied_part(block, layer)
            if part is None:
                return None
            self._parts[key] = place(part, "cpu")
            self._bytes += _bytes(part)
        self._parts.move_to_end(key)
        return self._parts[key]

    def _forget(self) -> None:
        while self._bytes > self._max_bytes:
            _, part = self._parts.popitem(last=False)
            self._bytes -= _bytes(part)


def _bytes(part: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in part.parameters())
