"""What the file of a search space must say: keys, types and ranges, for both kinds of networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.spaces.opspec import ACTIVATIONS, MOST
from hybrid_nas.yaml_fields import dataclass_of, is_number, require

DIMENSIONS = ("resolution", "depth", "kernel", "expand", "width")
"""What a supernet may share weights over."""


@dataclass(frozen=True)
class _MBConvSpace:
    schema: str
    name: str
    family: str
    shares_weights: list[Any]
    resolution: list[Any]
    width: list[Any]
    stem: dict[str, Any]
    first_block: dict[str, Any]
    stages: list[Any]
    head: list[Any]


@dataclass(frozen=True)
class _Stem:
    channels: int
    kernel: int
    activation: str


@dataclass(frozen=True)
class _FirstBlock(_Stem):
    skip: bool


@dataclass(frozen=True)
class _MBConvStage:
    channels: int
    stride: int
    depth: list[Any]
    kernel: list[Any]
    expand: list[Any]
    activation: str
    se: bool


@dataclass(frozen=True)
class _HeadLayer:
    channels: int
    activation: str
    bn: bool


@dataclass(frozen=True)
class _ResNetSpace:
    schema: str
    name: str
    family: str
    shares_weights: list[Any]
    resolution: list[Any]
    width: list[Any]
    stem_depth: list[Any]
    depth: list[Any]
    expand: list[Any]
    stages: list[Any]


@dataclass(frozen=True)
class _ResNetStage:
    channels: int
    blocks: int
    stride: int


def check_space(spec: Mapping[str, Any], where: str) -> None:
    """Go on if `spec` describes a space; `where` names its file.

    Raises:
        InputError: it does not; the message names the key.
    """
    family = spec.get("family")
    if family == "mbconv":
        _check_mbconv(dataclass_of(_MBConvSpace, spec, where), where)
    elif family == "resnet":
        _check_resnet(dataclass_of(_ResNetSpace, spec, where), where)
    else:
        raise InputError(f"{where}: family must be one of mbconv, resnet (got {family!r})")


def check_choices(key: str, choices: object, where: str) -> None:
    """Go on if `choices` can be those of a dimension.

    Args:
        key: one of `DIMENSIONS`, or ``extra_depth`` for blocks beside those always there.
        choices: what the file says.
        where: begins the message.

    Raises:
        InputError: they are no list of different numbers, or the dimension has no such number.
    """
    what, good = _CHOICES[key]
    numbers = choices if isinstance(choices, list) else []
    fine = bool(numbers) and all(is_number(one) and good(one) for one in numbers)
    different = fine and len(set(numbers)) == len(numbers)
    require(different, where, f"a list of different numbers, each {what}", choices)


_MOST_BLOCKS = 256
"""Of a stage: each is a place of its own in every architecture's genes."""


def _is_whole(value: float) -> bool:
    return type(value) is int and 1 <= value <= MOST


def _is_odd(value: float) -> bool:
    return _is_whole(value) and value % 2 == 1


def _is_number_of_blocks(value: float) -> bool:
    return _is_whole(value) and value <= _MOST_BLOCKS


def _is_factor(value: float) -> bool:
    return 0 < value <= MOST


_CHOICES: Mapping[str, tuple[str, Callable[[float], bool]]] = {
    "resolution": (f"whole and above 0, at most {MOST}", _is_whole),
    "depth": (f"whole and above 0, at most {_MOST_BLOCKS}", _is_number_of_blocks),
    "extra_depth": (
        f"whole and 0 or more, at most {_MOST_BLOCKS}",
        lambda value: type(value) is int and 0 <= value <= _MOST_BLOCKS,
    ),
    "kernel": ("odd and above 0", _is_odd),
    "expand": (f"above 0, at most {MOST}", _is_factor),
    "width": (f"above 0, at most {MOST}", _is_factor),
}

_VALUES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "channels": (f"above 0, at most {MOST}", _is_whole),
    "blocks": (f"above 0, at most {_MOST_BLOCKS}", _is_number_of_blocks),
    "kernel": ("odd and above 0", _is_odd),
    # images are halved step by step, see `families.Frame.image`
    "stride": ("a power of two", lambda value: _is_whole(value) and value & (value - 1) == 0),
    "activation": (f"one of {', '.join(ACTIVATIONS)}", lambda value: value in ACTIVATIONS),
}


def _check_mbconv(space: _MBConvSpace, where: str) -> None:
    _check_common(space, where)
    for key, kind in (("stem", _Stem), ("first_block", _FirstBlock)):
        at = f"{where}: {key}"
        _check_layer(dataclass_of(kind, getattr(space, key), at), at)
    for number, values in enumerate(space.stages, 1):
        at = f"{where}: stage {number}"
        _check_layer(dataclass_of(_MBConvStage, values, at), at)
    require(
        space.head.count("pool") == 1,
        f"{where}: head",
        "a list of layers with 'pool' among them, once",
        space.head,
    )
    for number, values in enumerate(space.head, 1):
        if values != "pool":
            at = f"{where}: head: layer {number}"
            _check_layer(dataclass_of(_HeadLayer, values, at), at)


def _check_resnet(space: _ResNetSpace, where: str) -> None:
    _check_common(space, where)
    for key in ("stem_depth", "depth"):
        check_choices("extra_depth", getattr(space, key), f"{where}: {key}")
    check_choices("expand", space.expand, f"{where}: expand")
    for number, values in enumerate(space.stages, 1):
        at = f"{where}: stage {number}"
        _check_layer(dataclass_of(_ResNetStage, values, at), at)


def _check_common(space: _MBConvSpace | _ResNetSpace, where: str) -> None:
    for key in ("resolution", "width"):
        check_choices(key, getattr(space, key), f"{where}: {key}")
    require(bool(space.name.strip()), f"{where}: name", "a name", space.name)
    require(bool(space.stages), f"{where}: stages", "a list of at least one stage", space.stages)
    require(
        all(one in DIMENSIONS for one in space.shares_weights),
        f"{where}: shares_weights",
        f"a list of some of {', '.join(DIMENSIONS)}",
        space.shares_weights,
    )


def _check_layer(layer: object, where: str) -> None:
    """Go on where every field of a layer can be: choices of a dimension, or one value."""
    for key, value in vars(layer).items():
        if isinstance(value, list):
            check_choices(key, value, f"{where}: {key}")
        elif key in _VALUES:
            what, good = _VALUES[key]
            require(good(value), f"{where}: {key}", what, value)
