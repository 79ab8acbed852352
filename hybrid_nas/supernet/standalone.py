"""A network of plain torch layers, built from any `Architecture`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hybrid_nas.spaces.architecture import Architecture
from hybrid_nas.spaces.blocks import (
    Block,
    BottleneckBlock,
    ConvBlock,
    DenseBlock,
    MBConvBlock,
    PoolBlock,
)
from hybrid_nas.spaces.opspec import Activation
from hybrid_nas.supernet.naming import part_names
from hybrid_nas.supernet.ofa_weights import set_bn_eps

_ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "h_swish": nn.Hardswish,
    "h_sigmoid": nn.Hardsigmoid,
    "none": nn.Identity,
}


def conv_bn(
    cin: int,
    cout: int,
    kernel: int,
    stride: int,
    activation: Activation,
    *,
    groups: int = 1,
    bn: bool = True,
) -> nn.Sequential:
    """Convolution, batch norm and activation under the names ``conv``, ``bn`` and ``act``."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["conv"] = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False)
    if bn:
        layers["bn"] = nn.BatchNorm2d(cout)
    if activation != "none":
        layers["act"] = _ACTIVATIONS[activation]()
    return nn.Sequential(layers)


class SqueezeExcite(nn.Module):
    """Channel attention with hard sigmoid, under the names of `ofa`'s SEModule."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            OrderedDict(
                reduce=nn.Conv2d(channels, squeezed, 1),
                relu=nn.ReLU(),
                expand=nn.Conv2d(squeezed, channels, 1),
                h_sigmoid=nn.Hardsigmoid(),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """Scale the channels of x, (n, c, h, w)."""
        scale: Tensor = self.fc(x.mean(3, keepdim=True).mean(2, keepdim=True))
        return x * scale


class MBConv(nn.Module):
    """Inverted residual without its shortcut, under the names of `ofa`'s MBConvLayer."""

    def __init__(self, block: MBConvBlock) -> None:
        super().__init__()
        act = block.activation
        self.inverted_bottleneck = (
            conv_bn(block.cin, block.mid, 1, 1, act) if block.expand else None
        )
        self.depth_conv = conv_bn(
            block.mid, block.mid, block.kernel, block.stride, act, groups=block.mid
        )
        if block.se_channels:
            self.depth_conv.add_module("se", SqueezeExcite(block.mid, block.se_channels))
        self.point_linear = conv_bn(block.mid, block.cout, 1, 1, "none")

    def forward(self, x: Tensor) -> Tensor:
        """(n, cin, h, w) -> (n, cout, h', w')."""
        if self.inverted_bottleneck is not None:
            x = self.inverted_bottleneck(x)
        out: Tensor = self.point_linear(self.depth_conv(x))
        return out


class Bottleneck(nn.Module):
    """ResNet-D bottleneck with its shortcut, under the names of `ofa`'s bottleneck layer."""

    def __init__(self, block: BottleneckBlock) -> None:
        super().__init__()
        self.conv1 = conv_bn(block.cin, block.mid, 1, 1, "relu")
        self.conv2 = conv_bn(block.mid, block.mid, block.kernel, block.stride, "relu")
        self.conv3 = conv_bn(block.mid, block.cout, 1, 1, "none")
        self.downsample: nn.Module = nn.Identity()
        if block.project:
            pool = nn.AvgPool2d(block.stride, block.stride, ceil_mode=True)
            self.downsample = nn.Sequential(
                OrderedDict(
                    avg_pool=pool,
                    conv=nn.Conv2d(block.cin, block.cout, 1, bias=False),
                    bn=nn.BatchNorm2d(block.cout),
                )
            )

    def forward(self, x: Tensor) -> Tensor:
        """(n, cin, h, w) -> (n, cout, h', w')."""
        out: Tensor = self.conv3(self.conv2(self.conv1(x)))
        return torch.relu(out + self.downsample(x))


class Classifier(nn.Module):
    """Linear layer on pooled features, under the names of `ofa`'s LinearLayer."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(n, features) -> (n, classes)."""
        out: Tensor = self.linear(x)
        return out


def build_part(block: Block) -> nn.Module | None:
    """The plain layers of one block; None for pooling."""
    match block:
        case ConvBlock():
            return conv_bn(
                block.cin, block.cout, block.kernel, block.stride, block.activation, bn=block.bn
            )
        case MBConvBlock():
            return MBConv(block)
        case BottleneckBlock():
            return Bottleneck(block)
        case DenseBlock():
            return Classifier(block.cin, block.cout)
        case _:
            return None


def attach(root: nn.Module, name: str, part: nn.Module) -> None:
    """Register `part` below `root` under a dotted name, making containers on the way."""
    *parents, leaf = name.split(".")
    for parent in parents:
        if not hasattr(root, parent):
            root.add_module(parent, nn.Module())
        root = root.get_submodule(parent)
    root.add_module(leaf, part)


def run_chain(x: Tensor, chain: list[tuple[Block, nn.Module | None]]) -> tuple[Tensor, Tensor]:
    """Run blocks with their layers on images (n, c, h, w): (pooled features, logits).

    The features, (n, f), are what the classifier reads.
    """
    features = x
    for block, part in chain:
        match block:
            case PoolBlock(kernel=0):
                x = x.mean(3, keepdim=True).mean(2, keepdim=True)
            case PoolBlock():
                x = nn.functional.max_pool2d(x, block.kernel, block.stride, block.kernel // 2)
            case DenseBlock():
                features = x.flatten(1)
                assert part is not None
                x = part(features)
            case _:
                assert part is not None
                out = part(x)
                x = out + x if getattr(block, "skip", False) else out
    return features, x


class StandaloneNet(nn.Module):
    """One architecture as an ordinary network; `forward` gives logits, `run` features too.

    Args:
        architecture: its blocks.
        parts: layers of each block, as `build_part` makes them; new ones, with the architecture's
            `bn_eps`, if there are none.
    """

    def __init__(
        self, architecture: Architecture, parts: Sequence[nn.Module | None] | None = None
    ) -> None:
        super().__init__()
        self.architecture = architecture
        blocks = architecture.blocks
        if parts is None:
            parts = [build_part(block) for block in blocks]
            for part in parts:
                if part is not None:
                    set_bn_eps(part, architecture.bn_eps)
        self._chain = list(zip(blocks, parts, strict=True))
        for name, part in zip(part_names(blocks), parts, strict=True):
            if part is not None and name is not None:
                attach(self, name, part)

    def run(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(pooled features (n, f), logits (n, classes)) of images (n, c, h, w)."""
        return run_chain(images, self._chain)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (n, classes), of images (n, c, h, w)."""
        return self.run(images)[1]

    @property
    def parts(self) -> list[tuple[Block, nn.Module | None]]:
        """Blocks with their layers in execution order."""
        return list(self._chain)
