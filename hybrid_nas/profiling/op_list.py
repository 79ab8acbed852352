"""The user's own list of operators to measure (``--ops``): CSV with a header, or JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.spaces.opspec import ACTIVATIONS, OP_KINDS, OpSpec, contradiction, too_large
from hybrid_nas.text_files import parse_json, read_text

_REQUIRED = ("op", "h", "w", "cin", "cout")
_LEAST = {"h": 1, "w": 1, "cin": 1, "cout": 1, "kernel": 0, "stride": 1, "padding": 0}
_ONE_OF = {"op": OP_KINDS, "activation": ACTIVATIONS, "dtype": ("int8", "float32")}
_KNOWN = tuple(field.name for field in fields(OpSpec) if field.name != "source")
_WITHOUT_BIAS = ("add", "mul", "avgpool", "maxpool")


def read_ops(path: Path) -> list[OpSpec]:
    """The operators in a file, distinct shapes in the order given.

    CSV columns, or the keys of each object in a JSON list, are those of a latency table's rows:
    ``op h w cin cout`` are needed, ``kernel stride padding activation dtype residual bias`` may be
    left out. Other columns are passed over, so a table of measurements can be given as it is.

    Raises:
        InputError: the file cannot be read or an entry is wrong; the message names its line.
    """
    text = read_text(path, "--ops needs a CSV or JSON list of operators")
    is_json = text.lstrip().startswith(("[", "{"))
    entries = _json_entries(text, path) if is_json else _csv_entries(text, path)
    ops = list(dict.fromkeys(_op(entry, where) for where, entry in entries))
    if not ops:
        raise InputError(f"{path} lists no operators")
    return ops


def _json_entries(text: str, path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    document = parse_json(text, str(path))
    entries = document.get("ops") if isinstance(document, dict) else document
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{path} must be a list of objects like {_example()}, or {{'ops': [...]}}")
    return [(f"{path}: entry {number}", entry) for number, entry in enumerate(entries, 1)]


def _csv_entries(text: str, path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    missing = [name for name in _REQUIRED if name not in (reader.fieldnames or ())]
    if missing:
        raise InputError(
            f"{path}: the header has no column {missing[0]}; a list of operators needs "
            f"{', '.join(_REQUIRED)}, and may have {', '.join(_KNOWN[len(_REQUIRED) :])}"
        )
    try:
        return [
            (f"{path}: line {reader.line_num}", {k: v for k, v in row.items() if k and v})
            for row in reader
        ]
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: {error}") from error


def _op(entry: Mapping[str, Any], where: str) -> OpSpec:
    values = {name: entry[name] for name in _KNOWN if name in entry}
    missing = [name for name in _REQUIRED if name not in values]
    if missing:
        raise InputError(f"{where} has no {missing[0]}: an operator is like {_example()}")
    kind = str(values["op"]).strip()
    values.setdefault("bias", kind not in _WITHOUT_BIAS)
    values.setdefault("residual", kind in ("add", "mul"))
    for name, allowed in _ONE_OF.items():
        value = str(values.get(name, allowed[0])).strip()
        if value not in allowed:
            raise InputError(f"{where}: {name} must be one of {', '.join(allowed)} (got {value!r})")
        if name in values:
            values[name] = value
    for name, least in _LEAST.items():
        if name in values:
            values[name] = _integer(values[name], least, f"{where}: {name}")
    values["bias"] = _truth(values["bias"], f"{where}: bias")
    values["residual"] = int(_truth(values["residual"], f"{where}: residual"))
    op = OpSpec(**values)
    wrong = contradiction(op) or too_large(op)
    if wrong:
        raise InputError(f"{where}: there is no such operator: {wrong}")
    return op


def _integer(value: object, least: int, where: str) -> int:
    try:
        number = int(str(value))
    except ValueError:
        number = least - 1
    if number < least:
        raise InputError(f"{where} must be an integer, {least} or more (got {value!r})")
    return number


def _truth(value: object, where: str) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    found = known.get(str(value).strip().lower())
    if found is None:
        raise InputError(f"{where} must be true or false (got {value!r})")
    return found


def _example() -> str:
    return '{"op": "conv", "h": 20, "w": 20, "cin": 48, "cout": 16}'
