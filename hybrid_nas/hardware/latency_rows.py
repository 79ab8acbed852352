"""Rows of latency tables: how an operator and its measurement are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.latency_table import Measurement
from hybrid_nas.spaces.opspec import (
    ACTIVATIONS,
    MOST,
    OP_KINDS,
    OpSpec,
    contradiction,
    too_large,
)
from hybrid_nas.yaml_fields import is_number

COLUMNS = (
    *("op", "h", "w", "cin", "cout", "kernel", "stride", "padding", "activation"),
    *("bias", "dtype", "residual", "value", "spread", "count"),
)

_LEAST = {"h": 1, "w": 1, "cin": 1, "cout": 1, "stride": 1, "count": 1}
_LEAST |= {"kernel": 0, "padding": 0, "residual": 0}
_MOST = dict.fromkeys(("h", "w", "cin", "cout"), MOST) | dict.fromkeys(
    ("kernel", "stride", "padding"), 1 << 10
)
_ONE_OF: Mapping[str, tuple[object, ...]] = {
    "op": OP_KINDS,
    "activation": ACTIVATIONS,
    "dtype": ("int8", "float32"),
    "bias": (False, True),
}


def row_of(values: Mapping[str, Any], where: str) -> tuple[OpSpec, Measurement]:
    """The operator (without wiring) and the measurement that the values of `COLUMNS` stand for.

    Raises:
        InputError: a value is of another type or out of range; the message begins with `where`.
    """
    values = dict(values)
    for key, allowed in _ONE_OF.items():
        if values[key] not in allowed or type(values[key]) is not type(allowed[0]):
            wanted = ", ".join(map(str, allowed))
            raise InputError(f"{where}: {key} must be one of {wanted} (got {values[key]!r})")
    for key, least in _LEAST.items():
        if type(values[key]) is not int or values[key] < least:
            raise InputError(
                f"{where}: {key} must be an integer, {least} or more (got {values[key]!r})"
            )
        if values[key] > _MOST.get(key, values[key]):
            raise InputError(f"{where}: {key} must be at most {_MOST[key]} (got {values[key]})")
    if not is_number(values["value"]) or values["value"] <= 0:
        raise InputError(f"{where}: value must be above 0 (got {values['value']!r})")
    if not is_number(values["spread"]) or values["spread"] < 0:
        raise InputError(f"{where}: spread must be 0 or more (got {values['spread']!r})")
    measurement = Measurement(*(values.pop(key) for key in ("value", "spread", "count")))
    op = OpSpec(**values)
    wrong = contradiction(op) or too_large(op)
    if wrong:
        raise InputError(f"{where}: there is no such operator: {wrong}")
    return op.shape, measurement


def row_text(op: OpSpec, row: Measurement) -> str:
    """The row as a line of YAML."""
    shape = (op.op, op.h, op.w, op.cin, op.cout, op.kernel, op.stride, op.padding, op.activation)
    rest = (str(op.bias).lower(), op.dtype, op.residual, _number(row.value), _number(row.spread))
    return f"  - [{', '.join(map(str, (*shape, *rest, row.count)))}]\n"


def _number(value: float) -> str:
    """Shortest text that reads back as the same float: YAML 1.1 wants a point and an exponent."""
    text = repr(float(value))
    return text.replace("e", ".0e") if "e" in text and "." not in text else text
