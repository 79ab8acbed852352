"""What a mapping of the user's YAML holds: its keys and types, as a dataclass spells them out."""

from __future__ import annotations

import sys
from dataclasses import MISSING, fields
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from hybrid_nas.errors import InputError

T = TypeVar("T")
_LARGEST = sys.float_info.max


def dataclass_of(cls: type[T], values: object, where: str) -> T:
    """The dataclass that a parsed mapping stands for; `where` begins the message.

    Integers are no truth values, and floats are finite numbers. Of ``list[X]`` and ``dict[X, Y]``
    only the outside is checked.

    Raises:
        InputError: no mapping, a key that is missing or unknown, a value of another type.
    """
    if not isinstance(values, dict):
        raise InputError(f"{where} must be a mapping (got {values!r})")
    known = {one.name: one for one in fields(cls)}  # type: ignore[arg-type]
    missing = [
        name
        for name, one in known.items()
        if name not in values and one.default is MISSING and one.default_factory is MISSING
    ]
    unknown = [str(key) for key in values if key not in known]
    if missing or unknown:
        wrong = {"missing": missing, "unknown": unknown}
        found = "; ".join(f"{what}: {', '.join(keys)}" for what, keys in wrong.items() if keys)
        raise InputError(f"{where} must have the keys {', '.join(known)} ({found})")
    hints = get_type_hints(cls)
    for key, value in values.items():
        kinds = _kinds(hints[key])
        if not any(_is_of(value, kind) for kind in kinds):
            raise InputError(
                f"{where}: {key!r} must be of type {kinds[0].__name__} (got {value!r})"
            )
    return cls(**values)


def require(good: bool, where: str, what: str, value: object) -> None:
    """Go on where `good`.

    Raises:
        InputError: it is not; `where` and `what` say what must be.
    """
    if not good:
        raise InputError(f"{where} must be {what} (got {value!r})")


def is_number(value: object) -> bool:
    """Whether a parsed value is a finite number, and not a truth value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= _LARGEST  # false for NaN as well


def _kinds(hint: Any) -> list[type]:
    """The types that a field's annotation allows: itself, or the parts of ``X | None``."""
    options = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    return [get_origin(option) or option for option in options]


def _is_of(value: object, kind: type) -> bool:
    return is_number(value) if kind is float else type(value) is kind
