"""``hybrid-nas latency show``: what a latency table holds, how wrong it is, and a picture of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid_nas.cli.output import console, emit_json, make_table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from hybrid_nas.hardware.latency_summary import TableSummary

SCHEMA = "hybrid-nas/latency-show/1"


def register(app: typer.Typer) -> None:
    """Add the command to the group."""

    @app.command("show")
    def show(
        table: Annotated[
            str,
            typer.Argument(
                metavar="TABLE|BOARD", help="A latency table (YAML), or a board with shipped ones."
            ),
        ],
        runtime: Annotated[
            str | None, typer.Option("--runtime", help="Which of the board's tables.")
        ] = None,
        plot: Annotated[
            Path | None,
            typer.Option("--plot", help="Draw the rows, work against speed, into this PNG."),
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Show a latency table: what it belongs to, its rows, and its errors with a verdict."""
        from hybrid_nas.hardware.latency_files import named_table
        from hybrid_nas.hardware.latency_summary import summarise

        found = named_table(table, runtime)
        summary = summarise(found)
        if plot is not None:
            from hybrid_nas.report.latency_plot import write_latency_plot

            write_latency_plot(found, plot)
        if json:
            emit_json({"schema": SCHEMA, **summary.document(), "plot": plot})
        else:
            _show(console(json=False), summary)
            if plot is not None:
                console(json=False).print(f"Picture: {plot}", markup=False)


def _show(out: Console, summary: TableSummary) -> None:
    table = summary.table
    out.print(f"{table.name}: {table.kind}; {table.source}", markup=False)
    for what, value in summary.facts().items():
        out.print(f"  {what:15s} {value}", markup=False)
    if summary.classes:
        out.print(_classes(summary))
        out.print(_slowest(summary))
    if table.model:
        terms = ", ".join(f"{name} {value:g}" for name, value in table.model.items())
        out.print(f"Model, in ms per million: {terms}", markup=False)
    for line in summary.verdicts():
        out.print(line, markup=False)


def _classes(summary: TableSummary) -> Table:
    columns = ["operators", "rows", "fastest", "slowest", "mean", "p95", "worst", "in 90 %", ""]
    rows: list[list[object]] = []
    for one in summary.classes:
        error = one.held_out
        percent: list[object] = [None] * 4
        if error is not None:
            percent = [f"{value:.2%}" for value in (error.mean, error.p95, error.worst)]
            percent.append(f"{error.interval_90:.0%}")
        span = [f"{one.least:.4g}", f"{one.most:.4g}"]
        rows.append([one.op_class, one.rows, *span, *percent, one.verdict])
    unit = summary.table.identity.unit
    title = f"Rows ({unit}), and errors where they are held out"
    return make_table(columns, rows, title=title, numeric=columns[1:-1])


def _slowest(summary: TableSummary) -> Table:
    columns = ["operator", "value", "spread", "repeats", "of all rows"]
    rows = [
        [one.name, f"{one.value:.6g}", f"{one.spread:.3g}", one.count, f"{one.share:.1%}"]
        for one in summary.slowest
    ]
    title = f"Slowest rows ({summary.table.identity.unit})"
    return make_table(columns, rows, title=title, numeric=columns[1:])
