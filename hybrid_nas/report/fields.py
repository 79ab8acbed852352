"""Reading documents that may lack parts: strict about shape, forgiving about values.

A run that is cut short, or written by another version, lacks values; the report shows a dash there.
A list where an object belongs means another document altogether: that is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from hybrid_nas.errors import InputError

_LARGEST = 1e30


class Fields:
    """One object of a document, and where it stands there for messages.

    >>> base = Fields({"macs": 12, "accuracy": None}, "pareto.json: pairs[0].base")
    >>> base.integer("macs"), base.number("accuracy"), base.text("space")
    (12, None, '')
    """

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, Mapping):
            raise _unexpected(where, "an object", value)
        self.values: Mapping[str, Any] = {str(key): item for key, item in value.items()}
        self.where = where

    def number(self, key: str) -> float | None:
        """A finite number, or None where there is none."""
        return finite(self.values.get(key))

    def integer(self, key: str) -> int | None:
        """A number without its fraction, or None where there is none."""
        value = self.number(key)
        return None if value is None else int(value)

    def text(self, key: str, default: str = "") -> str:
        """A text; numbers become text, and None becomes `default`."""
        value = self.values.get(key)
        return default if value is None else str(value)

    def fields(self, key: str) -> Fields:
        """The object under `key`, empty where there is none. Raises `InputError` if it is none."""
        value = self.values.get(key)
        return Fields({} if value is None else value, self._at(key))

    def items(self, key: str) -> list[Any]:
        """The list under `key`, empty where there is none. Raises `InputError` for a non-list."""
        value = self.values.get(key)
        if value is None:
            return []
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise _unexpected(self._at(key), "a list", value)
        return list(value)

    def numbers(self, key: str) -> dict[str, float]:
        """The finite numbers of the object under `key`, by name."""
        found = {name: finite(value) for name, value in self.fields(key).values.items()}
        return {name: value for name, value in found.items() if value is not None}

    def _at(self, key: str) -> str:
        return f"{self.where}{'.' if ': ' in self.where else ': '}{key}"


def finite(value: object) -> float | None:
    """`value` as a float, or None if it is no number or one that nothing measured can have."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if abs(number) <= _LARGEST else None  # NaN compares false


def read_json(path: Path, schema: str | None = None) -> Fields:
    """The object in a JSON file, whose ``schema`` must be `schema` unless that is None.

    Raises:
        InputError: the file cannot be read, is not JSON, or is another document.
    """
    try:
        document = json.loads(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error}); write the run again") from error
    fields = Fields(document, str(path))
    found = fields.values.get("schema")
    if schema is not None and found != schema:
        raise InputError(
            f"{path} has schema {str(found)[:80]!r}, "
            f"but this version of hybrid-nas reads {schema!r}"
        )
    return fields


def read_yaml(path: Path) -> Fields:
    """The object in a YAML file. Raises `InputError` as `read_json` does."""
    try:
        document = yaml.safe_load(_read_text(path))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not YAML ({error}); write the run again") from error
    return Fields({} if document is None else document, str(path))


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8: write the run again") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _unexpected(where: str, expected: str, got: object) -> InputError:
    return InputError(f"{where} must be {expected} (got {type(got).__name__} {str(got)[:60]!r})")
