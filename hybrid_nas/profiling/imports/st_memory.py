"""Memory figures of ST's reports: activations, weights, RAM and flash, per section where listed.

``network ram`` is activations and what of input and output lies outside of them; ``ram`` is that
and the runtime's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from hybrid_nas.profiling.imports.columns import header_of
from hybrid_nas.profiling.imports.log import MemoryFigure

_SIZE = r"([\d,]+) ?(B|bytes|KiB|KBytes|MiB|MBytes)?\b"
_LINES = (
    ("weights", re.compile(rf"^\s*weights (?:\(ro\)|size) *: *{_SIZE}", re.I)),
    ("weights", re.compile(r"^\s*weights *: *(\d[\d,]*)()\s*(?:\(|$)", re.I)),
    ("weights", re.compile(rf"^\s*Weights: +{_SIZE}")),
    ("activations", re.compile(rf"^\s*activations (?:\(rw\)|size) *: *{_SIZE}", re.I)),
    ("activations", re.compile(r"^\s*activations *: *(\d[\d,]*)()\s*(?:\(|\[|$)", re.I)),
    ("activations", re.compile(rf"^\s*Activations: +{_SIZE}")),
    ("network ram", re.compile(rf"^\s*ram \(total\) *: *{_SIZE}", re.I)),
    ("ram", re.compile(rf"^\s*Total Ram *: *{_SIZE}", re.I)),
    ("flash", re.compile(rf"^\s*Total Flash *: *{_SIZE}", re.I)),
    ("weights", re.compile(r"^\s*(?:ROM size|rom \(total\)) *: *([\d.,]+) ?(KBytes|KiB|B)", re.I)),
    ("activations", re.compile(r"^\s*(?:RAM size) *: *([\d.,]+) ?(KBytes|KiB|B)", re.I)),
)
_FACTORS = {
    "b": 1,
    "bytes": 1,
    "": 1,
    "kib": 1024,
    "kbytes": 1024,
    "mib": 1 << 20,
    "mbytes": 1 << 20,
}
_SECTIONS = ("text", "rodata", "data", "bss")


def report_memory(lines: Sequence[str]) -> Iterator[MemoryFigure]:
    """Every figure, the first statement of each only: reports repeat themselves."""
    seen: set[str] = set()
    for figure in (*_stated(lines), *_sections(lines)):
        if figure.what not in seen:
            seen.add(figure.what)
            yield figure


def _stated(lines: Sequence[str]) -> Iterator[MemoryFigure]:
    for number, line in enumerate(lines, 1):
        for what, pattern in _LINES:
            match = pattern.match(line)
            if match:
                size = float(match[1].replace(",", "") or 0) * _FACTORS[(match[2] or "").lower()]
                yield MemoryFigure(what, round(size), number)


def _sections(lines: Sequence[str]) -> Iterator[MemoryFigure]:
    """The table ``module  text  rodata  data  bss`` of what the linker makes of it."""
    header = None
    for number, line in enumerate(lines, 1):
        found = header_of(line)
        if found is not None and set(_SECTIONS) <= set(found.names):
            header = found
            continue
        if header is None:
            continue
        if not line.strip():
            header = None
            continue
        cells = header.row(line)
        sizes = [cells.get(name, "").replace(",", "") for name in _SECTIONS]
        if not all(re.fullmatch(r"\d+", size) for size in sizes):
            continue
        module = line.split("  ")[0].strip() or cells.get(header.names[0], "")
        module = module or re.split(r"\s{2,}", line.strip())[0]
        for name, size in zip(_SECTIONS, sizes, strict=True):
            if int(size):
                yield MemoryFigure(f"{module.rstrip('*')}: {name}", int(size), number)
