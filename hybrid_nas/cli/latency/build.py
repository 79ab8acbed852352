"""``hybrid-nas latency build``: a latency table from a board, an emulated board or this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid_nas.cli.output import console, emit_json, err_console, make_table
from hybrid_nas.errors import HybridNasError
from hybrid_nas.units import format_ms

if TYPE_CHECKING:
    from rich.console import Console

    from hybrid_nas.hardware.latency_table import Identity
    from hybrid_nas.profiling.backend import Backend
    from hybrid_nas.profiling.building import BuildJob, Built
    from hybrid_nas.profiling.measuring import Progress
    from hybrid_nas.profiling.validation import Validated
    from hybrid_nas.spaces.space import SearchSpace

SCHEMA = "hybrid-nas/latency-build/1"
_REASONS_SHOWN = 5


def register(app: typer.Typer) -> None:
    """Add the command to the group."""

    @app.command("build")
    def build(
        board: Annotated[
            str | None,
            typer.Option(
                "--board", help="host, or emulated-cortex-m7, -m4, -m33, -m3, -m0 (QEMU)."
            ),
        ] = None,
        port: Annotated[
            str | None,
            typer.Option(
                "--port", metavar="DEV", help="Serial port of a board, or socket://HOST:PORT."
            ),
        ] = None,
        space: Annotated[
            str, typer.Option("--space", help="Search space whose operators are measured.")
        ] = "mcunet",
        classes: Annotated[
            int, typer.Option("--classes", min=2, help="Outputs of the space's networks.")
        ] = 1000,
        budget: Annotated[
            int | None,
            typer.Option(
                "--budget", min=1, help="Operators to measure; 120 (host: 500), or those of --ops."
            ),
        ] = None,
        ops: Annotated[
            Path | None,
            typer.Option("--ops", help="CSV or JSON list of operators, instead of a plan."),
        ] = None,
        out: Annotated[
            Path | None, typer.Option("--out", help="Table to write; BOARD.RUNTIME.yaml here.")
        ] = None,
        seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the plan.")] = 0,
        extend: Annotated[
            bool, typer.Option("--extend", help="Measure --budget more into a finished table.")
        ] = False,
        restart: Annotated[
            bool, typer.Option("--restart", help="Discard what was measured before.")
        ] = False,
        networks: Annotated[
            int, typer.Option("--networks", min=3, help="Whole networks to validate with.")
        ] = 8,
        no_validate: Annotated[
            bool, typer.Option("--no-validate", help="Measure no whole networks.")
        ] = False,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Measure operators and write a latency table; interrupted, the same command goes on."""
        from hybrid_nas.profiling.building import BuildJob
        from hybrid_nas.profiling.op_list import read_ops
        from hybrid_nas.profiling.open import open_backend
        from hybrid_nas.spaces.loader import load_space

        searched = load_space(space, classes=classes)
        listed = () if ops is None else tuple(read_ops(ops))

        def job_for(path: Path) -> BuildJob:
            return BuildJob(searched, path, budget, listed, seed, extend, restart)

        if out is not None:
            job_for(out).check_out()  # before a device is opened
        with open_backend(port, board) as backend:
            job = job_for(out or default_path(backend.identity))
            built = _measure(job, backend)
            validated = None
            if not no_validate:
                validated = _validate(built, backend, searched, networks, seed)
        if json:
            emit_json(_document(built, validated))
        else:
            _show(console(json=False), built, validated)


def default_path(identity: Identity) -> Path:
    """Where a table goes without ``--out``: named like the tables that come with the program."""
    return Path(f"{identity.board}.{identity.runtime}.yaml")


def _measure(job: BuildJob, backend: Backend) -> Built:
    from hybrid_nas.cli.interrupt import stop_on_interrupt
    from hybrid_nas.cli.progress import progress_bar
    from hybrid_nas.profiling.building import build_table
    from hybrid_nas.profiling.journal import journal_path

    people = err_console()
    for warning in getattr(backend, "warnings", ()):
        people.print(f"warning: {warning}", markup=False, soft_wrap=True)
    try:
        with stop_on_interrupt() as stop, progress_bar(people, "measuring", "operators") as show:
            return build_table(
                job,
                backend,
                report=lambda progress: show(
                    progress.done, progress.total, _op_words(progress, backend.identity)
                ),
                stop=stop,
            )
    except KeyboardInterrupt:
        if journal_path(job.out).exists():
            people.print(
                f"stopped; what was measured is kept in {journal_path(job.out)}, and the same "
                "command (without --restart) goes on from there",
                markup=False,
                soft_wrap=True,
            )
        raise


def _validate(
    built: Built, backend: Backend, space: SearchSpace, networks: int, seed: int
) -> Validated | None:
    """The validation; where it fails, the table stays as it was measured."""
    from hybrid_nas.cli.latency.validate import run_validation

    people = err_console()
    again = f"the table is finished; validate it with: hybrid-nas latency validate {built.path}"
    try:
        return run_validation(built.table, built.path, backend, space, networks, seed)
    except HybridNasError as error:
        people.print(f"warning: no validation: {error}", markup=False, soft_wrap=True)
        return None
    except KeyboardInterrupt:
        people.print(again, markup=False, soft_wrap=True)
        raise


def _document(built: Built, validated: Validated | None) -> dict[str, Any]:
    from hybrid_nas.cli.latency.validate import validation_document

    table = built.table
    return {
        "schema": SCHEMA,
        "table": built.path,
        "kind": table.kind,
        "identity": table.identity,
        "rows": len(table.rows),
        "new_rows": built.new,
        "rows_per_class": built.rows_per_class,
        "refused": [{"op": op, "reason": reason} for op, reason in built.refused.items()],
        "held_out": table.held_out,
        "validation": None if validated is None else validation_document(validated),
    }


def _show(out: Console, built: Built, validated: Validated | None) -> None:
    from hybrid_nas.cli.latency.validate import show_validation

    table = built.table
    identity = table.identity
    title = f"{identity.board}, {identity.runtime} {identity.runtime_version}, {table.kind}"
    columns = ["operators", "rows", "held-out error", "95 %", "in 90 % interval"]
    rows = []
    for name, count in built.rows_per_class.items():
        error = table.held_out.get(name)
        figures = () if error is None else (error.mean, error.p95, error.interval_90)
        rows.append((name, count, *(f"{figure:.1%}" for figure in figures)))
    out.print(make_table(columns, rows, title=title, numeric=columns[1:]))
    _show_refused(out, built)
    if validated is not None:
        show_validation(out, validated)
    out.print(f"wrote {built.path}, {len(table.rows)} operators", markup=False, soft_wrap=True)
    out.print(f"look at it: hybrid-nas latency show {built.path}", markup=False, soft_wrap=True)


def _show_refused(out: Console, built: Built) -> None:
    from hybrid_nas.profiling.pool import describe_op

    if not built.refused:
        return
    out.print(f"{len(built.refused)} operators were refused:", markup=False)
    for op, reason in list(built.refused.items())[:_REASONS_SHOWN]:
        out.print(f"  {describe_op(op)}: {reason}", markup=False, soft_wrap=True)
    if len(built.refused) > _REASONS_SHOWN:
        out.print(f"  ... and {len(built.refused) - _REASONS_SHOWN} more (--json lists them)")


def _op_words(progress: Progress, identity: Identity) -> str:
    """The last answer: the operator, and what it took or that it was refused."""
    from hybrid_nas.profiling.backend import Timed
    from hybrid_nas.profiling.pool import describe_op

    answer = progress.answer
    if not isinstance(answer, Timed):
        return f"{describe_op(answer.op)}: refused"
    value = answer.measurement.value
    if identity.unit in ("ms", "us"):
        return f"{describe_op(answer.op)}: {format_ms(value * identity.unit_ms)}"
    return f"{describe_op(answer.op)}: {value:,.0f} {identity.unit}"
