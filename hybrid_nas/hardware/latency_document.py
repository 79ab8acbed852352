"""The latency table format, ``hybrid-nas/latency-table/1``: YAML with one line per operator.

docs/latency-table.md describes every key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any, cast, get_args

import yaml

from hybrid_nas.errors import InputError
from hybrid_nas.hardware import data_files
from hybrid_nas.hardware.latency_rows import COLUMNS, row_of, row_text
from hybrid_nas.hardware.latency_table import (
    TERMS,
    UNITS,
    Correction,
    Energy,
    HeldOut,
    Identity,
    LatencyKind,
    LatencyTable,
    Measurement,
    Validation,
)
from hybrid_nas.hardware.op_arrays import OP_CLASSES
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.yaml_fields import dataclass_of, is_number, require

SCHEMA = "hybrid-nas/latency-table/1"


def parse_table(document: Mapping[str, Any], name: str) -> LatencyTable:
    """The table that a parsed YAML document describes; `name` names it in errors."""
    kind = _kind(document.get("kind"), name)
    rows = _rows(document.get("rows") or [], document.get("columns"), name)
    model = _model(document.get("model") or {}, name)
    if not rows and not model:
        raise InputError(f"{name} has neither rows nor a model: nothing to predict from")
    if kind != "predicted" and not rows:
        raise InputError(f"{name} has no rows, so its kind must be predicted (got {kind!r})")
    origin = document.get("scaled_from")
    return LatencyTable(
        identity=_identity(data_files.field(document, "identity", dict, name), f"{name}: identity"),
        kind=kind,
        source=data_files.field(document, "source", str, name),
        rows=rows,
        model=model,
        correction=_correction(document.get("correction") or {}, f"{name}: correction"),
        validation=_optional(Validation, document, "validation", name),
        name=name,
        held_out=_held_out(document.get("held_out") or {}, f"{name}: held_out"),
        energy=_energy(document, name),
        scaled_from=None if origin is None else _identity(origin, f"{name}: scaled_from"),
    )


def _kind(value: object, name: str) -> LatencyKind:
    for kind in get_args(LatencyKind):
        if value == kind:
            return cast(LatencyKind, kind)
    raise InputError(
        f"{name}: 'kind' must be one of {', '.join(get_args(LatencyKind))} (got {value!r})"
    )


def _optional(cls: type[Any], document: Mapping[str, Any], key: str, name: str) -> Any:
    values = document.get(key)
    return None if values is None else dataclass_of(cls, values, f"{name}: {key}")


def _correction(values: object, where: str) -> Correction:
    correction = dataclass_of(Correction, values, where)
    require(correction.scale > 0, f"{where}: scale", "above 0", correction.scale)
    require(correction.per_op_ms >= 0, f"{where}: per_op_ms", "0 or more", correction.per_op_ms)
    return correction


def _held_out(values: object, where: str) -> Mapping[str, HeldOut]:
    if not isinstance(values, dict) or any(key not in OP_CLASSES for key in values):
        raise InputError(
            f"{where} must map some of {', '.join(OP_CLASSES)} to errors (got {values!r})"
        )
    return MappingProxyType(
        {key: dataclass_of(HeldOut, value, f"{where}: {key}") for key, value in values.items()}
    )


def _energy(document: Mapping[str, Any], name: str) -> Energy | None:
    energy: Energy | None = _optional(Energy, document, "energy", name)
    if energy is not None and energy.power_mw <= 0:
        raise InputError(f"{name}: energy: power_mw must be above 0 (got {energy.power_mw!r})")
    return energy


def _identity(values: object, where: str) -> Identity:
    identity = dataclass_of(Identity, values, where)
    if identity.clock_hz <= 0:
        raise InputError(f"{where}: clock_hz must be above 0 (got {identity.clock_hz})")
    if identity.unit not in UNITS:
        raise InputError(f"{where}: unit must be one of {', '.join(UNITS)} (got {identity.unit!r})")
    return identity


def _model(values: object, name: str) -> Mapping[str, float]:
    if not isinstance(values, dict) or any(key not in TERMS for key in values):
        raise InputError(
            f"{name}: 'model' must map some of {', '.join(TERMS)} to ms (got {values!r})"
        )
    for key, value in values.items():
        if not is_number(value) or value < 0:
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


def _row(line: object, where: str) -> tuple[OpSpec, Measurement]:
    if not isinstance(line, list) or len(line) != len(COLUMNS):
        raise InputError(f"{where} must have {len(COLUMNS)} entries (got {line!r})")
    return row_of(dict(zip(COLUMNS, line, strict=True)), where)


def table_text(table: LatencyTable) -> str:
    """`table` as YAML, one line per operator."""
    head: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": table.kind,
        "source": table.source,
        "identity": asdict(table.identity),
        "correction": asdict(table.correction),
    }
    for key in ("scaled_from", "validation", "energy"):
        part = getattr(table, key)
        if part is not None:
            head[key] = {name: value for name, value in asdict(part).items() if value is not None}
    if table.held_out:
        head["held_out"] = {key: asdict(error) for key, error in table.held_out.items()}
    if table.model:
        head["model"] = dict(table.model)
    text: str = yaml.safe_dump(head, sort_keys=False, width=100, allow_unicode=True)
    if table.rows:
        text += f"columns: [{', '.join(COLUMNS)}]\nrows:\n"
        text += "".join(row_text(op, row) for op, row in table.rows.items())
    return text
