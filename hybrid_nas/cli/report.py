"""``hybrid-nas report``: write the report of a run again, and show its front."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from hybrid_nas.cli.output import console, emit_json


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(report)


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run directory, such as runs/NAME.")],
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the page in a web browser.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on standard output.")
    ] = False,
) -> None:
    """Write plots and report.html of a run whose search has ended, and show its front."""
    from hybrid_nas.report.documents import read_run
    from hybrid_nas.report.terminal import show_front
    from hybrid_nas.report.verdict import verdict
    from hybrid_nas.report.write import write_report

    page = write_report(run)
    front = read_run(run).front
    out = console(json=json)
    show_front(out, front, page)
    if json:
        emit_json(
            {
                "schema": "hybrid-nas/report/1",
                "run": run,
                "report": page,
                "plots": sorted((run / "plots").glob("*.png")),
                "best": front.best.id if front.best else None,
                "verdict": verdict(front).headline,
            }
        )
    if open_page and not webbrowser.open(page.resolve().as_uri()):
        out.print(f"No web browser could be started; open {page} yourself.", markup=False)
