"""Latency tables as files, and the ones that come with the program.

The format is YAML, ``hybrid-nas/latency-table/1``, with one line per operator; docs/hardware.md
describes every key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast, get_args, get_type_hints

import yaml

from hybrid_nas.errors import InputError
from hybrid_nas.files import atomic_write
from hybrid_nas.hardware import data_files
from hybrid_nas.hardware.latency_table import (
    TERMS,
    UNITS,
    Correction,
    Identity,
    LatencyKind,
    LatencyTable,
    Measurement,
    Validation,
)
from hybrid_nas.resources import latency_table_dir
from hybrid_nas.spaces.opspec import ACTIVATIONS, OP_KINDS, OpSpec
from hybrid_nas.yaml_documents import file_yaml

SCHEMA = "hybrid-nas/latency-table/1"
COLUMNS = (
    *("op", "h", "w", "cin", "cout", "kernel", "stride", "padding", "activation"),
    *("bias", "dtype", "residual", "value", "spread", "count"),
)


def shipped_tables() -> tuple[LatencyTable, ...]:
    """The tables that come with the program, in alphabetical order of their files."""
    return _load_all(latency_table_dir())


@cache
def _load_all(folder: Path) -> tuple[LatencyTable, ...]:
    return tuple(load_table(path) for path in sorted(folder.glob("*.yaml")))


def find_table(board: str, runtime: str) -> LatencyTable | None:
    """The shipped table of a board and a runtime; a measured one first, then an emulated one."""
    order = get_args(LatencyKind)
    found = [
        table
        for table in shipped_tables()
        if (table.identity.board, table.identity.runtime) == (board, runtime)
    ]
    return min(found, key=lambda table: order.index(table.kind), default=None)


def table_for(board: str, runtime: str, path: Path | None = None) -> LatencyTable | None:
    """The user's table if a path is given, else the shipped one, else None.

    Raises:
        InputError: the file cannot be read, or is for another board or runtime.
    """
    return find_table(board, runtime) if path is None else load_table(path).require(board, runtime)


# -- files


def load_table(path: Path) -> LatencyTable:
    """The table in a YAML file.

    Raises:
        InputError: it cannot be read, or something in it is wrong; the message names the row.
    """
    return parse_table(file_yaml(path, SCHEMA), path.stem)


def save_table(table: LatencyTable, path: Path, comment: str = "") -> None:
    """Write `table` to `path`, with `comment` in front."""
    atomic_write(path, "".join(f"# {line}\n" for line in comment.splitlines()) + table_text(table))


def parse_table(document: Mapping[str, Any], name: str) -> LatencyTable:
    """The table that a parsed YAML document describes; `name` names it in errors."""
    kind = _kind(document.get("kind"), name)
    rows = _rows(document.get("rows") or [], document.get("columns"), name)
    model = _model(document.get("model") or {}, name)
    if not rows and not model:
        raise InputError(f"{name} has neither rows nor a model: nothing to predict from")
    if kind != "predicted" and not rows:
        raise InputError(f"{name} has no rows, so its kind must be predicted (got {kind!r})")
    validation = document.get("validation")
    return LatencyTable(
        identity=_identity(data_files.field(document, "identity", dict, name), name),
        kind=kind,
        source=data_files.field(document, "source", str, name),
        rows=rows,
        model=model,
        correction=_dataclass(Correction, document.get("correction") or {}, f"{name}: correction"),
        validation=None
        if validation is None
        else _dataclass(Validation, validation, f"{name}: validation"),
        name=name,
    )


def _kind(value: object, name: str) -> LatencyKind:
    for kind in get_args(LatencyKind):
        if value == kind:
            return cast(LatencyKind, kind)
    raise InputError(
        f"{name}: 'kind' must be one of {', '.join(get_args(LatencyKind))} (got {value!r})"
    )


def _dataclass(cls: type[Any], values: object, where: str) -> Any:
    if not isinstance(values, dict):
        raise InputError(f"{where} must be a mapping (got {values!r})")
    try:
        made = cls(**values)
    except TypeError as error:
        keys = ", ".join(cls.__dataclass_fields__)
        raise InputError(f"{where} must have the keys {keys} (got {', '.join(values)})") from error
    for key, kind in get_type_hints(cls).items():
        value = getattr(made, key)
        good = _is_number(value) if kind is float else type(value) is kind
        if not good:
            raise InputError(f"{where}: {key!r} must be of type {kind.__name__} (got {value!r})")
    return made


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _identity(values: dict[str, Any], name: str) -> Identity:
    identity: Identity = _dataclass(Identity, values, f"{name}: identity")
    if identity.clock_hz <= 0:
        raise InputError(f"{name}: clock_hz must be above 0 (got {identity.clock_hz})")
    if identity.unit not in UNITS:
        raise InputError(f"{name}: unit must be one of {', '.join(UNITS)} (got {identity.unit!r})")
    return identity


def _model(values: object, name: str) -> Mapping[str, float]:
    if not isinstance(values, dict) or any(key not in TERMS for key in values):
        raise InputError(
            f"{name}: 'model' must map some of {', '.join(TERMS)} to ms (got {values!r})"
        )
    for key, value in values.items():
        if not _is_number(value) or value < 0:
            raise InputError(f"{name}: model term {key} must be 0 or more (got {value!r})")
    return MappingProxyType({key: float(value) for key, value in values.items()})


def _rows(lines: object, columns: object, name: str) -> Mapping[OpSpec, Measurement]:
    if not isinstance(lines, list):
        raise InputError(f"{name}: 'rows' must be a list (got {type(lines).__name__})")
    if lines and list(COLUMNS) != columns:
        raise InputError(f"{name}: 'columns' must be [{', '.join(COLUMNS)}] (got {columns!r})")
    rows: dict[OpSpec, Measurement] = {}
    for number, line in enumerate(lines, 1):
        op, measurement = _row(line, f"{name}: row {number}")
        if op in rows:
            raise InputError(f"{name}: row {number} repeats an operator: {op}")
        rows[op] = measurement
    return MappingProxyType(rows)


_LEAST = {"h": 1, "w": 1, "cin": 1, "cout": 1, "stride": 1, "count": 1}
_LEAST |= {"kernel": 0, "padding": 0, "residual": 0}
_ONE_OF: Mapping[str, tuple[object, ...]] = {
    "op": OP_KINDS,
    "activation": ACTIVATIONS,
    "dtype": ("int8", "float32"),
    "bias": (False, True),
}


def _row(line: object, where: str) -> tuple[OpSpec, Measurement]:
    if not isinstance(line, list) or len(line) != len(COLUMNS):
        raise InputError(f"{where} must have {len(COLUMNS)} entries (got {line!r})")
    values = dict(zip(COLUMNS, line, strict=True))
    for key, allowed in _ONE_OF.items():
        if values[key] not in allowed or type(values[key]) is not type(allowed[0]):
            wanted = ", ".join(map(str, allowed))
            raise InputError(f"{where}: {key} must be one of {wanted} (got {values[key]!r})")
    for key, least in _LEAST.items():
        if type(values[key]) is not int or values[key] < least:
            raise InputError(
                f"{where}: {key} must be an integer, {least} or more (got {values[key]!r})"
            )
    if not _is_number(values["value"]) or values["value"] <= 0:
        raise InputError(f"{where}: value must be above 0 (got {values['value']!r})")
    if not _is_number(values["spread"]) or values["spread"] < 0:
        raise InputError(f"{where}: spread must be 0 or more (got {values['spread']!r})")
    measurement = Measurement(*(values.pop(key) for key in ("value", "spread", "count")))
    return OpSpec(**values).shape, measurement


def table_text(table: LatencyTable) -> str:
    """`table` as YAML, one line per operator."""
    head: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": table.kind,
        "source": table.source,
        "identity": asdict(table.identity),
        "correction": asdict(table.correction),
    }
    if table.validation is not None:
        head["validation"] = asdict(table.validation)
    if table.model:
        head["model"] = dict(table.model)
    text: str = yaml.safe_dump(head, sort_keys=False, width=100, allow_unicode=True)
    if table.rows:
        text += f"columns: [{', '.join(COLUMNS)}]\nrows:\n"
        text += "".join(_row_text(op, row) for op, row in table.rows.items())
    return text


def _row_text(op: OpSpec, row: Measurement) -> str:
    shape = (op.op, op.h, op.w, op.cin, op.cout, op.kernel, op.stride, op.padding, op.activation)
    rest = (str(op.bias).lower(), op.dtype, op.residual, _number(row.value), _number(row.spread))
    return f"  - [{', '.join(map(str, (*shape, *rest, row.count)))}]\n"


def _number(value: float) -> str:
    """Shortest text that reads back as the same float: YAML 1.1 wants a point and an exponent."""
    text = repr(float(value))
    return text.replace("e", ".0e") if "e" in text and "." not in text else text


def table_fingerprint(table: LatencyTable) -> str:
    """Digest of everything in a table but its name."""
    return hashlib.sha256(table_text(table).encode()).hexdigest()
