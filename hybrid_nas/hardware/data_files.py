"""Reading the data files of this package, and the user's, with errors that name the wrong key."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from hybrid_nas.errors import InputError


def package_yaml(name: str, schema: str) -> dict[str, Any]:
    """A YAML file beside this module, with its schema checked."""
    text = (files(__package__) / name).read_text(encoding="utf-8")
    return parse_yaml(text, name, schema)


def file_yaml(path: Path, schema: str) -> dict[str, Any]:
    """A YAML file of the user's or of the program's data, with its schema checked.

    Raises:
        InputError: it cannot be read, is no YAML, or says another schema.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"no file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    return parse_yaml(text, str(path), schema)


def parse_yaml(text: str, name: str, schema: str) -> dict[str, Any]:
    """The mapping in `text`, which must say ``schema: <schema>``."""
    try:
        document = yaml.load(text, Loader=_FAST_SAFE_LOADER)
    except yaml.YAMLError as error:
        raise InputError(f"{name} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict) or document.get("schema") != schema:
        found = document.get("schema") if isinstance(document, dict) else None
        raise InputError(f"{name} must be a mapping with 'schema: {schema}' (got {found!r})")
    return document


def field(document: Mapping[str, Any], key: str, kind: type | tuple[type, ...], name: str) -> Any:
    """``document[key]`` if it is there and of that type."""
    value = document.get(key)
    kinds = kind if isinstance(kind, tuple) else (kind,)
    wrong_bool = isinstance(value, bool) and bool not in kinds
    if value is None or wrong_bool or not isinstance(value, kinds):
        wanted = " or ".join(one.__name__ for one in kinds)
        raise InputError(f"{name}: {key!r} must be of type {wanted} (got {value!r})")
    return value


# The C loader is safe too, and an order of magnitude faster on long tables.
_FAST_SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
