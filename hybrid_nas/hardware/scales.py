"""From instruction counts to time: what an instruction takes on a board under a runtime.

An emulator counts instructions; caches, wait states, dual issue and other people's kernels make a
time of them. A *scale* is that factor, fitted to published latencies of one board, one runtime and
one version of it, for the counts of one kernel build. `scaled` turns a table of those counts into a
table of the real board. `benchmarks/mlperf_scales.py` makes the scales; docs/scaling.md has their
errors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.data_files import package_yaml
from hybrid_nas.hardware.latency_table import (
    Correction,
    Energy,
    Identity,
    LatencyTable,
    Measurement,
    Validation,
)
from hybrid_nas.hardware.op_arrays import OP_CLASSES, OpArrays
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.typing import FloatArray

SCHEMA = "hybrid-nas/scales/1"
SCALES_FILE = "scales.yaml"
REST = "rest"
"""Key of `Scale.cycles` for all classes of operators that have no factor of their own."""


@dataclass(frozen=True)
class Scale:
    """What instructions take on one board under one version of one runtime.

    Attributes:
        board, core, clock_hz: the real board.
        runtime, runtime_version: whose latencies it was fitted to; another version, another scale.
        counts: what the instruction counts belong to, kernel build included.
        cycles: cycles per counted instruction, by class of operators; `REST` for all others.
        source: who measured the latencies.
        validation: the error on whole networks, each predicted by a scale fitted without it.
        energy: mean power, where it is published.
    """

    board: str
    core: str
    clock_hz: int
    runtime: str
    runtime_version: str
    counts: Identity
    cycles: Mapping[str, float]
    source: str
    validation: Validation
    energy: Energy | None = None

    @property
    def name(self) -> str:
        """Name of the table that it makes; it has the version in it, since there may be several."""
        version = re.sub(r"[^a-z0-9.]+", "-", self.runtime_version.lower()).strip("-")
        return f"{self.board}.{self.runtime}-{version}"

    def cycles_of(self, op_class: str) -> float:
        """Cycles per counted instruction of a class of operators."""
        return self.cycles.get(op_class, self.cycles[REST])


def shipped_scales() -> tuple[Scale, ...]:
    """The scales that come with the program, in the order of their file."""
    return _shipped()


@cache
def _shipped() -> tuple[Scale, ...]:
    return parse_scales(package_yaml(SCALES_FILE, SCHEMA))


def parse_scales(document: Mapping[str, Any]) -> tuple[Scale, ...]:
    """The scales in a document ``hybrid-nas/scales/1``.

    Raises:
        InputError: a factor is of no class of operators, or there is none for the rest.
    """
    counts = {name: Identity(**values) for name, values in document["counts"].items()}
    return tuple(_scale(entry, counts) for entry in document["scales"])


def _scale(entry: Mapping[str, Any], counts: Mapping[str, Identity]) -> Scale:
    values = dict(entry)
    values["counts"] = counts[values["counts"]]
    unknown = values["cycles"].keys() - {*OP_CLASSES, REST}
    if unknown or REST not in values["cycles"]:
        raise InputError(
            f"{SCALES_FILE}: {values['board']} {values['runtime']}: cycles must have {REST!r} and "
            f"may have {', '.join(OP_CLASSES)} (got {', '.join(values['cycles'])})"
        )
    values["cycles"] = MappingProxyType(dict(values["cycles"]))
    values["validation"] = Validation(**values["validation"])
    if "energy" in values:
        values["energy"] = Energy(**values["energy"])
    return Scale(**values)


def scales_document(scales: tuple[Scale, ...]) -> dict[str, Any]:
    """The scales as plain data, which `parse_scales` reads."""
    counts = {one.counts.board: asdict(one.counts) for one in scales}
    return {"schema": SCHEMA, "counts": counts, "scales": [_plain(one) for one in scales]}


def _plain(scale: Scale) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "board": scale.board,
        "core": scale.core,
        "clock_hz": scale.clock_hz,
        "runtime": scale.runtime,
        "runtime_version": scale.runtime_version,
        "counts": scale.counts.board,
        "cycles": dict(scale.cycles),
        "source": scale.source,
    }
    for key in ("validation", "energy"):
        part = getattr(scale, key)
        if part is not None:
            entry[key] = {name: value for name, value in asdict(part).items() if value is not None}
    return entry


def scaled(table: LatencyTable, scale: Scale) -> LatencyTable:
    """The table of the real board that a table of instruction counts and a scale make.

    Its unit is cycles of the board's clock. What a whole network takes beyond its operators is part
    of the scale, which was fitted to sums of operators, so nothing is left to correct.

    Raises:
        InputError: the scale was fitted to other counts, for example those of another kernel build.
    """
    for key, fitted in asdict(scale.counts).items():
        found = getattr(table.identity, key)
        if found != fitted:
            raise InputError(
                f"the scale of {scale.name} is for counts of {key} {fitted!r}, latency table "
                f"{table.name} has {found!r}: fit it again with benchmarks/mlperf_scales.py --write"
            )
    factors = cycles_per_instruction(scale, tuple(table.rows)).tolist()
    rows = {
        op: Measurement(row.value * factor, row.spread * factor, row.count)
        for (op, row), factor in zip(table.rows.items(), factors, strict=True)
    }
    return replace(
        table,
        identity=Identity(
            scale.board,
            scale.core,
            scale.clock_hz,
            scale.runtime,
            scale.runtime_version,
            unit="cycles",
        ),
        kind="emulated",
        source=(
            f"instruction counts of {scale.counts.board} x cycles per instruction fitted to "
            f"{scale.source}"
        ),
        rows=MappingProxyType(rows),
        correction=Correction(),
        validation=scale.validation,
        energy=scale.energy,
        scaled_from=table.identity,
        name=scale.name,
    )


def cycles_per_instruction(scale: Scale, ops: tuple[OpSpec, ...]) -> FloatArray:
    """Cycles per counted instruction of each operator, (n,)."""
    factors = np.full(len(ops), scale.cycles[REST])
    for op_class, mask in OpArrays.of(ops).classes.items():
        factors[mask] = scale.cycles_of(op_class)
    return factors
