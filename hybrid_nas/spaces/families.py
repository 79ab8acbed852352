"""From a space's description to its genes and slots, for the two kinds of networks we know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hybrid_nas.spaces.blocks import (
    Block,
    BottleneckBlock,
    ConvBlock,
    DenseBlock,
    MBConvBlock,
    PoolBlock,
    conv_out,
    make_divisible,
)
from hybrid_nas.spaces.opspec import Activation
from hybrid_nas.spaces.space import Gene, Slot, Value


@dataclass(frozen=True)
class Frame:
    """What a space is laid out for: the data's image shape and number of classes."""

    input_shape: tuple[int, int, int]
    classes: int

    def image(self, resolution: Value, stride: int = 1) -> tuple[int, int]:
        """(height, width) after striding an image whose longer side is `resolution`.

        `stride` is a power of two: that many halvings, each rounding up as padded convolutions do.
        """
        height, width, _ = self.input_shape
        scale = resolution / max(height, width)
        h, w = max(1, round(height * scale)), max(1, round(width * scale))
        while stride > 1:
            h, w, stride = conv_out(h, 2), conv_out(w, 2), stride // 2
        return h, w


class GeneTable:
    """Collects genes and gives out their columns; a gene with one choice is no gene."""

    def __init__(self) -> None:
        self.genes: list[Gene] = []

    def add(self, name: str, choices: Sequence[Value]) -> int:
        """Column of a new gene with these choices."""
        self.genes.append(Gene(name, tuple(sorted(choices))))
        return len(self.genes) - 1


# -- inverted residuals: TinyNAS, OFA MobileNetV3, OFA ProxylessNAS


def se_width(mid: int) -> int:
    """Squeezed channels of OFA's squeeze-and-excitation (reduction 4)."""
    return make_divisible(mid // 4)


def _stem(
    frame: Frame, channels: int, kernel: int, act: Activation, r: Value, width: Value
) -> Block:
    out = make_divisible(channels * width)
    return ConvBlock(*frame.image(r), frame.input_shape[2], out, kernel, 2, act)


def _mbconv(
    frame: Frame,
    cin: int,
    cout: int,
    in_stride: int,
    stride: int,
    act: Activation,
    se: bool,
    may_skip: bool,
    r: Value,
    width: Value,
    kernel: Value,
    expand: Value,
) -> Block:
    wide_in, wide_out = make_divisible(cin * width), make_divisible(cout * width)
    mid = wide_in if expand == 1 else make_divisible(round(wide_in * expand))
    return MBConvBlock(
        *frame.image(r, in_stride),
        wide_in,
        mid,
        wide_out,
        int(kernel),
        stride,
        act,
        se_width(mid) if se else 0,
        expand=expand != 1,
        skip=may_skip and stride == 1 and wide_in == wide_out,
    )


def _mix(
    frame: Frame,
    cin: int,
    cout: int,
    stride: int,
    act: Activation,
    bn: bool,
    r: Value,
    width: Value,
) -> Block:
    h, w = frame.image(r, stride) if stride else (1, 1)
    return ConvBlock(h, w, make_divisible(cin * width), make_divisible(cout * width), 1, 1, act, bn)


def _pool(frame: Frame, channels: int, stride: int, r: Value, width: Value) -> Block:
    return PoolBlock(*frame.image(r, stride), make_divisible(channels * width))


def _classifier(frame: Frame, channels: int, width: Value) -> Block:
    return DenseBlock(1, 1, make_divisible(channels * width), frame.classes)


def mbconv_space(spec: dict[str, Any], frame: Frame) -> tuple[tuple[Gene, ...], tuple[Slot, ...]]:
    """Genes and slots of a space of inverted residual networks.

    `spec` is the parsed YAML; `search_spaces/README.md` describes its keys.
    """
    table = GeneTable()
    r = table.add("resolution", spec["resolution"])
    width = table.add("width", spec["width"])
    stem, first = spec["stem"], spec["first_block"]
    slots = [
        Slot(
            (r, width),
            partial(_stem, frame, stem["channels"], stem["kernel"], stem["activation"]),
        ),
        Slot(
            (r, width),
            partial(
                _fixed_mbconv,
                frame,
                stem["channels"],
                first["channels"],
                first["activation"],
                first["kernel"],
                first["skip"],
            ),
        ),
    ]
    cin, stride = first["channels"], 2
    for number, stage in enumerate(spec["stages"], 1):
        depths = stage["depth"]
        depth = table.add(f"d{number}", depths) if len(depths) > 1 else None
        for position in range(max(depths)):
            kernel = table.add(f"k{number}.{position + 1}", stage["kernel"])
            expand = table.add(f"e{number}.{position + 1}", stage["expand"])
            step = stage["stride"] if position == 0 else 1
            build = partial(
                _mbconv,
                frame,
                cin,
                stage["channels"],
                stride,
                step,
                stage["activation"],
                stage["se"],
                True,
            )
            governed = depth is not None and position >= min(depths)
            slots.append(
                Slot(
                    (r, width, kernel, expand),
                    build,
                    (depth, position) if depth is not None and governed else None,
                    number,
                )
            )
            cin, stride = stage["channels"], stride * step
    for layer in spec["head"]:
        if layer == "pool":
            slots.append(Slot((r, width), partial(_pool, frame, cin, stride)))
            stride = 0  # from here on the image is one pixel
            continue
        mix = partial(_mix, frame, cin, layer["channels"], stride, layer["activation"], layer["bn"])
        slots.append(Slot((r, width), mix))
        cin = layer["channels"]
    slots.append(Slot((width,), partial(_classifier, frame, cin)))
    return tuple(table.genes), tuple(slots)


def _fixed_mbconv(
    frame: Frame,
    cin: int,
    cout: int,
    act: Activation,
    kernel: int,
    may_skip: bool,
    r: Value,
    width: Value,
) -> Block:
    return _mbconv(frame, cin, cout, 2, 1, act, False, may_skip, r, width, kernel, 1)


# -- bottlenecks: OFA ResNet50D


def _resnet_stem(frame: Frame, part: int, r: Value, w_half: Value, w: Value) -> Block:
    """The three convolutions of the deep stem; the second one is skippable."""
    half, full = make_divisible(make_divisible(64 * w_half) // 2), make_divisible(64 * w)
    if part == 0:
        return ConvBlock(*frame.image(r), frame.input_shape[2], half, 3, 2, "relu")
    h, width = frame.image(r, 2)
    if part == 1:
        return ConvBlock(h, width, half, half, 3, 1, "relu", skip=True)
    return ConvBlock(h, width, half, full, 3, 1, "relu")


def _resnet_pool(frame: Frame, r: Value, w: Value) -> Block:
    return PoolBlock(*frame.image(r, 2), make_divisible(64 * w), 3, 2)


def _bottleneck(
    frame: Frame,
    cin: int,
    cout: int,
    in_stride: int,
    stride: int,
    project: bool,
    r: Value,
    w_in: Value,
    w: Value,
    expand: Value,
) -> Block:
    out = make_divisible(cout * w)
    return BottleneckBlock(
        *frame.image(r, in_stride),
        make_divisible(cin * w_in),
        make_divisible(round(out * expand)),
        out,
        stride=stride,
        project=project,
    )


def resnet_space(spec: dict[str, Any], frame: Frame) -> tuple[tuple[Gene, ...], tuple[Slot, ...]]:
    """Genes and slots of a ResNet50D space; ``d0`` is the stem, widths are in OFA's order."""
    table = GeneTable()
    r = table.add("resolution", spec["resolution"])
    stem_depth = table.add("d0", spec["stem_depth"])
    stem = [table.add("w0", spec["width"]), table.add("w1", spec["width"])]
    slots = [
        Slot((r, *stem), partial(_resnet_stem, frame, 0)),
        Slot((r, *stem), partial(_resnet_stem, frame, 1), (stem_depth, 0)),
        Slot((r, *stem), partial(_resnet_stem, frame, 2)),
        Slot((r, stem[1]), partial(_resnet_pool, frame)),
    ]
    w_in, cin, stride = stem[1], 64, 4
    for number, stage in enumerate(spec["stages"], 1):
        depth = table.add(f"d{number}", spec["depth"])
        w = table.add(f"w{number + 1}", spec["width"])
        for position in range(stage["blocks"] + max(spec["depth"])):
            expand = table.add(f"e{number}.{position + 1}", spec["expand"])
            step = stage["stride"] if position == 0 else 1
            build = partial(_bottleneck, frame, cin, stage["channels"], stride, step, position == 0)
            extra = position - stage["blocks"]
            governed = (depth, extra) if extra >= 0 else None
            slots.append(Slot((r, w_in, w, expand), build, governed, number))
            w_in, cin, stride = w, stage["channels"], stride * step
    slots.append(Slot((r, w_in), partial(_pool, frame, cin, stride)))
    slots.append(Slot((w_in,), partial(_classifier, frame, cin)))
    return tuple(table.genes), tuple(slots)
