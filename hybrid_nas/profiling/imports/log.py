"""What every reader of a log returns: timed operators, memory figures, what it says of itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Literal

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.latency_table import LatencyKind
from hybrid_nas.profiling.models.model import Model
from hybrid_nas.spaces.opspec import Dtype, OpKind, OpSpec
from hybrid_nas.text_files import decode

Unit = Literal["ms", "us", "cycles", "instructions", "ticks"]
"""Units of logs; a tick is of a timer whose frequency the log does not say."""

Role = Literal["op", "pad", "activation", "other"]
"""What a row is: an operator of a latency table, or one of the things around operators."""

_THOUSANDS = re.compile(r"[1-9]\d{0,2}(,\d{3})+(\.\d+)?")  # 0,125 has a decimal comma


@dataclass(frozen=True)
class Source:
    """A file to read: its name for messages, its path, its text, and the core's clock if given."""

    name: str
    path: Path
    text: str
    clock_hz: int | None = None

    @classmethod
    def read(cls, path: Path, clock_hz: int | None = None) -> Source:
        """The file, decoded as UTF-8, as UTF-16 if it begins like that, else byte by byte.

        Spaces that do not break, which windows copy into text, become spaces.

        Raises:
            InputError: it cannot be read, or is empty.
        """
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise InputError(f"no file {path}") from None
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error
        try:
            text = decode(data)
        except UnicodeDecodeError:
            text = data.decode("latin-1")
        if not text.strip():
            raise InputError(f"{path} is empty: expected a log, a report or a table of timings")
        return cls(path.name, path, text.replace("\u00a0", " ").replace("\0", ""), clock_hz)

    def fail(self, line: int, reason: str) -> InputError:
        """The error to raise about a line of the file."""
        return InputError(f"{self.name}: line {line}: {reason}")


@dataclass(frozen=True)
class Row:
    """One timed operator.

    Attributes:
        line: where it stands in the file, from 1.
        word: the type of operator in the tool's own words.
        values: times of every run of it that the log has.
        unit: of the values.
        name: what the tool calls this one, if it has a name for it.
        kinds: kinds of `OpSpec` that the word may mean; empty for all that has none.
        role: ``op`` where `kinds` is not empty.
        absorbs: kinds whose work may be inside as well, fused by the tool.
        spec: the operator, where the log itself has enough of its shape.
        reason: why there is no `spec`, where the log shows something of the shape.
        out_shape: dimensions of the output without the batch, where the log has them.
        dtype: of the values, where the log says it.
        spread, count: of values that were combined before, in tables of our own.
    """

    line: int
    word: str
    values: tuple[float, ...]
    unit: Unit
    name: str = ""
    kinds: frozenset[OpKind] = frozenset()
    role: Role = "other"
    absorbs: frozenset[OpKind] = frozenset()
    spec: OpSpec | None = None
    reason: str = ""
    out_shape: tuple[int, ...] = ()
    dtype: Dtype | None = None
    spread: float | None = None
    count: int = 1


@dataclass(frozen=True)
class MemoryFigure:
    """A size that a report states: activations, weights, ram, flash, or a section by its name."""

    what: str
    bytes: int
    line: int


@dataclass(frozen=True)
class Facts:
    """What a log says of the device and the runtime; empty where it says nothing.

    Attributes:
        boards: parts that it may be (a device id covers several), lower case.
        core: ``cortex-m7`` and the like.
        clock_hz: of the core.
        tick_hz: of the timer, where the log states it.
        tick_range_hz: what the timer's frequency must lie in, where ticks stand beside
            milliseconds: low, high, and the line that says so.
        runtime, runtime_version, kernels, cache, placement: as in a table's identity.
        model: operators that the log itself lists with their shapes.
    """

    boards: tuple[str, ...] = ()
    core: str = ""
    clock_hz: int | None = None
    tick_hz: float | None = None
    tick_range_hz: tuple[float, float, int] | None = None
    runtime: str = ""
    runtime_version: str = ""
    kernels: str = ""
    cache: str = ""
    placement: str = ""
    model: Model | None = None


@dataclass(frozen=True)
class Log:
    """A log that has been read.

    Attributes:
        format: which of `registry.FORMATS`.
        rows: timed operators in the order of the file; empty in reports without timings.
        facts: about device and runtime.
        memory: sizes that it states.
        notes: what was left out while reading, and why; one sentence each.
        every_op: whether it lists every operator of a TFLite model, reshapes included, so that
            numbers must agree exactly.
        complete: whether every row has its operator, so that no model is needed or looked at.
        kind: what the times are.
        no_times: why `rows` is empty, where the format can be without.
    """

    format: str
    rows: tuple[Row, ...]
    facts: Facts = Facts()
    memory: tuple[MemoryFigure, ...] = ()
    notes: tuple[str, ...] = ()
    every_op: bool = False
    complete: bool = False
    kind: LatencyKind = "measured"
    no_times: str = ""


def number(text: str, source: Source, line: int, what: str) -> float:
    """A number that is 0 or more; commas may separate thousands.

    Raises:
        InputError: it is something else; the message names line and column.
    """
    text = text.strip()
    if "," in text and not _THOUSANDS.fullmatch(text):
        raise source.fail(
            line,
            f"the comma in {what} does not separate thousands: write decimals with a point "
            f"(got {text[:40]!r})",
        )
    try:
        value = float(text.replace(",", "").replace("_", ""))
    except ValueError:
        raise source.fail(line, f"{what} must be a number (got {text[:40]!r})") from None
    if not isfinite(value) or value < 0:
        raise source.fail(line, f"{what} must be 0 or more (got {text[:40]!r})")
    return value
