"""Our own formats: CSV and JSON with the columns of a latency table's rows.

docs/import.md describes both. The CSV is the one that ``latency check`` reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.latency_csv import read_measurements
from hybrid_nas.hardware.latency_rows import COLUMNS, row_of
from hybrid_nas.hardware.latency_table import UNITS, Identity, Measurement
from hybrid_nas.profiling.imports.log import Facts, Log, Row, Source, Unit
from hybrid_nas.spaces.opspec import OpSpec

SCHEMA = "hybrid-nas/measurements/1"
_IDENTITY = ("board", "core", "clock_hz", "runtime", "runtime_version", "kernels", "placement")
_UNIT: dict[str, Unit] = {
    "ms": "ms",
    "us": "us",
    "cycles": "cycles",
    "instructions": "instructions",
}
_WITH_BIAS, _TWO_OPERANDS = ("conv", "dwconv", "dense"), ("add", "mul")


def is_csv(text: str) -> bool:
    """Whether the first line has the columns that our CSV must have."""
    first = next((line for line in text.splitlines() if line.strip()), "").lower()
    return {"op", "h", "w", "cin", "cout"} <= set(_cells(first))


def is_json(document: object) -> bool:
    """Whether a JSON document says that it is ours."""
    return isinstance(document, dict) and document.get("schema") == SCHEMA


def read_csv(source: Source) -> Log:
    """Rows of the CSV, in its own unit if it has one unit, else in ms.

    Raises:
        InputError: a column is missing, a value is wrong, or a unit cannot be converted.
    """
    units = _units_of(source)
    unit = units.pop() if len(units) == 1 else "ms"
    if "cycles" in units and source.clock_hz is None:
        raise InputError(f"{source.name} mixes cycles with other units: give --clock-hz")
    # The reader converts into the unit of a table; only unit and clock of this one matter.
    table = Identity("", "", source.clock_hz or 1, "", "", unit=unit)
    found = read_measurements(source.path, table)
    lines = [n for n, line in enumerate(source.text.splitlines(), 1) if line.strip()][1:]
    if len(lines) != len(found):
        lines = list(range(2, len(found) + 2))
    rows = tuple(
        _row(line, op, measurement, unit)
        for line, (op, measurement) in zip(lines, found, strict=True)
    )
    return Log("csv", rows, complete=True)


def read_json(source: Source) -> Log:
    """Rows and identity of the JSON document.

    Raises:
        InputError: something in it is wrong; the message names the row.
    """
    document = json.loads(source.text)
    listed, unit = document.get("rows"), document.get("unit", "ms")
    if not isinstance(listed, list) or unit not in UNITS:
        raise InputError(
            f"{source.name} must have 'rows', a list, and 'unit', one of {', '.join(UNITS)} "
            f"(got {type(listed).__name__} and {unit!r})"
        )
    rows = []
    for number, values in enumerate(listed, 1):
        where = f"{source.name}: row {number}"
        if not isinstance(values, dict) or not set(values) <= set(COLUMNS):
            raise InputError(f"{where} must have keys among {', '.join(COLUMNS)}")
        op, measurement = row_of(_defaults(values) | values, where)
        rows.append(_row(number, op, measurement, unit))
    facts = _facts(document.get("identity", {}), source)
    return Log("json", tuple(rows), facts, complete=True)


def _defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    op, kernel = values.get("op"), values.get("kernel", 1)
    given: dict[str, Any] = dict.fromkeys(COLUMNS)
    return given | {
        "kernel": 1,
        "stride": 1,
        "padding": kernel // 2 if type(kernel) is int else 0,
        "activation": "none",
        "bias": op in _WITH_BIAS,
        "dtype": "int8",
        "residual": int(op in _TWO_OPERANDS),
        "spread": 0.0,
        "count": 1,
    }


def _facts(identity: object, source: Source) -> Facts:
    if not isinstance(identity, dict) or not set(identity) <= {*_IDENTITY, "cache"}:
        raise InputError(
            f"{source.name}: identity must have keys among {', '.join((*_IDENTITY, 'cache'))}"
        )
    clock = identity.get("clock_hz")
    if clock is not None and (type(clock) is not int or clock < 1):
        raise InputError(f"{source.name}: identity: clock_hz must be above 0 (got {clock!r})")
    words = {key: str(identity.get(key, "")) for key in (*_IDENTITY, "cache")}
    return Facts(
        boards=(words["board"],) if words["board"] else (),
        core=words["core"],
        clock_hz=clock,
        runtime=words["runtime"],
        runtime_version=words["runtime_version"],
        kernels=words["kernels"],
        cache=words["cache"],
        placement=words["placement"],
    )


def _row(line: int, op: OpSpec, measurement: Measurement, unit: Unit) -> Row:
    return Row(
        line=line,
        word=op.op,
        values=(measurement.value,),
        unit=unit,
        kinds=frozenset((op.op,)),
        role="op",
        spec=op,
        spread=measurement.spread,
        count=measurement.count,
    )


def _units_of(source: Source) -> set[Unit]:
    """The units that the file states: in a column's name, or row by row."""
    lines = [line for line in source.text.lower().splitlines() if line.strip()]
    split = [_cells(line) for line in lines]
    named = {known for name in split[0] if (known := _UNIT.get(name))}
    if named or "unit" not in split[0]:
        return named or {"ms"}
    at = split[0].index("unit")
    return {_UNIT.get(cells[at], "ms") for cells in split[1:] if len(cells) > at} or {"ms"}


def _cells(line: str) -> list[str]:
    return [cell.strip(' "') for cell in line.replace(";", ",").replace("\t", ",").split(",")]
