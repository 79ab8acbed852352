"""Plain layers with a block's share of the supernet's weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hybrid_nas.spaces.blocks import Block, BottleneckBlock, ConvBlock, DenseBlock, MBConvBlock
from hybrid_nas.supernet.standalone import build_part


def _norm(source: Any, target: Any) -> None:
    """Batch norm's first channels, whether or not `ofa` wrapped it."""
    source = getattr(source, "bn", source)
    n = target.num_features
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(target, name).copy_(getattr(source, name)[:n])
    target.eps, target.momentum = source.eps, source.momentum


def _weight(conv: Any) -> Tensor:
    """Full weight of a convolution, whether or not `ofa` wrapped it."""
    weight: Tensor = getattr(conv, "conv", conv).weight
    return weight


def _conv(source: Any, target: Any) -> None:
    """A convolution with its batch norm; `target` decides how many channels are taken."""
    out_channels, in_channels = target.conv.weight.shape[:2]
    target.conv.weight.copy_(_weight(source.conv)[:out_channels, :in_channels])
    if hasattr(target, "bn"):
        _norm(source.bn, target.bn)


def _depthwise(source: Any, target: Any, kernel: int) -> None:
    """A depthwise convolution; `ofa` derives small kernels from large ones by learnt matrices."""
    channels = target.conv.weight.shape[0]
    if hasattr(source.conv, "get_active_filter"):
        target.conv.weight.copy_(source.conv.get_active_filter(channels, kernel))
    else:
        target.conv.weight.copy_(source.conv.weight[:channels])
    _norm(source.bn, target.bn)


def _squeeze_excite(source: Any, target: Any) -> None:
    for name in ("reduce", "expand"):
        theirs, ours = getattr(source.fc, name), getattr(target.fc, name)
        out_channels, in_channels = ours.weight.shape[:2]
        ours.weight.copy_(theirs.weight[:out_channels, :in_channels])
        ours.bias.copy_(theirs.bias[:out_channels])


@torch.no_grad()
def copied_part(block: Block, layer: nn.Module | None) -> nn.Module | None:
    """New layers of a block with what the supernet's `layer` uses for it; None for pooling."""
    part = build_part(block)
    source: Any = layer
    target: Any = part
    match block:
        case MBConvBlock():
            if block.expand:
                _conv(source.inverted_bottleneck, target.inverted_bottleneck)
            _depthwise(source.depth_conv, target.depth_conv, block.kernel)
            if block.se_channels:
                _squeeze_excite(source.depth_conv.se, target.depth_conv.se)
            _conv(source.point_linear, target.point_linear)
        case BottleneckBlock():
            for name in ("conv1", "conv2", "conv3"):
                _conv(getattr(source, name), getattr(target, name))
            if block.project:
                _conv(source.downsample, target.downsample)
        case ConvBlock():
            _conv(source, target)
        case DenseBlock():
            linear = getattr(source.linear, "linear", source.linear)
            target.linear.weight.copy_(linear.weight[:, : block.cin])
            target.linear.bias.copy_(linear.bias)
        case _:
            pass  # pooling has no weights
    return part
