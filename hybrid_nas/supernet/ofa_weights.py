"""Published OFA checkpoints: their tensors' names, and what they take for granted."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hybrid_nas.data.normalisation import NAMED
from hybrid_nas.errors import InputError
from hybrid_nas.supernet.preprocess import MEAN, STD

_IMAGENET = NAMED["imagenet"]

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
def read_our_images(
    network: Any, mean: Sequence[float] = _IMAGENET.mean, std: Sequence[float] = _IMAGENET.std
) -> None:
    """Let a network trained on another normalisation read images normalised our way; in place.

    Ours is ``(x / 255 - 0.5) / 0.5`` for every channel. The scale goes into the first convolution,
    the shift into its batch norm's mean. What remains is the padding: it stands for mid-grey now,
    which was the mean colour before.

    Args:
        network: a supernet, or a network of plain layers.
        mean, std: of ``(x / 255 - mean) / std``, one value or one per channel; ImageNet's if not
            given.

    Raises:
        InputError: there is no batch norm behind the first convolution.
    """
    _, stem = network.parts[0]
    if not hasattr(stem, "bn"):
        raise InputError(
            "the first convolution has no batch norm to take another normalisation's shift: "
            "expected one, or a network trained on -1 .. 1"
        )
    weight: Tensor = getattr(stem.conv, "conv", stem.conv).weight
    norm = getattr(stem.bn, "bn", stem.bn)
    means, stds = weight.new_tensor(mean), weight.new_tensor(std)
    shift = (weight.sum((2, 3)) * ((MEAN - means) / stds)).sum(1)
    norm.running_mean -= shift
    weight *= (STD / stds)[:, None, None]
