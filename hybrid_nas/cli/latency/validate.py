"""``hybrid-nas latency validate``: a table's error on whole networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid_nas.cli.output import console, emit_json, err_console, make_table
from hybrid_nas.units import format_ms

if TYPE_CHECKING:
    from rich.console import Console

    from hybrid_nas.hardware.latency_table import LatencyTable
    from hybrid_nas.profiling.backend import Backend
    from hybrid_nas.profiling.validation import Validated
    from hybrid_nas.spaces.space import SearchSpace

SCHEMA = "hybrid-nas/latency-validate/1"


def register(app: typer.Typer) -> None:
    """Add the command to the group."""

    @app.command("validate")
    def validate(
        table: Annotated[
            Path, typer.Argument(metavar="TABLE", help="Table to validate; it is updated.")
        ],
        board: Annotated[
            str | None,
            typer.Option("--board", help="The device; by default the one that the table is of."),
        ] = None,
        port: Annotated[
            str | None,
            typer.Option("--port", metavar="DEV", help="Serial port, or socket://HOST:PORT."),
        ] = None,
        networks: Annotated[
            int, typer.Option("--networks", min=3, help="Random whole networks to measure.")
        ] = 8,
        space: Annotated[
            str, typer.Option("--space", help="Search space of the networks.")
        ] = "mcunet",
        classes: Annotated[
            int, typer.Option("--classes", min=2, help="Outputs of the networks.")
        ] = 1000,
        seed: Annotated[int, typer.Option("--seed", min=0, help="Which networks.")] = 0,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Measure random whole networks, fit the table's correction, and state its error."""
        from hybrid_nas.hardware.latency_files import load_table
        from hybrid_nas.profiling.open import open_backend
        from hybrid_nas.spaces.loader import load_space

        loaded, searched = load_table(table), load_space(space, classes=classes)
        with open_backend(port, board or (None if port else loaded.identity.board)) as backend:
            result = run_validation(loaded, table, backend, searched, networks, seed)
        if json:
            emit_json({"schema": SCHEMA, "table": table} | validation_document(result))
        else:
            out = console(json=False)
            _show_networks(out, result)
            show_validation(out, result)


def run_validation(
    table: LatencyTable, path: Path, backend: Backend, space: SearchSpace, networks: int, seed: int
) -> Validated:
    """Measure, show how far it is on standard error, and write the table with its error."""
    from hybrid_nas.cli.interrupt import stop_on_interrupt
    from hybrid_nas.cli.progress import progress_bar
    from hybrid_nas.hardware.latency_files import save_table
    from hybrid_nas.profiling.validation import random_networks, validate

    candidates = random_networks(space, backend.identity.board, seed, networks)
    people = err_console()
    with stop_on_interrupt() as stop, progress_bar(people, "validating", "networks") as show:
        result = validate(
            table,
            backend,
            candidates,
            networks,
            report=lambda done, total: show(done, total, ""),
            stop=stop,
        )
    save_table(result.table, path)
    return result


def validation_document(result: Validated) -> dict[str, Any]:
    """What scripts read."""
    return {
        "validation": result.validation,
        "correction": result.table.correction,
        "networks": [
            {
                "n_ops": check.n_ops,
                "macs": check.macs,
                "in_table": check.in_table,
                "sum_ms": check.sum_ms,
                "measured_ms": check.measured_ms,
                "predicted_ms": check.predicted_ms,
                "error": check.error,
            }
            for check in result.networks
        ],
        "refused": result.refused,
    }


def show_validation(out: Console, result: Validated) -> None:
    """The error on whole networks in a line or two, with what it means for ``--latency``."""
    from hybrid_nas.hardware.limits import trust_in_latency

    validation, correction = result.validation, result.table.correction
    tau = "" if validation.kendall_tau is None else f", Kendall tau {validation.kendall_tau:.2f}"
    out.print(
        f"whole networks: error {validation.mean:.2%} mean, {validation.worst:.2%} worst of "
        f"{validation.networks}, each predicted without itself{tau}",
        markup=False,
        soft_wrap=True,
    )
    out.print(
        f"correction: {correction.scale:.4g} x sum of operators + "
        f"{format_ms(correction.per_op_ms)} x operators",
        markup=False,
        soft_wrap=True,
    )
    if result.refused:
        out.print(
            f"{len(result.refused)} networks were passed over; the last: {result.refused[-1]}",
            markup=False,
            soft_wrap=True,
        )
    trust = trust_in_latency(result.table)
    if trust.doubt:
        out.print(f"warning: {trust.doubt}", markup=False, soft_wrap=True)


def _show_networks(out: Console, result: Validated) -> None:
    columns = ["operators", "in the table", "MMACs", "sum", "measured", "predicted", "error"]
    rows = [
        (
            check.n_ops,
            f"{check.in_table:.0%}",
            f"{check.macs / 1e6:.1f}",
            format_ms(check.sum_ms),
            format_ms(check.measured_ms),
            format_ms(check.predicted_ms),
            f"{check.error:+.1%}",
        )
        for check in result.networks
    ]
    out.print(make_table(columns, rows, numeric=columns))
