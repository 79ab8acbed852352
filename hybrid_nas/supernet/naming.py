"""Names of a network's parts in checkpoints: those of the `ofa` and `mcunet` projects.

With equal names, published ``.pth`` files load as they are and ours load there.
"""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_nas.errors import InputError
from hybrid_nas.spaces.blocks import Block, BottleneckBlock, ConvBlock, DenseBlock, MBConvBlock


def part_names(blocks: Sequence[Block]) -> list[str | None]:
    """Dotted module name of each block; None for pooling, which has no weights.

    `blocks` holds one block for each slot of a space, or the blocks of an architecture.
    """
    if any(isinstance(block, BottleneckBlock) for block in blocks):
        return _resnet_names(blocks)
    return _mbconv_names(blocks)


def _mbconv_names(blocks: Sequence[Block]) -> list[str | None]:
    convs = [k for k, block in enumerate(blocks) if isinstance(block, ConvBlock)]
    mixes = {
        0: [],
        1: ["feature_mix_layer"],
        2: ["final_expand_layer", "feature_mix_layer"],
    }.get(len(convs) - 1)
    if mixes is None:
        raise InputError(
            f"a network of inverted residuals has 1 to 3 plain convolutions (got {len(convs)})"
        )
    of_conv = dict(zip(convs, ["first_conv", *mixes], strict=True))
    names: list[str | None] = []
    count = 0
    for k, block in enumerate(blocks):
        if isinstance(block, MBConvBlock):
            names.append(f"blocks.{count}.conv")
            count += 1
        elif isinstance(block, DenseBlock):
            names.append("classifier")
        else:
            names.append(of_conv.get(k))
    return names


def _resnet_names(blocks: Sequence[Block]) -> list[str | None]:
    names: list[str | None] = []
    count = stem = 0
    for block in blocks:
        if isinstance(block, BottleneckBlock):
            names.append(f"blocks.{count}")
            count += 1
        elif isinstance(block, ConvBlock):
            # the residual stem layer is wrapped; without it the last one moves up
            names.append(f"input_stem.{stem}.conv" if block.skip else f"input_stem.{stem}")
            stem += 1
        else:
            names.append("classifier" if isinstance(block, DenseBlock) else None)
    return names
