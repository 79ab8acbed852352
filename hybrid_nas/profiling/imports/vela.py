"""Vela's ``*_per-layer.csv`` for Ethos-U: cycles that the compiler estimates per operator.

    TFLite_operator,NNG Operator,SRAM Usage,Peak%,Op Cycles,Network%,NPU,...,Util%,Name

Operators with 0 cycles are fused into another one and left out. The figures are the compiler's
model of the accelerator, not measurements: the rows count as predicted.
"""

from __future__ import annotations

import csv

from hybrid_nas.profiling.imports.log import Facts, Log, Row, Source, number
from hybrid_nas.profiling.imports.words import tflite_word, vela_word

_ORIGINAL = ("tflite_operator", "original operator", "tosa_operator")
_INTERNAL = "nng operator"
_CYCLES = "op cycles"


def is_per_layer(text: str) -> bool:
    """Whether a text is Vela's table of layers."""
    return any(_columns(line) is not None for line in text.splitlines()[:20])


def read_per_layer(source: Source) -> Log:
    """One row per operator that takes cycles.

    Raises:
        InputError: a line has too few values, or its cycles are no number.
    """
    rows: list[Row] = []
    fused = 0
    columns: list[str] | None = None
    for line, text in enumerate(source.text.splitlines(), 1):
        found = _columns(text)
        if found is not None:
            columns = found  # one header per subgraph of the accelerator
            continue
        if columns is None or not text.strip() or text.lstrip().startswith("#"):
            continue
        cells = _cells(text)
        if len(cells) < len(columns):
            raise source.fail(line, f"expected {len(columns)} values (got {len(cells)})")
        row = _row(dict(zip(columns, cells, strict=False)), source, line)
        if row.values[0] > 0:
            rows.append(row)
        else:
            fused += 1
    notes = [f"{fused} operators without cycles left out: fused into others."] if fused else []
    notes.append("Vela estimates cycles: the rows count as predicted, not measured.")
    return Log(
        "vela",
        tuple(rows),
        Facts(runtime="vela"),
        notes=tuple(notes),
        kind="predicted",
        no_times="" if rows else "it lists no operator with cycles",
    )


def _row(cells: dict[str, str], source: Source, line: int) -> Row:
    original = next((cells[name] for name in _ORIGINAL if name in cells), "")
    kinds, role, absorbs = tflite_word(original)
    if not kinds:
        kinds, role, absorbs = vela_word(cells[_INTERNAL])
    return Row(
        line=line,
        word=original or cells[_INTERNAL],
        values=(number(cells[_CYCLES], source, line, "Op Cycles"),),
        unit="cycles",
        name=cells.get("name", ""),
        kinds=kinds,
        role=role,
        absorbs=absorbs,
    )


def _columns(text: str) -> list[str] | None:
    names = [cell.lower() for cell in _cells(text)]
    return names if _CYCLES in names and _INTERNAL in names else None


def _cells(text: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([text]), [])]
    except csv.Error:
        return []
