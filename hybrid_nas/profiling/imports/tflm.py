"""TensorFlow Lite for Microcontrollers: MicroProfiler's text lines and its CSV.

Text: ``DEPTHWISE_CONV_2D took 175917 ticks (7 ms).`` CSV: a header ``"Event","Tag","Ticks"``
(or with ``"ms"``) and one line per operator, anywhere in a terminal's output. Both list every
operator of the model; several invocations follow each other.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence

from hybrid_nas.hardware.latency_table import LatencyKind
from hybrid_nas.profiling.imports.log import Facts, Log, MemoryFigure, Row, Source, Unit, number
from hybrid_nas.profiling.imports.tflm_analysis import listed_model
from hybrid_nas.profiling.imports.words import tflite_word

_TOOK = re.compile(
    r"(?<![\w-])(?P<word>[A-Za-z_][\w:.-]{0,80}(?:\(\d{1,9}\))?) took (?P<value>[\d.,]+) ?"
    r"(?P<unit>ticks|cycles|us|ms)\b(?: ?\((?P<ms>[\d.]+) ?ms\))?"
)
_UNIT_OF: dict[str, Unit] = {
    "ticks": "ticks",
    "cycles": "cycles",
    "ms": "ms",
    "time (ms)": "ms",
    "us": "us",
    "time (us)": "us",
}
_MARKUP = re.compile(r"<[^<>]{0,20}>")
_SIMULATORS = re.compile(r"FVP_\w+|OSCI/SystemC|\bqemu\b", re.I)
_ROUNDING_MS = 1.0  # "7 ms" is anything from 7 to 8, or rounded


def is_text(text: str) -> bool:
    """Whether a log has lines of MicroProfiler's text."""
    return any(_is_op(match["word"]) for match in _TOOK.finditer(text))


def is_csv(text: str) -> bool:
    """Whether a log has a header of MicroProfiler's CSV."""
    return any(_header(line) is not None for line in text.splitlines())


def read_text(source: Source) -> Log:
    """Rows of the text lines.

    Raises:
        InputError: a line's number cannot be read.
    """
    rows, totals, ranges = [], [], []
    for line, text in enumerate(source.text.splitlines(), 1):
        for match in _TOOK.finditer(text):
            if not _is_op(match["word"]):
                totals.append(match["word"])
                continue
            value = number(match["value"], source, line, "the time")
            unit = _UNIT_OF[match["unit"]]
            rows.append(_row(line, match["word"], value, unit))
            if unit == "ticks" and match["ms"]:
                ranges.append((value, number(match["ms"], source, line, "the time in ms"), line))
    notes = [f"Totals over several operators left out: {', '.join(sorted(set(totals)))}."]
    return _log(source, "tflm", rows, ranges, notes if totals else [])


def read_csv(source: Source) -> Log:
    """Rows of every block that a header begins.

    Raises:
        InputError: a line of a block is cut short, or a number cannot be read.
    """
    rows: list[Row] = []
    ranges: list[tuple[float, float, int]] = []
    header: list[str] | None = None
    for line, text in enumerate(source.text.splitlines(), 1):
        found = _header(text)
        if found is not None:
            header = found
            continue
        if header is None:
            continue
        cells = _cells(text)
        if not cells[0].isdigit():
            # Boards print between the lines; a summary or anything else ends the block.
            header = None if cells != [""] else header
            continue
        if len(cells) != len(header):
            wanted = ", ".join(header)
            raise source.fail(line, f"expected {len(header)} values ({wanted}; got {len(cells)})")
        row, seen = _csv_row(dict(zip(header, cells, strict=True)), source, line)
        rows.append(row)
        ranges += seen
    return _log(source, "tflm-csv", rows, ranges, [])


def _csv_row(
    cells: dict[str, str], source: Source, line: int
) -> tuple[Row, list[tuple[float, float, int]]]:
    values = {
        column: number(cells[column], source, line, column)
        for column in _UNIT_OF
        if column in cells
    }
    # Milliseconds beside ticks are rounded: ticks are exact.
    column = next(name for name in _UNIT_OF if name in values)
    row = _row(line, cells["tag"], values[column], _UNIT_OF[column])
    both = column == "ticks" and "ms" in values
    return row, [(values["ticks"], values["ms"], line)] if both else []


def _header(text: str) -> list[str] | None:
    """The lower-case column names, if a line is a header."""
    if "tag" not in text.lower() or "event" not in text.lower():
        return None
    names = [cell.lower() for cell in _cells(text)]
    known = "tag" in names and "event" in names and any(name in _UNIT_OF for name in names)
    return names if known else None


def _cells(text: str) -> list[str]:
    bare = _MARKUP.sub("", text).strip()
    try:
        cells = next(csv.reader([bare], skipinitialspace=True), [])
    except csv.Error:
        cells = []
    return [cell.strip() for cell in cells] or [""]


def _is_op(word: str) -> bool:
    """Whether a word is an operator; what is not in capitals is a benchmark's total."""
    return re.fullmatch(r"[A-Z][A-Z0-9_]+", word) is not None or word == "ethos-u"


def _row(line: int, word: str, value: float, unit: Unit) -> Row:
    kinds, role, absorbs = tflite_word(word)
    return Row(line, word, (value,), unit, kinds=kinds, role=role, absorbs=absorbs)


def _log(
    source: Source,
    name: str,
    rows: Sequence[Row],
    ranges: Sequence[tuple[float, float, int]],
    notes: list[str],
) -> Log:
    if rows and all(row.unit == "ms" and row.values[0].is_integer() for row in rows):
        notes.append("Times are whole milliseconds: short operators are lost or off by much.")
    kind: LatencyKind = "measured"
    simulator = _SIMULATORS.search(source.text)
    if simulator:
        kind = "emulated"
        notes.append(f"The log is of a simulator ({simulator[0]}): the rows count as emulated.")
    return Log(
        format=name,
        rows=tuple(rows),
        facts=_facts(source, _tick_range(ranges)),
        memory=tuple(_memory(source.text)),
        notes=tuple(notes),
        every_op=True,
        kind=kind,
    )


def _tick_range(ranges: Sequence[tuple[float, float, int]]) -> tuple[float, float, int] | None:
    """What the timer's frequency must lie in, from the longest time printed in both units."""
    told = [one for one in ranges if one[1] >= 1]
    if not told:
        return None  # a port without a clock prints 0 ms everywhere
    ticks, ms, line = max(told, key=lambda one: one[1])
    return ticks / (ms + _ROUNDING_MS) * 1e3, ticks / (ms - _ROUNDING_MS / 2) * 1e3, line


def _facts(source: Source, tick_range: tuple[float, float, int] | None) -> Facts:
    text = source.text
    core = _first(r"TARGET_ARCH=(cortex-m[\w+]+)", text).replace("+nofp", "").replace("+fp", "")
    cmsis = _first(r"CMSIS-NN/archive/([0-9a-f]{7})", text)
    optimised = bool(cmsis) or "OPTIMIZATION=cmsis_nn" in text or "-DCMSIS_NN" in text
    return Facts(
        core=core,
        tick_range_hz=tick_range,
        runtime="cmsis-nn" if optimised else "",
        runtime_version=_first(r"Git SHA: ?([0-9a-f]{7})", text),
        kernels=f"cmsis-nn-{cmsis}" if cmsis else "",
        model=listed_model(text, source.name),
    )


def _first(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match[1] if match else ""


_ARENA = re.compile(r"^\s*(Total|NonPersistent|Persistent) \| +(\d+) \|", re.M)
_MODEL_SIZE = re.compile(r"Model size: +(\d+) bytes")
_WHAT = {"Total": "ram", "NonPersistent": "activations", "Persistent": "arena: persistent"}


def _memory(text: str) -> Iterator[MemoryFigure]:
    for match in _ARENA.finditer(text):
        yield MemoryFigure(_WHAT[match[1]], int(match[2]), text.count("\n", 0, match.start(2)) + 1)
    for match in _MODEL_SIZE.finditer(text):
        yield MemoryFigure("model file", int(match[1]), text.count("\n", 0, match.start(1)) + 1)
