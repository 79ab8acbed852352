"""Constants of a router for firmware/router/hnas_router.h: their C text and their bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from hybrid_nas.errors import InputError
from hybrid_nas.export.device_layers import laid_out_constants, laid_out_weights
from hybrid_nas.routing.signals import Block

if TYPE_CHECKING:
    from hybrid_nas.export.device_router import DeviceRouter

_STRUCT_BYTES = 32  # hnas_router, where pointers have 32 bits
_RATE_BYTES = 24  # hnas_rate_constants
_THRESHOLD_BYTES = 4
_LINE = 96

_SCORES = {
    "msp": "HNAS_MSP",
    "entropy": "HNAS_ENTROPY",
    "margin": "HNAS_MARGIN",
    "max-logit": "HNAS_MAX_LOGIT",
    "signed-gain": "HNAS_DIFFERENCE",
    "gain-regression": "HNAS_OUTPUT",
    "two-stage": "HNAS_OUTPUT",
    "soft-gain": "HNAS_OUTPUT",
    "oracle-label": "HNAS_PROBABILITY",
    "oracle-label-penalised": "HNAS_PROBABILITY",
}
_SIGNALS: dict[Block, str] = {
    "stats": "HNAS_READS_STATS",
    "class": "HNAS_READS_CLASS",
    "logits": "HNAS_READS_SCORES",
    "features": "HNAS_READS_FEATURES",
    "stage1": "HNAS_READS_STAGE",
    "stage2": "HNAS_READS_STAGE",
}


def flash_bytes(router: DeviceRouter) -> int:
    """Bytes of `to_c`'s constants on a 32-bit device, and of the threshold they are used with.

    int8 weights are counted in multiples of 4, as the arrays after them are aligned.
    """
    total = _STRUCT_BYTES + _THRESHOLD_BYTES + (_RATE_BYTES if router.controller else 0)
    if router.first is not None:
        total += _rounded(laid_out_weights(router.first).nbytes)
        total += laid_out_constants(router.first, router.last).nbytes
    return total


def scratch_bytes(router: DeviceRouter) -> int:
    """What hnas_router_scratch returns: sums of the stage's channels, statistics, hidden units."""
    hidden = 0 if router.last is None else router.last.weights.shape[1]
    sums = router.reading.width if router.design.cut else 0
    return 4 * (sums + _n_stats(router) + hidden)


def sram_bytes(router: DeviceRouter) -> int:
    """Scratch, and the int8 scores and features that must still be there when it runs.

    The tensor that an early router reads is not counted: the base's plan holds it anyway.
    """
    if router.design.cut:
        return scratch_bytes(router)
    read = _rounded(router.reading.classes) + _rounded(router.reading.width)
    return scratch_bytes(router) + read


def to_c(router: DeviceRouter, name: str) -> str:
    """C text that defines ``const hnas_router NAME`` and what it points to.

    With a controller, also ``const hnas_rate_constants NAME_rate``. Thresholds are not part of it:
    `c_float` writes one. The text needs hnas_router.h and <stddef.h>; all numbers are exact.

    Raises:
        InputError: the name is no C identifier.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise InputError(f"{name!r} is no C identifier: expected letters, digits and underscores")
    weights = constants = "NULL"
    parts = []
    if router.first is not None:
        weights, constants = f"{name}_weights", f"{name}_constants"
        values = [str(v) for v in laid_out_weights(router.first).tolist()]
        if values:
            parts.append(_array("int8_t", weights, values))
        else:
            weights = "NULL"
        floats = laid_out_constants(router.first, router.last)
        parts.append(_array("float", constants, [c_float(v) for v in floats.tolist()]))
    reading = router.reading
    read = [_SIGNALS[block] for block in router.design.blocks]
    fields = {
        "score": _SCORES[router.method],
        "signals": " | ".join(read) or "0",
        "hidden": 0 if router.last is None else router.last.weights.shape[1],
        "classes": reading.classes,
        "width": reading.width,
        "pixels": reading.pixels,
        "zero": reading.scores.zero,
        "scale": c_float(reading.scores.scale),
        "weights": weights,
        "constants": constants,
    }
    parts.append(_struct("hnas_router", name, fields))
    if router.controller is not None:
        parts.append(_struct("hnas_rate_constants", f"{name}_rate", asdict(router.controller)))
    return "\n".join(parts)


def c_float(value: float) -> str:
    """A float32 number as a C99 constant, exactly.

    >>> c_float(0.15625), c_float(-3.0)
    ('0x1.4p-3f', '-0x1.8p+1f')
    """
    mantissa, exponent = float(value).hex().split("p")
    digits = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{digits}p{exponent}f"


def _n_stats(router: DeviceRouter) -> int:
    return 0 if router.first is None else router.first.stats.shape[1]


def _rounded(n_bytes: int) -> int:
    return (n_bytes + 3) // 4 * 4


def _array(kind: str, name: str, values: Sequence[str]) -> str:
    lines, line = [], ""
    for value in values:
        if len(line) + len(value) + 2 > _LINE:
            lines.append(line)
            line = ""
        line += f" {value},"
    body = "\n".join(f"   {each}" for each in [*lines, line])
    return f"static const {kind} {name}[{len(values)}] = {{\n{body}\n}};\n"


def _struct(kind: str, name: str, fields: dict[str, object]) -> str:
    body = "\n".join(f"    .{field} = {value}," for field, value in fields.items())
    return f"const {kind} {name} = {{\n{body}\n}};\n"
