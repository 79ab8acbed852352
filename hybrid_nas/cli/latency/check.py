"""``hybrid-nas latency check``: a latency table against measurements that it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid_nas.cli.output import console, emit_json, make_table

if TYPE_CHECKING:
    from rich.console import Console

    from hybrid_nas.hardware.latency_errors import Agreement, Check

SCHEMA = "hybrid-nas/latency-check/1"


def register(app: typer.Typer) -> None:
    """Add the command to the group."""

    @app.command("check")
    def check(
        table: Annotated[
            str,
            typer.Argument(
                metavar="TABLE|BOARD", help="A latency table (YAML), or a board with shipped ones."
            ),
        ],
        against: Annotated[
            Path,
            typer.Option(
                "--against",
                metavar="FILE.csv",
                help="Measurements: columns op, h, w, cin, cout, kernel, stride, value, unit, ...",
            ),
        ],
        runtime: Annotated[
            str | None, typer.Option("--runtime", help="Which of the board's tables.")
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Print a table's error on measured operators, those that it holds itself apart."""
        from hybrid_nas.hardware import latency_errors as work
        from hybrid_nas.hardware.latency_csv import read_measurements
        from hybrid_nas.hardware.latency_files import named_table

        found = named_table(table, runtime)
        result = work.check(found, read_measurements(against, found.identity))
        if json:
            emit_json(_document(found.name, against, result))
        else:
            _show(console(json=False), f"{found.name} against {against.name}", result)


def _document(table: str, against: Path, result: Check) -> dict[str, Any]:
    from hybrid_nas.hardware.latency_summary import op_words

    worst = result.worst and {"op": op_words(result.worst[0]), "error": result.worst[1]}
    return {
        "schema": SCHEMA,
        "table": table,
        "against": against,
        "unseen": result.unseen,
        "by_class": result.by_class,
        "seen": result.seen,
        "not_predictable": result.not_predictable,
        "worst": worst,
    }


def _show(out: Console, title: str, result: Check) -> None:
    from hybrid_nas.hardware.latency_errors import verdict
    from hybrid_nas.hardware.latency_summary import op_words

    columns = ["operators", "n", "mean", "median", "p95", "worst", "bias", "Kendall tau"]
    columns += ["in 90 %", "extrapolated"]
    rows = [_cells(name, one) for name, one in result.by_class.items()]
    if result.unseen is not None:
        rows.append(_cells("all unseen", result.unseen))
    if result.seen is not None:
        rows.append(_cells("rows of the table", result.seen))
    if rows:
        out.print(make_table(columns, rows, title=f"Errors of {title}", numeric=columns[1:]))
    if result.unseen is None:
        out.print("The table has seen every operator, or can predict none of the others.")
    else:
        out.print(f"Unseen operators: {verdict(result.unseen.mean)}.", markup=False)
    if result.worst is not None:
        op, error = result.worst
        out.print(f"Farthest off: {op_words(op)}, predicted {error:+.1%}.", markup=False)
    for name, count in result.not_predictable.items():
        out.print(f"Left out: {count} {name}, of which the table has no row.", markup=False)


def _cells(name: str, one: Agreement) -> list[object]:
    errors = (one.mean, one.median, one.p95, one.worst)
    return [
        name,
        one.n,
        *(f"{value:.2%}" for value in errors),
        f"{one.bias:+.2%}",
        None if one.kendall_tau is None else f"{one.kendall_tau:.3f}",
        None if one.interval_90 is None else f"{one.interval_90:.0%}",
        one.extrapolated,
    ]
