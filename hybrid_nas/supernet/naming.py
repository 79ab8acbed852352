"""Names of a network's parts in checkpoints: those of the `ofa` and `mcunet` projects.

With equal names, published ``.pth`` files load as they are and ours load there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from hybrid_nas.errors import InputError
from hybrid_nas.spaces.blocks import (
    Block,
    BottleneckBlock,
    ConvBlock,
    DenseBlock,
    MBConvBlock,
    PoolBlock,
)

_Tensor = TypeVar("_Tensor")
_BLOCK = re.compile(r"^((?:module\.)?blocks\.)(\d+)(?=\.)")


def part_names(blocks: Sequence[Block]) -> list[str | None]:
    """Dotted module name of each block; None for pooling, which has no weights.

    `blocks` holds one block for each slot of a space, or the blocks of an architecture.
    """
    if any(isinstance(block, BottleneckBlock) for block in blocks):
        return _resnet_names(blocks)
    return _mbconv_names(blocks)


def numbered_without_gaps(
    state: Mapping[str, _Tensor], wanted: Iterable[str]
) -> dict[str, _Tensor]:
    """`state` with its blocks numbered from 0 on, in order, if it has as many as `wanted` names.

    A block that is skipped (a ZeroLayer beside its shortcut) has no tensors, but a number; our
    networks do without it. With another number of blocks the names stay, for the message to be
    about the file's own.

    Example:
        >>> numbered_without_gaps({"blocks.0.x": 1, "blocks.2.x": 2}, ["blocks.0.x", "blocks.1.x"])
        {'blocks.0.x': 1, 'blocks.1.x': 2}
    """
    place = {number: k for k, number in enumerate(_block_numbers(state))}
    if len(place) != len(_block_numbers(wanted)):
        return dict(state)
    return {
        _BLOCK.sub(lambda found: f"{found[1]}{place[int(found[2])]}", name): tensor
        for name, tensor in state.items()
    }


def _block_numbers(names: Iterable[str]) -> list[int]:
    return sorted({int(found[2]) for name in names if (found := _BLOCK.match(name))})


def _mbconv_names(blocks: Sequence[Block]) -> list[str | None]:
    of_conv = _names_outside(blocks)
    names: list[str | None] = []
    count = 0
    for k, block in enumerate(blocks):
        if k in of_conv:
            names.append(of_conv[k])
        elif isinstance(block, MBConvBlock | ConvBlock):
            names.append(f"blocks.{count}.conv")
            count += 1
        else:
            names.append("classifier" if isinstance(block, DenseBlock) else None)
    return names


def _names_outside(blocks: Sequence[Block]) -> dict[int, str]:
    """Names of the plain convolutions that are not among ``blocks``, by their place.

    As in the JSON: the first block, the last one before the pool, and the one behind the pool.
    """
    convs = [k for k, block in enumerate(blocks) if isinstance(block, ConvBlock)]
    pool = next((k for k, block in enumerate(blocks) if isinstance(block, PoolBlock)), len(blocks))
    behind = [k for k in convs if k > pool]
    if len(behind) > 1:
        raise InputError(
            "a network of inverted residuals has at most one plain convolution behind the pool "
            f"(got {len(behind)})"
        )
    names = dict.fromkeys(behind, "feature_mix_layer")
    before = pool - 1
    if before in convs and not getattr(blocks[before], "skip", False):
        names[before] = "final_expand_layer" if behind else "feature_mix_layer"
    return names | {k: "first_conv" for k in convs[:1]}


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
