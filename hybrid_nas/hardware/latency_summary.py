"""A latency table at a glance: its rows per class, its slowest rows, and its errors in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hybrid_nas.hardware.latency_errors import (
    REFUSE_ABOVE,
    WARN_ABOVE,
    held_out_errors,
    verdict,
)
from hybrid_nas.hardware.latency_table import HeldOut, LatencyTable
from hybrid_nas.hardware.op_arrays import OP_CLASSES, OpArrays
from hybrid_nas.spaces.opspec import OpSpec

_SLOWEST = 10


@dataclass(frozen=True)
class ClassSummary:
    """Rows of one class: number, fastest and slowest in the table's unit, error if known."""

    op_class: str
    rows: int
    least: float
    most: float
    held_out: HeldOut | None

    @property
    def verdict(self) -> str:
        """One word for the held-out error."""
        return "too few rows to say" if self.held_out is None else verdict(self.held_out.mean)


@dataclass(frozen=True)
class RowSummary:
    """One row, in the table's unit, and its share of the sum of all rows."""

    name: str
    value: float
    spread: float
    count: int
    share: float


@dataclass(frozen=True)
class TableSummary:
    """What `summarise` found."""

    table: LatencyTable
    classes: tuple[ClassSummary, ...]
    slowest: tuple[RowSummary, ...]

    def document(self) -> dict[str, Any]:
        """The summary as plain data."""
        table = self.table
        return {
            "table": table.name,
            "kind": table.kind,
            "source": table.source,
            "identity": asdict(table.identity),
            "scaled_from": _plain(table.scaled_from),
            "correction": asdict(table.correction),
            "model": dict(table.model),
            "rows": len(table.rows),
            "classes": {
                one.op_class: {
                    "rows": one.rows,
                    "least": one.least,
                    "most": one.most,
                    "held_out": _plain(one.held_out),
                    "verdict": None if one.held_out is None else one.verdict,
                }
                for one in self.classes
            },
            "validation": _plain(table.validation),
            "verdict": None if table.validation is None else verdict(table.validation.mean),
            "energy": _plain(table.energy),
            "slowest": [asdict(one) for one in self.slowest],
        }

    def facts(self) -> dict[str, str]:
        """What the table belongs to, in words, by what it is."""
        identity, correction = self.table.identity, self.table.correction
        facts = {
            "board": f"{identity.board} ({identity.core}, {identity.clock_hz / 1e6:g} MHz)",
            "runtime": f"{identity.runtime} {identity.runtime_version}",
            "kernels": identity.kernels,
            "placement": identity.placement,
            "cache": identity.cache,
            "unit": identity.unit,
        }
        if correction.scale != 1 or correction.per_op_ms:
            facts["whole network"] = (
                f"{correction.scale:.4g} x the sum of its operators + "
                f"{correction.per_op_ms:.4g} ms each"
            )
        origin = self.table.scaled_from
        if origin is not None:
            facts["scaled from"] = (
                f"{origin.unit} of {origin.runtime} {origin.runtime_version} on {origin.board}"
            )
        return facts

    def verdicts(self) -> list[str]:
        """What the whole-network error and the energy mean, one sentence each."""
        validation, energy = self.table.validation, self.table.energy
        if validation is None:
            lines = ["Whole networks: never compared; `hybrid-nas latency validate` measures some."]
        else:
            tau = validation.kendall_tau
            ranks = "" if tau is None else f", Kendall tau {tau:.2f}"
            lines = [
                f"Whole networks: {verdict(validation.mean)}, off by {validation.mean:.1%} on "
                f"average and {validation.worst:.1%} at worst{ranks} ({validation.networks} "
                f"networks; {validation.how})."
            ]
            if validation.mean > REFUSE_ABOVE:
                lines.append("That is too wrong for a hard latency limit.")
            elif validation.mean > WARN_ABOVE:
                lines.append("Leave a margin of that size below a latency limit.")
        if energy is not None:
            lines.append(
                f"Energy: latency x {energy.power_mw:g} mW, off by {energy.mean:.1%} on average "
                f"and {energy.worst:.1%} at worst ({energy.networks} networks; {energy.source})."
            )
        return lines


def summarise(table: LatencyTable) -> TableSummary:
    """Summary of a table; held-out errors that it does not have are worked out."""
    ops, rows = list(table.rows), list(table.rows.values())
    values = np.array([row.value for row in rows])
    held_out = table.held_out or held_out_errors(table)
    slowest = np.argsort(-values, kind="stable")[:_SLOWEST].tolist()
    return TableSummary(
        table,
        _by_class(OpArrays.of(ops), values, held_out),
        tuple(
            RowSummary(
                op_words(ops[number]),
                rows[number].value,
                rows[number].spread,
                rows[number].count,
                float(values[number] / values.sum()),
            )
            for number in slowest
        ),
    )


def _by_class(
    arrays: OpArrays, values: np.ndarray[Any, Any], held_out: Mapping[str, HeldOut]
) -> tuple[ClassSummary, ...]:
    found = []
    for name in OP_CLASSES:
        own = values[arrays.classes[name]]
        if len(own):
            least, most = float(own.min()), float(own.max())
            found.append(ClassSummary(name, len(own), least, most, held_out.get(name)))
    return tuple(found)


def op_words(op: OpSpec) -> str:
    """An operator's shape to read: ``conv 3x3/2 96x96x3 -> 48x48x16``."""
    window = "global" if op.kernel == 0 else f"{op.kernel}x{op.kernel}"
    kernel = f" {window}/{op.stride}" if op.op in ("conv", "dwconv", "avgpool", "maxpool") else ""
    return f"{op.op}{kernel} {op.h}x{op.w}x{op.cin} -> {op.out_h}x{op.out_w}x{op.cout}"


def _plain(part: Any) -> dict[str, Any] | None:
    return None if part is None else asdict(part)
