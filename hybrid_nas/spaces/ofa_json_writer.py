"""Writing the architecture JSON of the MCUNet and Once-for-All projects.

The files are read back by `hybrid_nas.spaces.ofa_json` and by both projects' ``build_from_config``.
"""

from __future__ import annotations

from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.spaces.architecture import Architecture
from hybrid_nas.spaces.blocks import (
    Block,
    BottleneckBlock,
    ConvBlock,
    DenseBlock,
    MBConvBlock,
    PoolBlock,
)


def architecture_to_json(arch: Architecture) -> dict[str, Any]:
    """The document that describes `arch`; `architecture_from_json` gives back an equal network.

    Raises:
        InputError: the layers are not in an order that the format can express.
    """
    blocks = list(arch.blocks)
    pools = [
        n for n, block in enumerate(blocks) if isinstance(block, PoolBlock) and not block.kernel
    ]
    if not blocks or not isinstance(blocks[-1], DenseBlock) or len(pools) != 1:
        raise InputError(
            f"{arch.name or 'the architecture'} cannot be written as JSON: it must have one global "
            "pool and end in a classifier"
        )
    body, tail = blocks[: pools[0]], blocks[pools[0] + 1 :]
    doc: dict[str, Any] = {"name": "ProxylessNASNets", "bn": {"momentum": 0.1, "eps": arch.bn_eps}}
    if any(isinstance(block, BottleneckBlock) for block in body):
        doc |= {"name": "ResNets", **_resnet_body(body)}
        if len(tail) > 1:
            raise _refuse(tail[0], "the layer after the pool")
    else:
        doc |= {"first_conv": _conv_json(body[0], "first_conv")}
        doc |= _mobile_body(body, tail[:-1], arch.name)
    doc["classifier"] = {
        "name": "LinearLayer",
        "in_features": blocks[-1].cin,
        "out_features": blocks[-1].out_shape[2],
        "bias": True,
        "use_bn": False,
        "act_func": None,
        "dropout_rate": 0,
        "ops_order": "weight_bn_act",
    }
    doc["resolution"] = arch.resolution
    if arch.input_shape[0] != arch.input_shape[1]:
        doc["input_shape"] = list(arch.input_shape)
    return doc


def _mobile_body(body: list[Block], after_pool: list[Block], name: str) -> dict[str, Any]:
    """Blocks and the layers around the pool; the last plain convolution before it is a head's."""
    last = body[-1]
    has_mix = len(body) > 1 and isinstance(last, ConvBlock) and not last.skip
    inner = body[1:-1] if has_mix else body[1:]
    doc: dict[str, Any] = {"blocks": [_mbconv_json(block, n) for n, block in enumerate(inner)]}
    if len(after_pool) > has_mix:
        raise InputError(
            f"{name or 'the architecture'} cannot be written as JSON: {len(after_pool)} layers "
            f"between pool and classifier, where the format has room for {int(has_mix)}"
        )
    if after_pool:
        doc["name"] = "MobileNetV3"
        doc["final_expand_layer"] = _conv_json(last, "final_expand_layer")
        doc["feature_mix_layer"] = _conv_json(after_pool[0], "feature_mix_layer")
    else:
        doc["feature_mix_layer"] = _conv_json(last, "feature_mix_layer") if has_mix else None
    return doc


def _refuse(block: Block, where: str) -> InputError:
    return InputError(
        f"{where} cannot be written as JSON: {type(block).__name__} has no place there"
    )


def _conv_json(block: Block, where: str) -> dict[str, Any]:
    if not isinstance(block, ConvBlock):
        raise _refuse(block, where)
    return {
        "name": "ConvLayer",
        "kernel_size": block.kernel,
        "stride": block.stride,
        "dilation": 1,
        "groups": 1,
        "bias": False,
        "has_shuffle": False,
        "in_channels": block.cin,
        "out_channels": block.cout,
        "use_bn": block.bn,
        "act_func": None if block.activation == "none" else block.activation,
        "dropout_rate": 0,
        "ops_order": "weight_bn_act",
    }


def _identity(channels: int) -> dict[str, Any]:
    return {
        "name": "IdentityLayer",
        "in_channels": channels,
        "out_channels": channels,
        "use_bn": False,
        "act_func": None,
        "dropout_rate": 0,
        "ops_order": "weight_bn_act",
    }


def _mbconv_json(block: Block, number: int) -> dict[str, Any]:
    if isinstance(block, ConvBlock):
        inner = _conv_json(block, f"blocks[{number}]")
        skip = block.skip
    elif isinstance(block, MBConvBlock):
        inner = {
            "name": "MBInvertedConvLayer",
            "in_channels": block.cin,
            "out_channels": block.cout,
            "kernel_size": block.kernel,
            "stride": block.stride,
            # mid_channels decides; a ratio of 1 would mean that there is no expansion
            "expand_ratio": _ratio(block.mid, block.cin) if block.expand else 1,
            "mid_channels": block.mid if block.expand else None,
            "act_func": block.activation,
            "use_se": block.se_channels > 0,
        }
        skip = block.skip
    else:
        raise _refuse(block, f"blocks[{number}]")
    return {
        "name": "MobileInvertedResidualBlock",
        "mobile_inverted_conv": inner,
        "shortcut": _identity(block.cin) if skip else None,
    }


def _ratio(mid: int, cin: int) -> int | float:
    if mid == cin:
        return 2
    return mid // cin if mid % cin == 0 else mid / cin


def _resnet_body(body: list[Block]) -> dict[str, Any]:
    stem: list[dict[str, Any]] = []
    pool = next((n for n, b in enumerate(body) if isinstance(b, PoolBlock)), len(body))
    for number, block in enumerate(body[:pool]):
        layer = _conv_json(block, f"input_stem[{number}]")
        if isinstance(block, ConvBlock) and block.skip:
            layer = {"name": "ResidualBlock", "conv": layer, "shortcut": _identity(block.cin)}
        stem.append(layer)
    return {
        "input_stem": stem,
        "blocks": [_bottleneck_json(block, n) for n, block in enumerate(body[pool + 1 :])],
    }


def _bottleneck_json(block: Block, number: int) -> dict[str, Any]:
    if not isinstance(block, BottleneckBlock):
        raise _refuse(block, f"blocks[{number}]")
    return {
        "name": "ResNetBottleneckBlock",
        "in_channels": block.cin,
        "out_channels": block.cout,
        "kernel_size": block.kernel,
        "stride": block.stride,
        "expand_ratio": block.mid / block.cout,
        "mid_channels": block.mid,
        "act_func": "relu",
        "groups": 1,
        "downsample_mode": "avgpool_conv",
    }
