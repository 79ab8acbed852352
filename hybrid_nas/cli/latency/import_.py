"""``hybrid-nas latency import``: a vendor tool's log, or our CSV or JSON, as a latency table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid_nas.cli.options import value_option
from hybrid_nas.cli.output import console, emit_json, make_table
from hybrid_nas.errors import InputError
from hybrid_nas.units import format_bytes

if TYPE_CHECKING:
    from rich.console import Console

    from hybrid_nas.hardware.latency_table import LatencyTable
    from hybrid_nas.profiling.imports.importing import Imported

SCHEMA = "hybrid-nas/latency-import/1"
_REASONS_SHOWN = 12
_MS_DIGITS = 4


def _hz(text: object) -> int:
    from hybrid_nas.profiling.imports.units import parse_hz

    return parse_hz(text)


def register(app: typer.Typer) -> None:
    """Add the command to the group."""

    @app.command("import")
    def import_(
        log: Annotated[
            Path,
            typer.Argument(
                metavar="LOG",
                help="Log or report: TFLM, onnxruntime, X-CUBE-AI / ST Edge AI, Vela, TinyEngine; "
                "or our CSV or JSON.",
            ),
        ],
        format: Annotated[
            str,
            typer.Option(
                "--format",
                help="auto, csv, json, tflm, tflm-csv, onnxruntime, st, st-c-info, vela or "
                "tinyengine.",
            ),
        ] = "auto",
        model: Annotated[
            Path | None,
            typer.Option(
                "--model", help="The TFLite or ONNX file that was profiled: it has the shapes."
            ),
        ] = None,
        arch: Annotated[
            str | None,
            typer.Option(
                "--arch",
                metavar="ARCH.json",
                help="Architecture to compare the report's memory with, instead of --model.",
            ),
        ] = None,
        board: Annotated[
            str,
            typer.Option(
                "--board",
                metavar="BOARD|FILE.yaml",
                help="Board that was measured, or the file of your own board.",
            ),
        ] = "",
        core: Annotated[str, typer.Option("--core", help="Its core, such as cortex-m7.")] = "",
        clock_hz: Annotated[
            int | None,
            value_option(
                "--clock-hz", parse=_hz, metavar="HZ", help="The core's clock: 216MHz, 216000000."
            ),
        ] = None,
        tick_hz: Annotated[
            int | None,
            value_option(
                "--tick-hz",
                parse=_hz,
                metavar="HZ",
                help="Frequency of the timer that ticks are of; the clock if left out.",
            ),
        ] = None,
        runtime: Annotated[
            str, typer.Option("--runtime", help="Runtime that ran: tflm, cmsis-nn, x-cube-ai, ...")
        ] = "",
        runtime_version: Annotated[
            str, typer.Option("--runtime-version", help="Its version or commit.")
        ] = "",
        kernels: Annotated[str, typer.Option("--kernels", help="Kernels, compiler flags.")] = "",
        placement: Annotated[
            str, typer.Option("--placement", help="Where weights and activations lie.")
        ] = "",
        cache: Annotated[str, typer.Option("--cache", help="none, off, warm or cold.")] = "",
        out: Annotated[
            Path | None,
            typer.Option(
                "--out", help="Table to write; rows are added to one of the same identity."
            ),
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Turn a log of another tool into a latency table."""
        from hybrid_nas.hardware.board_files import is_board_file, named_board
        from hybrid_nas.profiling.imports import importing
        from hybrid_nas.profiling.imports.identity import Given
        from hybrid_nas.spaces.interchange import read_architecture

        own = named_board(board) if is_board_file(board) else None
        job = importing.ImportJob(
            log,
            format,
            model,
            None if arch is None else read_architecture(arch, None, None, None),
            Given(
                *(own.id if own else board, core, clock_hz, tick_hz),
                *(runtime, runtime_version, kernels, placement, cache),
                own_board=own,
            ),
        )
        result = importing.import_log(job)
        written = importing.write(result, out) if out and result.table else None
        if json:
            emit_json(_document(log, result, written, out))
        else:
            _show(console(json=False), log, result, written, out)
        if result.refused:
            raise InputError(result.refused)


def _document(
    log: Path, result: Imported, written: LatencyTable | None, out: Path | None
) -> dict[str, Any]:
    from statistics import median

    from hybrid_nas.profiling.imports.importing import reason_of, total
    from hybrid_nas.profiling.pool import describe_op

    table = result.table
    return {
        "schema": SCHEMA,
        "log": log,
        "format": result.log.format,
        "refused": result.refused or None,
        "identity": table and table.identity,
        "kind": table and table.kind,
        "rows": [
            {"op": describe_op(op), "spec": op, "measurement": row}
            for op, row in (table.rows.items() if table else ())
        ],
        "unit": result.timed[0].row.unit if result.timed else None,
        "operators": len(result.timed),
        "imported": {"operators": len(result.imported), "sum": total(result.imported)},
        "other": {"operators": len(result.left_out), "sum": total(result.left_out)},
        "left_out": [
            {
                "line": one.row.line,
                "op": one.row.word,
                "value": median(one.values),
                "reason": reason_of(one),
            }
            for one in result.left_out
        ],
        "memory": [
            {
                "what": one.figure.what,
                "bytes": one.figure.bytes,
                "line": one.figure.line,
                "estimate": one.estimate,
                "error": one.error,
            }
            for one in result.memory
        ],
        "no_estimate": result.no_estimate or None,
        "notes": result.log.notes,
        "out": out if written is not None else None,
        "rows_in_table": None if written is None else len(written.rows),
    }


def _show(
    out: Console, log: Path, result: Imported, written: LatencyTable | None, path: Path | None
) -> None:
    if result.table is not None:
        _show_rows(out, log, result)
    if result.left_out:
        _show_left_out(out, result)
    if result.memory:
        _show_memory(out, result)
    for note in result.log.notes:
        out.print(note, markup=False)
    if written is not None and path is not None:
        more = len(written.rows) - len(result.table.rows) if result.table else 0
        beside = f", beside {more} that were there" if more else ""
        out.print(f"Wrote {path}: {len(result.table.rows if result.table else ())} rows{beside}.")
    elif result.table is not None:
        out.print("Nothing is written: give --out FILE to write the table.")


def _show_rows(out: Console, log: Path, result: Imported) -> None:
    from hybrid_nas.profiling.imports.importing import total
    from hybrid_nas.profiling.pool import describe_op

    table = result.table
    assert table is not None
    identity = table.identity
    title = (
        f"{log.name} ({result.log.format}): {len(table.rows)} rows, {table.kind}, "
        f"{identity.board}, {identity.clock_hz / 1e6:g} MHz, {identity.runtime} "
        f"{identity.runtime_version}"
    )
    columns = ["operator", identity.unit, "spread", "count"]
    rows = [
        [
            describe_op(op),
            _number(row.value),
            _number(row.spread) if row.spread else None,
            row.count,
        ]
        for op, row in table.rows.items()
    ]
    out.print(make_table(columns, rows, title=title, numeric=columns[1:]))
    imported, other = total(result.imported), total(result.left_out)
    share = imported / (imported + other) if imported + other else 0.0
    out.print(
        f"{len(result.imported)} of {len(result.timed)} operators imported: {_number(imported)} "
        f"{identity.unit}, {share:.1%} of the sum; other: {_number(other)} {identity.unit}.",
        markup=False,
    )


def _show_left_out(out: Console, result: Imported) -> None:
    from hybrid_nas.profiling.imports.importing import reason_of, total

    groups: dict[tuple[str, str], list[Any]] = {}
    for one in result.left_out:
        groups.setdefault((one.row.word, reason_of(one)), []).append(one)
    unit = result.timed[0].row.unit
    rows = [
        [
            word,
            len(group),
            ", ".join(str(one.row.line) for one in group[:4]),
            _number(total(group)),
            why,
        ]
        for (word, why), group in groups.items()
    ]
    shown = rows[:_REASONS_SHOWN]
    columns = ["not imported", "n", "lines", unit, "why"]
    out.print(make_table(columns, shown, numeric=("n", unit)))
    if len(rows) > len(shown):
        out.print(f"and {len(rows) - len(shown)} more kinds; --json lists all.")


def _show_memory(out: Console, result: Imported) -> None:
    columns = ["memory", "report", "our estimate", "error", "line"]
    rows: list[list[object]] = [
        [
            one.figure.what,
            format_bytes(one.figure.bytes),
            None if one.estimate is None else format_bytes(one.estimate),
            None if one.error is None else f"{one.error:+.1%}",
            one.figure.line,
        ]
        for one in result.memory
    ]
    out.print(make_table(columns, rows, numeric=columns[1:]))
    if result.no_estimate:
        out.print(f"No estimate to compare with: {result.no_estimate}.", markup=False)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10**_MS_DIGITS else f"{value:.{_MS_DIGITS}g}"
