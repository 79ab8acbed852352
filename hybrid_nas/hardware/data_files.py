"""Reading the data files of this package, and the user's, with errors that name the wrong key."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.yaml_documents import parse_yaml


def package_yaml(name: str, schema: str) -> dict[str, Any]:
    """A YAML file beside this module, with its schema checked."""
    text = (files(__package__) / name).read_text(encoding="utf-8")
    return parse_yaml(text, name, schema)


def field(document: Mapping[str, Any], key: str, kind: type | tuple[type, ...], name: str) -> Any:
    """``document[key]`` if it is there and of that type."""
    value = document.get(key)
    kinds = kind if isinstance(kind, tuple) else (kind,)
    wrong_bool = isinstance(value, bool) and bool not in kinds
    if value is None or wrong_bool or not isinstance(value, kinds):
        wanted = " or ".join(one.__name__ for one in kinds)
        raise InputError(f"{name}: {key!r} must be of type {wanted} (got {value!r})")
    return value
