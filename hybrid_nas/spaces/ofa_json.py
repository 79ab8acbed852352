"""Reading the architecture JSON of the MCUNet and Once-for-All projects.

Which layers there are decides the order: with ``final_expand_layer`` it is MobileNetV3's (expand,
pool, mix on one pixel), without it ProxylessNAS's (mix, pool), and with ``input_stem`` a ResNet's.
The pool is not written in the files.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.spaces.architecture import Architecture, check_sizes
from hybrid_nas.spaces.blocks import (
    Block,
    BottleneckBlock,
    ConvBlock,
    DenseBlock,
    MBConvBlock,
    PoolBlock,
    make_divisible,
)
from hybrid_nas.spaces.families import se_width
from hybrid_nas.spaces.layer_fields import (
    Layer,
    Shape,
    activation,
    channels,
    expand_ratio,
    flag,
    image_shape,
    kernel_size,
    only,
    positive,
    reads,
)

_ZERO = ("ZeroLayer", "zero")
_MBCONV = ("MBInvertedConvLayer", "MBConvLayer", "DynamicMBConvLayer")
"""Names of inverted residuals in both projects and their versions."""


def architecture_from_json(doc: Mapping[str, Any], resolution: int | None = None) -> Architecture:
    """The network that a parsed MCUNet or Once-for-All file describes.

    Args:
        doc: the file's object; never changed. ``input_shape`` ([height, width, channels]), where
            there is one, overrules ``resolution``, which means a square image.
        resolution: longer side of the image in pixels, instead of the document's.

    Raises:
        InputError: a layer is missing, unknown, or does not fit the one before, or ``bn.eps`` is
            not a number above 0; it is named.

    Example:
        >>> layer = {"in_channels": 3, "out_channels": 8, "kernel_size": 3, "stride": 2,
        ...          "act_func": "relu6"}
        >>> head = {"in_features": 8, "out_features": 10}
        >>> doc = {"first_conv": layer, "blocks": [], "classifier": head, "resolution": 32}
        >>> architecture_from_json(doc).macs
        55376
    """
    name = str(doc.get("name", "the architecture"))
    chain = _Chain(_input_shape(doc, resolution, name))
    if "input_stem" in doc:
        for number, layer in enumerate(_list(doc, "input_stem", name)):
            chain.add(_stem_block(_layer(layer, f"input_stem[{number}]"), number, chain.shape))
        chain.add(PoolBlock(*chain.shape, 3, 2))
    else:
        chain.add(_conv_block(_layer(doc.get("first_conv"), "first_conv"), chain.shape))
    for number, entry in enumerate(_list(doc, "blocks", name)):
        block = _body_block(_layer(entry, f"blocks[{number}]"), number, chain.shape)
        if block is not None:
            chain.add(block)
    mix = doc.get("feature_mix_layer")
    if doc.get("final_expand_layer") is not None:
        chain.add(_conv_block(_layer(doc["final_expand_layer"], "final_expand_layer"), chain.shape))
    elif mix is not None:
        chain.add(_conv_block(_layer(mix, "feature_mix_layer"), chain.shape))
        mix = None
    chain.add(PoolBlock(*chain.shape))
    if mix is not None:
        chain.add(_conv_block(_layer(mix, "feature_mix_layer"), chain.shape))
    chain.add(_classifier(_layer(doc.get("classifier"), "classifier"), chain.shape))
    eps = _bn_eps(doc, name)
    return check_sizes(Architecture(chain.input_shape, tuple(chain.blocks), name, eps), name)


class _Chain:
    """The blocks so far, and the shape that the next one gets."""

    def __init__(self, input_shape: Shape) -> None:
        self.input_shape = self.shape = input_shape
        self.blocks: list[Block] = []

    def add(self, block: Block) -> None:
        self.blocks.append(block)
        self.shape = block.out_shape


def _input_shape(doc: Mapping[str, Any], resolution: int | None, name: str) -> Shape:
    layers = doc.get("input_stem")
    stem = doc.get("first_conv") or (layers[0] if isinstance(layers, list) and layers else None)
    read = channels(stem, "in_channels", "first_conv") if isinstance(stem, Mapping) else 3
    if "input_shape" in doc:
        h, w, c = image_shape(doc["input_shape"], f"'input_shape' of {name}")
        if c != read:
            raise InputError(
                f"'input_shape' of {name} has {c} channels, but its first layer reads {read}"
            )
        if resolution is None:
            return h, w, c
        scale = positive(resolution, "resolution") / max(h, w)
        return max(1, round(h * scale)), max(1, round(w * scale)), c
    side = resolution if resolution is not None else doc.get("resolution")
    if side is None:
        raise InputError(f"{name} has no 'resolution': add it to the file or give --resolution")
    side = positive(side, f"resolution of {name}")
    return side, side, read


def _bn_eps(doc: Mapping[str, Any], name: str) -> float:
    """``bn.eps``; where a file has no ``bn``, what both projects' builders take for its kind."""
    bn = doc.get("bn")
    if bn is None:
        proxyless = "input_stem" not in doc and doc.get("final_expand_layer") is None
        return 1e-3 if proxyless else 1e-5
    if not isinstance(bn, Mapping):
        raise InputError(f"'bn' of {name} must be an object with an 'eps' (got {bn!r})")
    eps = bn.get("eps")
    if isinstance(eps, (int, float)) and eps is not True and 0 < eps <= sys.float_info.max:
        return float(eps)
    raise InputError(f"eps in 'bn' of {name} must be a finite number above 0 (got {eps!r})")


def _list(doc: Mapping[str, Any], key: str, name: str) -> list[Any]:
    value = doc.get(key)
    if not isinstance(value, list):
        raise InputError(f"{name} must have a list {key!r} (got {type(value).__name__})")
    return value


def _layer(value: object, where: str) -> Layer:
    if not isinstance(value, Mapping):
        raise InputError(f"{where} must be an object that describes a layer (got {value!r})")
    return value


def _conv_block(layer: Layer, shape: Shape, where: str = "", skip: bool = False) -> ConvBlock:
    where = where or str(layer.get("name", "convolution"))
    only(layer, where, dilation=(1,), groups=(1,), has_shuffle=(False,), use_se=(False,))
    only(layer, where, bias=(False,), ops_order=("weight_bn_act",))
    return ConvBlock(
        *shape[:2],
        reads(layer, "in_channels", shape, where),
        channels(layer, "out_channels", where),
        kernel_size(layer, where),
        positive(layer.get("stride", 1), f"stride of {where}"),
        activation(layer, where, "relu"),
        flag(layer, "use_bn", where, default=True),
        skip,
    )


def _stem_block(layer: Layer, number: int, shape: Shape) -> Block:
    where = f"input_stem[{number}]"
    inner = layer.get("conv", layer.get("mobile_inverted_conv"))
    if inner is None:
        return _conv_block(layer, shape, where)
    return _conv_block(_layer(inner, where), shape, where, skip=_has_shortcut(layer, where))


def _has_shortcut(layer: Layer, where: str) -> bool:
    shortcut = layer.get("shortcut")
    if shortcut is None or _layer(shortcut, f"shortcut of {where}").get("name") in _ZERO:
        return False
    if shortcut.get("name", "IdentityLayer") != "IdentityLayer":
        raise InputError(
            f"shortcut of {where} must be null or an IdentityLayer (got {shortcut.get('name')!r})"
        )
    return True


def _body_block(layer: Layer, number: int, shape: Shape) -> Block | None:
    where = f"blocks[{number}]"
    if layer.get("name") == "ResNetBottleneckBlock":
        return _bottleneck(layer, where, shape)
    inner = layer.get("mobile_inverted_conv", layer.get("conv"))
    skip = _has_shortcut(layer, where)
    if inner is None or _layer(inner, where).get("name") in _ZERO:
        if skip:
            return None  # nothing but its shortcut: ProxylessNAS's way to leave a block out
        raise InputError(f"{where} has neither a convolution nor a shortcut")
    if inner.get("name") == "ConvLayer":
        block: Block = _conv_block(inner, shape, where, skip)
    else:
        block = _mbconv(inner, where, shape, skip)
    if skip and block.out_shape != shape:
        raise InputError(f"{where} has a shortcut, but its output {block.out_shape} is not {shape}")
    return block


def _mbconv(layer: Layer, where: str, shape: Shape, skip: bool) -> MBConvBlock:
    only(layer, where, name=_MBCONV)
    cin = reads(layer, "in_channels", shape, where)
    ratio = expand_ratio(layer, where, 6)
    mid = layer.get("mid_channels")
    mid = positive(round(cin * ratio) if mid is None else mid, f"mid_channels of {where}")
    if ratio == 1 and mid != cin:
        raise InputError(f"{where} does not expand, so mid_channels must be {cin} (got {mid})")
    only(layer, where, groups=(None, mid))
    return MBConvBlock(
        *shape,
        mid,
        channels(layer, "out_channels", where),
        kernel_size(layer, where),
        positive(layer.get("stride", 1), f"stride of {where}"),
        activation(layer, where, "relu6"),
        se_width(mid) if flag(layer, "use_se", where, default=False) else 0,
        expand=ratio != 1,
        skip=skip,
    )


def _bottleneck(layer: Layer, where: str, shape: Shape) -> BottleneckBlock:
    cin = reads(layer, "in_channels", shape, where)
    cout = channels(layer, "out_channels", where)
    stride = positive(layer.get("stride", 1), f"stride of {where}")
    only(layer, where, groups=(1,), act_func=("relu",), downsample_mode=("avgpool_conv",))
    mid = layer.get("mid_channels")
    if mid is None:
        mid = round(cout * expand_ratio(layer, where, 0.25))
    mid = make_divisible(positive(mid, f"mid_channels of {where}"))
    project = stride != 1 or cin != cout
    return BottleneckBlock(*shape, mid, cout, kernel_size(layer, where), stride, project)


def _classifier(layer: Layer, shape: Shape) -> DenseBlock:
    only(layer, "classifier", bias=(True,), use_bn=(False,), act_func=(None,))
    cin = reads(layer, "in_features", shape, "classifier")
    return DenseBlock(1, 1, cin, channels(layer, "out_features", "classifier"))
