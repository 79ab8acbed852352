"""Networks that the `ofa` package builds from our JSON, and their files, to compare with."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor
from torch.nn import functional

import hybrid_nas.supernet.ofa_import  # noqa: F401

# isort: split
from ofa.imagenet_classification.networks import MobileNetV3, ProxylessNASNets

from hybrid_nas.spaces.architecture import Architecture
from hybrid_nas.spaces.blocks import ConvBlock, DenseBlock, MBConvBlock, PoolBlock
from hybrid_nas.spaces.ofa_json_writer import architecture_to_json
from hybrid_nas.typing import ByteArray, Float32Array
from tests.quantise.networks import grey_levels

HALF = ((0.5,) * 3, (0.5,) * 3)
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SIDE, CLASSES = 16, 5


def skipped() -> dict[str, Any]:
    """ProxylessNAS's way to leave a block out."""
    return {
        "name": "MobileInvertedResidualBlock",
        "mobile_inverted_conv": {"name": "ZeroLayer", "stride": 1},
        "shortcut": {"name": "IdentityLayer", "in_channels": [8], "out_channels": [8]},
    }


def small_document() -> dict[str, Any]:
    """Three blocks, the last a 1x1 convolution with a shortcut, on one pixel."""
    blocks = (
        ConvBlock(SIDE, SIDE, 3, 8, 3, 2),
        MBConvBlock(8, 8, 8, 24, 16, 3, 2),
        MBConvBlock(4, 4, 16, 48, 24, 7, 4),
        ConvBlock(1, 1, 24, 24, skip=True),
        ConvBlock(1, 1, 24, 32),
        PoolBlock(1, 1, 32),
        DenseBlock(1, 1, 32, CLASSES),
    )
    return architecture_to_json(Architecture((SIDE, SIDE, 3), blocks))


def mobilenet_document() -> dict[str, Any]:
    """MobileNetV3's layers: squeeze-and-excitation, h-swish, two convolutions around the pool."""
    blocks = (
        ConvBlock(SIDE, SIDE, 3, 8, 3, 2, "h_swish"),
        MBConvBlock(8, 8, 8, 24, 16, 3, 2, "h_swish", 8),
        ConvBlock(4, 4, 16, 32, 1, 1, "h_swish"),
        PoolBlock(4, 4, 32),
        ConvBlock(1, 1, 32, 40, 1, 1, "h_swish", bn=False),
        DenseBlock(1, 1, 40, CLASSES),
    )
    return architecture_to_json(Architecture((SIDE, SIDE, 3), blocks))


@dataclass(frozen=True)
class OfaFiles:
    """A network of `ofa`, and its two files."""

    network: Any
    arch: Path
    weights: Path

    @property
    def flags(self) -> list[str]:
        return ["--arch", str(self.arch), "--weights", str(self.weights), "--threads", "1"]

    def scores(
        self, pixels: ByteArray, normalisation: tuple[Sequence[float], Sequence[float]] = HALF
    ) -> Float32Array:
        """What `ofa` says of images (n, h, w, c), with mid-grey beyond the first layer's border."""
        conv = copy.deepcopy(self.network)
        border = conv.first_conv.conv.padding[0]
        conv.first_conv.conv.padding = (0, 0)
        with torch.inference_mode():
            scores: Float32Array = conv(prepared(pixels, normalisation, border)).numpy()
        return scores


def prepared(
    pixels: ByteArray, normalisation: tuple[Sequence[float], Sequence[float]], border: int = 0
) -> Tensor:
    """Images (n, h, w, c) as a network trained with a mean and a deviation reads them."""
    mean, std = (torch.tensor(values)[:, None, None] for values in normalisation)
    levels = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    return (functional.pad(levels, [border] * 4, value=127.5) / 255 - mean) / std


def ofa_files(
    document: dict[str, Any],
    folder: Path,
    normalisation: tuple[Sequence[float], Sequence[float]] = HALF,
) -> OfaFiles:
    """Build, calibrate on images of that normalisation, and save as `ofa` does."""
    torch.manual_seed(0)
    builders = {"MobileNetV3": MobileNetV3, "ProxylessNASNets": ProxylessNASNets}
    network = builders[document["name"]].build_from_config(copy.deepcopy(document))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.2)
    with torch.no_grad():
        network.train()(prepared(images(64, seed=5), normalisation))
    network.eval()
    arch, weights = folder / "net.json", folder / "net.pth"
    arch.write_text(json.dumps(document))
    torch.save({"state_dict": network.state_dict()}, weights)
    return OfaFiles(network, arch, weights)


def images(n: int, seed: int = 0) -> ByteArray:
    """Grey levels (n, side, side, 3)."""
    return grey_levels((SIDE, SIDE, 3), n, seed)


def onnx_scores(path: Path, pixels: ByteArray) -> Float32Array:
    """What a file says of images (n, h, w, c)."""
    session = onnxruntime.InferenceSession(path.read_bytes())
    return np.concatenate([session.run(["scores"], {"image": one[None]})[0] for one in pixels])
