"""Reports of X-CUBE-AI and ST Edge AI: validation on target, in all its layouts.

    3.x  Clayer  id  desc                          oshape            ms
    5-7  c_id  m_id  desc            output                     ms          %
    8-   c_id    m_id   type            dur (ms)       %    cumul     CPU cycles    name

Reports of ``analyze``, ``generate`` and ``validate`` on the host have no times per layer; they have
memory figures, and all but the oldest list the layers with their shapes (see `st_layers`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from hybrid_nas.profiling.imports.columns import Header, header_of
from hybrid_nas.profiling.imports.log import Facts, Log, Row, Source, Unit, number
from hybrid_nas.profiling.imports.st_layers import Layer, layers
from hybrid_nas.profiling.imports.st_memory import report_memory
from hybrid_nas.profiling.imports.words import st_word
from hybrid_nas.spaces.opspec import Dtype

_TOOL = re.compile(
    r"ST\.?AI |STM32AI|STM\.ai|ST Edge AI|X-CUBE-AI|stm32ai|Stm32com|Exec/report summary", re.I
)
_ID = ("c_id", "clayer", "c-layer", "clayer id", "c_layer")
_TYPE = ("desc", "type", "layer_type", "description")
_SHAPE = ("output", "oshape", "shape")
_TIME: Mapping[str, Unit] = {
    "ms": "ms",
    "dur (ms)": "ms",
    "duration (ms)": "ms",
    "time (ms)": "ms",
    "us": "us",
    "dur (us)": "us",
    "time (us)": "us",
    "cpu cycles": "cycles",
    "cycles": "cycles",
}
_NO_TIMES = (
    "it has no times per layer: it is no validation on target (run `stedgeai validate --mode "
    "target` on the board and import its report)"
)


def is_report(text: str) -> bool:
    """Whether a text is a report of X-CUBE-AI or ST Edge AI."""
    return _TOOL.search(text) is not None


def read_report(source: Source) -> Log:
    """Rows, memory figures and what the report says of device and tool.

    Raises:
        InputError: a number of a row cannot be read.
    """
    listed = layers(source.text)
    lines = source.text.splitlines()
    rows: list[Row] = []
    header: Header | None = None
    for line, text in enumerate(lines, 1):
        found = _time_header(text)
        if found is not None:
            header, rows = found, []  # a second table is a repetition: the last one counts
        elif header is not None:
            row = _row(header, text, source, line, listed)
            if row is not None:
                rows.append(row)
            elif text.strip(" -\t"):
                header = None  # neither a row nor a rule: the table is over
    facts = _facts(source.text)
    on_host = "host" in facts.boards
    notes = ("The times are of the tool's own run on the host, not of a board.",)
    return Log(
        format="st",
        rows=tuple(rows),
        facts=facts,
        memory=tuple(report_memory(lines)),
        notes=notes if on_host and rows else (),
        no_times="" if rows else _NO_TIMES,
    )


def _time_header(text: str) -> Header | None:
    header = header_of(text)
    if header is None:
        return None
    names = set(header.names)
    timed = names & set(_TIME) and names & set(_TYPE)
    return header if timed and names & set(_ID) else None


def _row(
    header: Header, text: str, source: Source, line: int, listed: Mapping[int, Layer]
) -> Row | None:
    """The line as a row, if a layer's number stands in it."""
    cells = header.row(text)
    c_id = next((cells[name] for name in _ID if name in cells), "")
    column = next((name for name in _TIME if name in cells), None)
    word = next((cells[name] for name in _TYPE if name in cells), "")
    if not c_id.isdigit() or not word:
        return None
    if column is None:
        raise source.fail(line, f"no time under {', '.join(header.names)}")
    kinds, role, absorbs = st_word(word)
    layer = listed.get(int(c_id), Layer())
    shape = next((cells[name] for name in _SHAPE if name in cells), "")
    return Row(
        line=line,
        word=word,
        values=(number(cells[column], source, line, column),),
        unit=_TIME[column],
        name=cells.get("name", layer.name),
        kinds=kinds & {layer.kind} if layer.kind in kinds else kinds,
        role=role,
        absorbs=absorbs,
        spec=None if absorbs else layer.spec,
        reason=layer.reason,
        out_shape=_dims(shape),
        dtype=_dtype(shape) or (layer.spec.dtype if layer.spec else None),
    )


def _dims(text: str) -> tuple[int, ...]:
    """``(1,24,1,16)/float32/1536B`` without its batch."""
    match = re.search(r"\(([\d, ]+)\)", text)
    if match is None:
        return ()
    return tuple(int(size) for size in match[1].replace(" ", "").split(",") if size)[1:]


def _dtype(text: str) -> Dtype | None:
    match = re.search(r"\)/(u?int8|float32)\b", text)
    if match is None:
        return None
    return "float32" if match[1] == "float32" else "int8"


_DEVICE = (
    # 0x450 - STM32H743/53/50xx and STM32H745/55/47/57xx @400/200MHz fpu,art_lat=2,core_icache
    re.compile(
        r"device(?:\.desc)?\s*:\s*(?P<what>.+?)(?: ?@ ?(?P<mhz>\d+)/\d+ ?MHz(?P<rest>.*))?$"
    ),
    # 0x433/STM32F401xD/E @84MHz/84MHz (FPU is present) lat=2 ART: PRFTen ICen DCen
    re.compile(r"(?P<what>0x[0-9a-fA-F]{3}/\S+) ?@ ?(?P<mhz>\d+)MHz/\d+MHz(?P<rest>.*)$"),
    re.compile(r"(?P<what>)inference\(?s?\)? ?@(?P<mhz>\d+)/\d+MHz(?P<rest>)"),
)
_VERSIONS = (
    (r"ST Edge AI Core v(\d+\.\d+\.\d+)", "st-edge-ai-"),
    (r"STM\.ai v(\d+\.\d+\.\d+)", ""),
    (r"ST\.AI[^\n]{0,20} v(\d+\.\d+\.\d+)", "st-edge-ai-"),
    (r"X-CUBE-AI[\\/ ]v?(\d+\.\d+\.\d+)", ""),
    (r"tools versions : rt=\((\d+, \d+, \d+)\)", ""),
    (r"STM\.AI[^\n]{0,20} (\d+\.\d+\.\d+)", ""),
)


def _facts(text: str) -> Facts:
    boards: tuple[str, ...] = ()
    clock: int | None = None
    cache = ""
    for line in text.splitlines():
        for pattern in _DEVICE:
            match = pattern.search(line.rstrip())
            if match is None:
                continue
            groups = match.groupdict()
            boards = boards or parts(groups["what"] or "")
            if groups.get("mhz"):
                clock = clock or int(groups["mhz"]) * 1_000_000
            cache = cache or _cache(groups.get("rest") or "")
    attributes = re.search(r"device\.attrs\s*:\s*(.+)", text)
    if attributes and not cache:
        cache = _cache(attributes[1])
    version = ""
    for pattern_text, prefix in _VERSIONS:
        found = re.search(pattern_text, text)
        if found and not version:
            version = prefix + found[1].replace(", ", ".")
    return Facts(
        boards=boards, clock_hz=clock, cache=cache, runtime="x-cube-ai", runtime_version=version
    )


def parts(text: str) -> tuple[str, ...]:
    """The parts that a device's description names, lower case, ``host`` for a computer.

    >>> parts("0x450 - STM32H743/53/50xx and STM32H745/55/47/57xx")[:4]
    ('stm32h743', 'stm32h753', 'stm32h750', 'stm32h745')
    """
    if re.search(r"x86_64|AMD64|win32|Linux|Windows|Darwin", text):
        return ("host",)
    found = []
    for family, digits, more in re.findall(r"STM32([A-Z]{1,2}\d?)(\d{2})((?:/\d{2,3})*)", text):
        found.append(family + digits)
        for other in more.split("/")[1:]:
            found.append(family + other if len(other) == 2 else family[:-1] + other)
    return tuple(dict.fromkeys(f"stm32{name.lower()}" for name in found))


def _cache(text: str) -> str:
    """What the report says of caches, in its own words: ``icache+dcache``, ``icache``, ``off``."""
    lower = text.lower()
    if "cache" not in lower and "icen" not in lower:
        return ""
    has = [
        name for name in ("icache", "dcache") if name in lower or name[:2] + "en" in lower.split()
    ]
    return "+".join(has)
