"""The weight-sharing network of a search space, on `ofa`'s dynamic layers.

Each slot of the space becomes one layer that is as large as its largest block; `activate` picks the
part of every layer that an architecture uses. Slots in which nothing varies get `ofa`'s static
layer, as in OFA's own networks, so that published checkpoints fit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn

from hybrid_nas.errors import InputError
from hybrid_nas.spaces.blocks import (
    Block,
    BottleneckBlock,
    ConvBlock,
    DenseBlock,
    MBConvBlock,
)
from hybrid_nas.spaces.opspec import Activation
from hybrid_nas.spaces.space import Genes, SearchSpace
from hybrid_nas.supernet.extract import copied_part
from hybrid_nas.supernet.naming import part_names
from hybrid_nas.supernet.ofa_import import (
    ConvLayer,
    DynamicConvLayer,
    DynamicLinearLayer,
    DynamicMBConvLayer,
    DynamicResNetBottleneckBlock,
    LinearLayer,
    MBConvLayer,
)
from hybrid_nas.supernet.standalone import StandaloneNet, attach, run_chain

_DIMENSION_OF_GENE = {"d": "depth", "k": "kernel", "e": "expand", "w": "width"}


def check_one_supernet_covers(space: SearchSpace) -> None:
    """Raise unless every dimension in which `space` varies shares weights.

    Raises:
        InputError: naming the dimension that needs a supernet for each choice.
    """
    for gene in space.genes:
        dimension = "resolution" if gene.name == "resolution" else _DIMENSION_OF_GENE[gene.name[0]]
        if len(gene.choices) > 1 and dimension not in space.shares_weights:
            mend = (
                f"--{dimension}s chooses one of {', '.join(map(str, gene.choices))}"
                if dimension in ("resolution", "width")
                else f"leave one choice of {gene.name} in its file"
            )
            raise InputError(
                f"space {space.name} does not share weights over {dimension} (shares_weights), so "
                f"it needs a supernet for each: {mend}"
            )


def _slot_blocks(space: SearchSpace, slot: int) -> list[Block]:
    """All blocks that may stand in a slot, at the lowest resolution."""
    genes = space.slots[slot].genes
    combinations = int(np.prod(space.sizes[list(genes)]))
    if genes[0] == 0:  # the resolution, which changes no weights
        combinations //= int(space.sizes[0])
    return [space.block(slot, code) for code in range(combinations)]


def _values(blocks: list[Any], name: str) -> list[Any]:
    return sorted({getattr(block, name) for block in blocks})


def _ofa_activation(activation: Activation) -> str | None:
    return None if activation == "none" else activation


def _build_shared(blocks: list[Block]) -> nn.Module | None:
    """The `ofa` layer that covers all of a slot's blocks."""
    first: Any = blocks[0]
    alone = len(blocks) == 1
    layer: nn.Module | None = None
    match first:
        case ConvBlock():
            kind = {"use_bn": first.bn, "act_func": _ofa_activation(first.activation)}
            if alone:
                layer = ConvLayer(first.cin, first.cout, first.kernel, first.stride, **kind)
            else:
                channels = _values(blocks, "cin"), _values(blocks, "cout")
                layer = DynamicConvLayer(*channels, first.kernel, first.stride, **kind)
        case MBConvBlock():
            kind = {"act_func": first.activation, "use_se": first.se_channels > 0}
            if alone and not first.expand:
                layer = MBConvLayer(first.cin, first.cout, first.kernel, first.stride, 1, **kind)
            else:
                layer = DynamicMBConvLayer(
                    _values(blocks, "cin"),
                    _values(blocks, "cout"),
                    _values(blocks, "kernel"),
                    sorted({_expand_ratio(b) for b in blocks if isinstance(b, MBConvBlock)}),
                    first.stride,
                    **kind,
                )
        case BottleneckBlock():
            largest: Any = blocks[-1]
            layer = DynamicResNetBottleneckBlock(
                # `ofa` takes the identity as shortcut where these lists are equal, and only there
                _values(blocks, "cin"),
                _values(blocks, "cout"),
                stride=first.stride,
                kernel_size=first.kernel,
                # of the largest: rounding makes it larger elsewhere, which would add channels
                expand_ratio_list=[largest.mid / largest.cout],
            )
        case DenseBlock():
            if alone:
                layer = LinearLayer(first.cin, first.cout)
            else:
                layer = DynamicLinearLayer(_values(blocks, "cin"), first.cout)
        case _:
            pass  # pooling has no weights
    return layer


def _expand_ratio(block: MBConvBlock) -> float:
    """A ratio from which `ofa` computes the same middle channels."""
    return 1 if not block.expand else block.mid / block.cin


def _activate(layer: nn.Module | None, block: Block) -> None:
    """Let `layer` compute `block`."""
    match layer, block:
        case DynamicMBConvLayer(), MBConvBlock():
            layer.active_kernel_size = block.kernel
            layer.active_expand_ratio = _expand_ratio(block)
            layer.active_out_channel = block.cout
        case DynamicConvLayer(), ConvBlock():
            layer.active_out_channel = block.cout
        case DynamicResNetBottleneckBlock(), BottleneckBlock():
            layer.active_out_channel = block.cout
            layer.active_expand_ratio = block.mid / block.cout
        case _:
            pass


class Supernet(nn.Module):
    """All networks of a search space in one set of weights.

    Attributes:
        space: the space it covers.
        genes: what is active; the largest network at first.

    Raises:
        InputError: the space varies in a dimension that does not share weights.

    Example:
        >>> supernet = Supernet(space)
        >>> supernet.activate(space.from_dict({...}))
        >>> features, logits = supernet.run(images)
    """

    def __init__(self, space: SearchSpace) -> None:
        super().__init__()
        check_one_supernet_covers(space)
        self.space = space
        alternatives = [_slot_blocks(space, slot) for slot in range(len(space.slots))]
        names = part_names([blocks[-1] for blocks in alternatives])
        self._layers: list[nn.Module | None] = []
        for blocks, name in zip(alternatives, names, strict=True):
            layer = _build_shared(blocks)
            if layer is not None and name is not None:
                attach(self, name, layer)
            self._layers.append(layer)
        self._start_at_identity(alternatives)
        self.activate(tuple(space.extremes()[1].tolist()))

    def _start_at_identity(self, blocks: list[list[Block]]) -> None:
        """Zero the last batch norm of blocks that always have a shortcut, which they then are.

        Deep supernets do not learn otherwise (Goyal et al., "Accurate, Large Minibatch SGD", 2017,
        section 5.1).
        """
        for layer, choices in zip(self._layers, blocks, strict=True):
            last: Any = getattr(layer, "point_linear", None)
            if last is not None and all(getattr(block, "skip", False) for block in choices):
                nn.init.zeros_(getattr(last.bn, "bn", last.bn).weight)

    def activate(self, genes: Genes) -> None:
        """Make `forward` compute the architecture of `genes`."""
        self.genes = genes
        row = self.space.canonical(np.array([genes], dtype=np.int64))
        self._chain: list[tuple[Block, nn.Module | None]] = []
        for slot, code in enumerate(self.space.block_codes(row)[0].tolist()):
            if code >= 0:
                block = self.space.block(slot, code)
                _activate(self._layers[slot], block)
                self._chain.append((block, self._layers[slot]))

    @property
    def parts(self) -> list[tuple[Block, nn.Module | None]]:
        """Active blocks with the layers that compute them, in execution order."""
        return list(self._chain)

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) of the images that the active architecture reads."""
        first = self._chain[0][0]
        return first.h, first.w

    def run(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(pooled features, logits) of the active architecture for images (n, c, h, w)."""
        return run_chain(images, self._chain)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the active architecture, (n, classes)."""
        return self.run(images)[1]

    def extract(self) -> StandaloneNet:
        """The active architecture as a network of its own, with its share of the weights.

        Its outputs equal the supernet's to the bit. Its batch-norm statistics are the shared ones,
        which fit no subnet: see `hybrid_nas.supernet.calibrate`.
        """
        parts = [copied_part(block, layer) for block, layer in self._chain]
        return StandaloneNet(self.space.architecture(self.genes), parts).train(self.training)
