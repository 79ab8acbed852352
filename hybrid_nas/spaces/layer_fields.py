"""Fields of a layer in the JSON of MCUNet and Once-for-All, each checked as it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from hybrid_nas.errors import InputError
from hybrid_nas.spaces.opspec import MOST, Activation

Shape = tuple[int, int, int]
Layer = Mapping[str, Any]


def positive(value: object, what: str) -> int:
    """`value` if it is an integer from 1 to `MOST`; `what` names it in the error."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{what} must be an integer above 0 (got {value!r})")
    if value > MOST:
        raise InputError(f"{what} must be at most {MOST} (got {value})")
    return value


def image_shape(value: object, what: str) -> Shape:
    """`value` as (height, width, channels)."""
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        raise InputError(f"{what} must be [height, width, channels] (got {value!r})")
    h, w, c = (positive(v, what) for v in value)
    return h, w, c


def channels(layer: Layer, key: str, where: str) -> int:
    """A number of channels; elastic layers list their choices, of which there may be one."""
    value = layer.get(key)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return positive(value, f"{key} of {where}")


def reads(layer: Layer, key: str, shape: Shape, where: str) -> int:
    """Input channels, which must be those of `shape`."""
    cin = channels(layer, key, where)
    if cin != shape[2]:
        raise InputError(f"{where} reads {cin} channels, but the layer before it has {shape[2]}")
    return cin


def kernel_size(layer: Layer, where: str, default: int = 3) -> int:
    """The side of a square window; odd."""
    value = layer.get("kernel_size", default)
    if isinstance(value, list) and len(set(map(str, value))) == 1:
        value = value[0]
    size = positive(value, f"kernel_size of {where}")
    if size % 2 == 0:
        raise InputError(f"kernel_size of {where} must be odd (got {size})")
    return size


def activation(layer: Layer, where: str, default: str | None = None) -> Activation:
    """``act_func``; null is ``none``."""
    value = layer.get("act_func", default)
    if value is None:
        return "none"
    for known in get_args(Activation):
        if value == known:
            return known  # type: ignore[no-any-return]
    raise InputError(
        f"act_func of {where} must be null or one of {', '.join(get_args(Activation))} "
        f"(got {value!r})"
    )


def expand_ratio(layer: Layer, where: str, default: float) -> float:
    """Inner channels over outer ones, above 0."""
    value = layer.get("expand_ratio", default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= MOST:
        raise InputError(f"expand_ratio of {where} must be a number above 0 (got {value!r})")
    return value


def flag(layer: Layer, key: str, where: str, *, default: bool) -> bool:
    """A truth value."""
    value = layer.get(key, default)
    if not isinstance(value, bool):
        raise InputError(f"{key} of {where} must be true or false (got {value!r})")
    return value


def only(layer: Layer, where: str, **allowed: tuple[object, ...]) -> None:
    """Refuse what an operator cannot express instead of dropping it."""
    for key, values in allowed.items():
        if key in layer and layer[key] not in values:
            raise InputError(
                f"{key} of {where} must be {values[0]!r} (got {layer[key]!r}): nothing else is "
                "supported"
            )
