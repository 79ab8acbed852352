"""Reading YAML documents that say which schema they follow; by safe loading only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from hybrid_nas.errors import InputError

# The C loader is safe too, and an order of magnitude faster on long tables.
_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def file_yaml(path: Path, schema: str) -> dict[str, Any]:
    """A YAML file, with its schema checked.

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
    """The mapping in `text`, which must say ``schema: <schema>``; `name` is for messages."""
    loader = _SafeLoader(text)
    try:
        document = loader.get_single_data()
    except yaml.YAMLError as error:
        raise InputError(f"{name} is not valid YAML: {' '.join(str(error).split())}") from error
    finally:
        loader.dispose()
    if not isinstance(document, dict) or document.get("schema") != schema:
        found = document.get("schema") if isinstance(document, dict) else None
        raise InputError(f"{name} must be a mapping with 'schema: {schema}' (got {found!r})")
    return document
