"""Published OFA checkpoints: their tensors' names, and what they take for granted."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hybrid_nas.supernet.preprocess import MEAN, STD

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

BN_EPS = {"ofa-proxyless-w1.3": 1e-3}
"""What was added to batch norm's variances, by space; 1e-5 where it is not here."""

# Elastic layers wrap plain ones: the same tensor has one level more or less in its name, depending
# on which choices its layer had when the file was written.
_LEVELS = (
    (re.compile(r"\bbn\."), "bn.bn."),
    (re.compile(r"\bconv\.weight$"), "conv.conv.weight"),
    (re.compile(r"\blinear\."), "linear.linear."),
    (re.compile(r"\bbn\.bn\."), "bn."),
    (re.compile(r"\bconv\.conv\.weight$"), "conv.weight"),
    (re.compile(r"\blinear\.linear\."), "linear."),
)


def today_key(name: str, known: Container[str]) -> str:
    """The name among `known` of what an older file calls `name`; `name` itself if there is none.

    Example:
        >>> today_key("blocks.1.mobile_inverted_conv.depth_conv.bn.bias",
        ...           {"blocks.1.conv.depth_conv.bn.bn.bias"})
        'blocks.1.conv.depth_conv.bn.bn.bias'
    """
    name = name.removeprefix("module.").replace(".mobile_inverted_conv.", ".conv.")
    if name in known:
        return name
    for pattern, replacement in _LEVELS:
        other = pattern.sub(replacement, name)
        if other in known:
            return other
    return name


def today_keys(state: Mapping[str, Tensor], known: Container[str]) -> dict[str, Tensor]:
    """`state` under the names in `known`; see `today_key`."""
    return {today_key(name, known): tensor for name, tensor in state.items()}


def set_bn_eps(network: nn.Module, eps: float) -> None:
    """Let all batch norms add `eps` to the variance."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = eps


@torch.no_grad()
def read_our_images(supernet: Any) -> None:
    """Let a network trained on ImageNet's normalisation read images normalised our way; in place.

    Ours is ``(x / 255 - 0.5) / 0.5`` for every channel. The scale goes into the first convolution,
    the shift into its batch norm's mean. What remains is the padding: it stands for mid-grey now,
    which was the mean colour before.
    """
    _, stem = supernet.parts[0]
    weight: Tensor = getattr(stem.conv, "conv", stem.conv).weight
    norm = getattr(stem.bn, "bn", stem.bn)
    mean = weight.new_tensor(IMAGENET_MEAN)
    std = weight.new_tensor(IMAGENET_STD)
    shift = (weight.sum((2, 3)) * ((MEAN - mean) / std)).sum(1)
    norm.running_mean -= shift
    weight *= (STD / std)[:, None, None]
