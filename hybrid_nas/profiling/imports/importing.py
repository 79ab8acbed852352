"""From a log to a latency table: what ``latency import`` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median, stdev
from types import MappingProxyType

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.latency_errors import with_held_out
from hybrid_nas.hardware.latency_files import load_table, save_table
from hybrid_nas.hardware.latency_table import LatencyTable, Measurement
from hybrid_nas.hardware.runtimes import load_runtime, runtime_ids
from hybrid_nas.profiling.imports.attach import Timed, attach
from hybrid_nas.profiling.imports.identity import Given, clock_of, identity_of
from hybrid_nas.profiling.imports.log import Log, Source
from hybrid_nas.profiling.imports.memory import Compared, compare
from hybrid_nas.profiling.imports.registry import AUTO, parse
from hybrid_nas.profiling.imports.units import check_tick_rate, convert, ms_per, table_unit
from hybrid_nas.profiling.models.model import Model, load_model
from hybrid_nas.profiling.models.network import wired_ops
from hybrid_nas.profiling.models.windows import Shape
from hybrid_nas.profiling.pool import op_order
from hybrid_nas.spaces.architecture import Architecture
from hybrid_nas.spaces.opspec import OpSpec

_DEFAULT_RUNTIME = "x-cube-ai"
_OTHER_NETWORK = 0.1
"""Relative difference of weights above which a report is doubted to be of that network."""


@dataclass(frozen=True)
class ImportJob:
    """What to import.

    Attributes:
        log: the file.
        format: one of `registry.FORMATS`, or ``auto``.
        model: the model file that was profiled; shapes come from it, and the memory estimate.
        architecture: the same for the memory estimate, in our own terms.
        given: flags about device and runtime.
    """

    log: Path
    format: str = AUTO
    model: Path | None = None
    architecture: Architecture | None = None
    given: Given = field(default_factory=Given)


@dataclass(frozen=True)
class Imported:
    """What came of it.

    Attributes:
        log: as it was read.
        table: the rows; None where there are none, `refused` says why.
        timed: every operator of the log, in the table's unit (the log's own where it is refused).
        memory: figures of the report, with our estimates.
        no_estimate: why there is no memory estimate, where figures are there.
        refused: why there is no table.
    """

    log: Log
    table: LatencyTable | None
    timed: tuple[Timed, ...]
    memory: tuple[Compared, ...]
    no_estimate: str = ""
    refused: str = ""

    @property
    def imported(self) -> tuple[Timed, ...]:
        """Operators that became rows."""
        return tuple(one for one in self.timed if is_row(one))

    @property
    def left_out(self) -> tuple[Timed, ...]:
        """Operators that did not."""
        return tuple(one for one in self.timed if not is_row(one))


def is_row(timed: Timed) -> bool:
    """Whether an operator can be a row: it has an `OpSpec`, and took a time that the log shows."""
    return timed.spec is not None and median(timed.values) > 0


def total(timed: Sequence[Timed]) -> float:
    """Sum of the medians."""
    return sum(median(one.values) for one in timed)


def import_log(job: ImportJob) -> Imported:
    """Read, attach shapes, convert, combine.

    Raises:
        InputError: the file is in no known format, or damaged, or does not agree with the model or
            the flags; or it has timings, but no operator that a table could hold.
    """
    source = Source.read(job.log, job.given.clock_hz)
    log = parse(source, job.format)
    model = load_model(job.model) if job.model else None
    ops, shape, reason = _network(job, model)
    memory = compare(log.memory, ops, shape, load_runtime(_memory_runtime(job.given, log)))
    log = _with_doubt(log, memory)
    if log.no_times:
        refused = f"{source.name} cannot become a table: {log.no_times}"
        return Imported(log, None, (), memory, reason, refused)
    try:
        timed = attach(log, source.name, model)
    except InputError as error:
        if not memory:
            raise
        return Imported(log, None, (), memory, reason, str(error))
    clock = clock_of(job.given, log.facts)
    ticks = job.given.tick_hz or log.facts.tick_hz
    check_tick_rate(log.facts, ticks, clock, source.name)
    timed = _in_one_unit(timed, ticks, clock)
    rows = combine([one for one in timed if is_row(one)])
    if not rows:
        refused = f"{source.name} has no operator that a table could hold: {_why(timed)}"
        return Imported(log, None, timed, memory, reason, refused)
    unit = timed[0].row.unit
    table = LatencyTable(
        identity=identity_of(job.given, log.facts, unit, source.name),
        kind=log.kind,
        source=f"imported from {source.name} ({log.format})"
        + (f", shapes from {model.name}" if model else ""),
        rows=MappingProxyType(rows),
        name=source.path.stem,
    )
    return Imported(log, table, timed, memory, reason)


def _with_doubt(log: Log, memory: Sequence[Compared]) -> Log:
    """The log, with a note where its weights are not those of the network given."""
    for one in memory:
        if one.figure.what == "weights" and abs(one.error or 0.0) > _OTHER_NETWORK:
            note = (
                f"The report's weights (line {one.figure.line}) are not those of the network "
                "given: is it the same one, and not compressed?"
            )
            return replace(log, notes=(*log.notes, note))
    return log


def _in_one_unit(
    timed: Sequence[Timed], tick_hz: float | None, clock_hz: int | None
) -> tuple[Timed, ...]:
    unit = table_unit([one.row.unit for one in timed], tick_hz, clock_hz)
    made = []
    for one in timed:
        scale = 1.0
        if one.row.unit != unit and not (one.row.unit == "ticks" and unit == "cycles"):
            scale = ms_per(one.row.unit, tick_hz, clock_hz) / ms_per(unit, tick_hz, clock_hz)
        (converted,) = convert([one], scale)
        made.append(replace(converted, row=replace(converted.row, unit=unit)))
    return tuple(made)


def combine(timed: Sequence[Timed]) -> dict[OpSpec, Measurement]:
    """One row per shape: the median of all its times, their spread, and their number."""
    groups: dict[OpSpec, list[Timed]] = {}
    for one in timed:
        if one.spec is not None:
            groups.setdefault(one.spec.shape, []).append(one)
    return {op: _measurement(groups[op]) for op in sorted(groups, key=op_order)}


def _measurement(group: Sequence[Timed]) -> Measurement:
    values = [value for one in group for value in one.values]
    if len(values) == 1:
        only = group[0].row
        return Measurement(values[0], only.spread or 0.0, only.count)
    count = sum(one.row.count * len(one.values) for one in group)
    return Measurement(median(values), stdev(values), count)


def _network(job: ImportJob, model: Model | None) -> tuple[tuple[OpSpec, ...], Shape | None, str]:
    """The wired network for the memory estimate, or why it is not known."""
    if job.architecture is not None:
        return job.architecture.ops, job.architecture.input_shape, ""
    if model is None:
        return (), None, "no network is given: --model FILE or --arch ARCH.json"
    wired = wired_ops(model)
    if isinstance(wired, str):
        return (), None, wired
    if model.input_shape is None:
        return (), None, f"the input of {model.name} is no image"
    return wired, model.input_shape, ""


def _memory_runtime(given: Given, log: Log) -> str:
    runtime = given.runtime.lower() or log.facts.runtime or _DEFAULT_RUNTIME
    if log.format.startswith("tflm") and runtime not in runtime_ids():
        return "tflm"
    return runtime if runtime in runtime_ids() else _DEFAULT_RUNTIME


def _why(timed: Sequence[Timed]) -> str:
    reasons = dict.fromkeys(reason_of(one) for one in timed)
    return "; ".join(reasons)


def reason_of(timed: Timed) -> str:
    """Why an operator is no row."""
    if timed.spec is not None:
        return "0 in the log's resolution"
    return timed.reason


def write(imported: Imported, out: Path) -> LatencyTable:
    """Write the table, or add its rows to the one that is there.

    Returns:
        The table that was written.

    Raises:
        InputError: there is none to write, or the one there belongs to something else.
    """
    if imported.table is None:
        raise InputError(imported.refused)
    table = imported.table
    if out.exists():
        there = load_table(out)
        table = there.merged(table)
        sources = dict.fromkeys((*there.source.split("; "), imported.table.source))
        table = replace(table, source="; ".join(sources))
    table = with_held_out(table)
    save_table(table, out)
    return table
