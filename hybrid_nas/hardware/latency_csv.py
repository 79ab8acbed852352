"""Measurements of single operators in a CSV file: columns found by their headers, units converted.

    op,h,w,cin,cout,kernel,stride,padding,activation,bias,dtype,residual,value,spread,count,unit

``op``, ``h``, ``w``, ``cin``, ``cout`` and ``value`` must be there, in any order; a column named
after a unit (``ms``, ``us``, ``cycles``, ``instructions``) is a ``value`` in that unit.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.latency_rows import COLUMNS, row_of
from hybrid_nas.hardware.latency_table import UNITS, Identity, Measurement
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.text_files import read_text

_REQUIRED = ("op", "h", "w", "cin", "cout", "value")
_INTEGERS = ("h", "w", "cin", "cout", "kernel", "stride", "padding", "residual", "count")
_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_WITH_BIAS, _TWO_OPERANDS = ("conv", "dwconv", "dense"), ("add", "mul")


def read_measurements(path: Path, identity: Identity) -> list[tuple[OpSpec, Measurement]]:
    """The rows of a CSV file, operators without wiring, values in the unit of `identity`.

    Left out, ``kernel`` and ``stride`` are 1, ``padding`` is half the kernel, ``activation`` none,
    ``dtype`` int8, ``spread`` 0, ``count`` 1, ``unit`` that of `identity`; convolutions and dense
    layers have a bias, ``add`` and ``mul`` a second operand.

    Raises:
        InputError: the file cannot be read, a column is missing, a value is wrong (the message says
            which line), or a unit cannot be converted.
    """
    numbered = enumerate(read_text(path).splitlines(), 1)
    lines = [(n, line) for n, line in numbered if line.strip()]
    if not lines:
        raise InputError(f"{path} is empty: expected a header and rows")
    delimiter = max(",;\t", key=lines[0][1].count)
    header = _header(_cells(lines[0][1], delimiter), path)
    rows = []
    for number, line in lines[1:]:
        where, cells = f"{path}: line {number}", _cells(line, delimiter)
        if len(cells) != len(header):
            raise InputError(f"{where} must have {len(header)} values (got {len(cells)})")
        rows.append(_row(dict(zip(header, cells, strict=True)), identity, where))
    return rows


def _cells(line: str, delimiter: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]


def _header(cells: list[str], path: Path) -> list[str]:
    names = [cell.lower() for cell in cells]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: column {name!r} is there twice")
    units = [name for name in names if name in UNITS]
    missing = [name for name in _REQUIRED if name not in names]
    if missing == ["value"] and len(units) == 1:
        return names
    if missing or units:
        raise InputError(
            f"{path} must have the columns {', '.join(_REQUIRED)}, or one of {', '.join(UNITS)} "
            f"instead of value (got {', '.join(names)})"
        )
    return names


def _row(cells: Mapping[str, str], identity: Identity, where: str) -> tuple[OpSpec, Measurement]:
    given = {key: cells[key] for key in COLUMNS if cells.get(key)}
    unit = cells.get("unit") or identity.unit
    for name in UNITS:
        if name in cells:
            given["value"], unit = cells[name], name
    values = _defaults(given) | {key: _parsed(key, text) for key, text in given.items()}
    op, measurement = row_of({key: values.get(key) for key in COLUMNS}, where)
    factor = _factor(unit, identity, where)
    value, spread = measurement.value * factor, measurement.spread * factor
    return op, Measurement(value, spread, measurement.count)


def _defaults(given: Mapping[str, str]) -> dict[str, Any]:
    op, kernel = given.get("op"), _parsed("kernel", given.get("kernel", "1"))
    return {
        "kernel": 1,
        "stride": 1,
        "padding": kernel // 2 if isinstance(kernel, int) else 0,
        "activation": "none",
        "bias": op in _WITH_BIAS,
        "dtype": "int8",
        "residual": int(op in _TWO_OPERANDS),
        "spread": 0.0,
        "count": 1,
    }


def _parsed(key: str, text: str) -> object:
    """What a cell stands for, or the text itself, for `row_of` to complain about."""
    try:
        if key in _INTEGERS:
            return int(text)
        if key in ("value", "spread"):
            return float(text)
    except ValueError:
        return text
    return _TRUTH.get(text.lower(), text) if key == "bias" else text


def _factor(unit: str, identity: Identity, where: str) -> float:
    """What one `unit` is in the unit of `identity`."""
    if unit not in UNITS:
        raise InputError(f"{where}: unit must be one of {', '.join(UNITS)} (got {unit!r})")
    if unit == identity.unit:
        return 1.0
    if "instructions" in (unit, identity.unit):
        raise InputError(
            f"{where}: {unit} cannot be compared with a table in {identity.unit}: "
            "an instruction count is no time; give values in the table's unit"
        )
    ms = {"ms": 1.0, "us": 1e-3}.get(unit, 1e3 / identity.clock_hz)
    return ms / identity.unit_ms
