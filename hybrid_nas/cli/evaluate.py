"""``hybrid-nas evaluate``: a pair of a run on the test split, beside every alternative."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid_nas.cli.multivalue import parse_coverages
from hybrid_nas.cli.options import Guarantee, Threads, Untrained
from hybrid_nas.cli.output import console, emit_json, err_console, make_table
from hybrid_nas.cli.subject import named_pair
from hybrid_nas.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from hybrid_nas.evaluation.job import EvaluationJob


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command("evaluate")
    def evaluate(
        run: Annotated[Path, typer.Argument(metavar="RUN", help="Run directory of a search.")],
        pair: Annotated[int, typer.Option("--pair", min=1, help="Number of the pair.")],
        coverage: Annotated[
            list[str] | None,
            typer.Option(
                "--coverage",
                metavar="SHARE...",
                help="Shares of the inputs to keep on the device; the run's by default.",
            ),
        ] = None,
        guarantee: Guarantee = None,
        untrained: Untrained = False,
        severity: Annotated[
            list[int] | None,
            typer.Option(
                "--severity",
                min=1,
                max=5,
                help="Strength of the corruptions, 1 to 5; 3 by default. May be repeated.",
            ),
        ] = None,
        no_shift: Annotated[
            bool,
            typer.Option("--no-shift", help="Leave corruptions and unknown images out."),
        ] = False,
        seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of all that is drawn.")] = 0,
        device: Annotated[str, typer.Option("--device", help="cpu, cuda or auto.")] = "auto",
        threads: Threads = None,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Evaluate a pair in int8 on the test split, against every baseline."""
        coverages = parse_coverages(coverage or [], ())
        if severity and no_shift:
            raise InputError(
                "--no-shift leaves the corruptions out that --severity is about: give one"
            )

        import torch

        from hybrid_nas.evaluation.job import DEFAULT_SEVERITY, EvaluationJob
        from hybrid_nas.routing.guarantees import parse_promise
        from hybrid_nas.supernet.device import choose_device
        from hybrid_nas.threads import cores

        promises = tuple(parse_promise(text) for text in guarantee or [])
        chosen = named_pair(run, pair)
        torch.set_num_threads(threads or cores())
        severities = tuple(dict.fromkeys(severity or [DEFAULT_SEVERITY]))
        job = EvaluationJob(
            chosen,
            coverages or None,
            promises,
            untrained=untrained,
            severities=() if no_shift else severities,
            seed=seed,
            device=choose_device(device),
        )
        _run(job, json=json)


def _run(job: EvaluationJob, *, json: bool) -> None:
    from hybrid_nas.cli.evaluation_tables import evaluation_tables

    progress = err_console()
    document = job.run(lambda text: progress.print(f"evaluating {text}", markup=False))
    if json:
        emit_json(document)
        return
    people = console(json=json)
    _show(people, document, evaluation_tables(document))
    folder = job.pair.directory.pair(job.pair.number)
    people.print(f"Written to {folder}: evaluation.json and plots", markup=False)


def _show(people: Console, document: dict[str, Any], tables: Any) -> None:
    for title, columns, rows in tables:
        people.print(make_table(columns, rows, title=title, numeric=columns[1:]))
    if document["costs"]["reading"]:
        people.print(document["costs"]["reading"], markup=False)
    for one in document["guarantees"]:
        people.print(f"{one['guarantee']}: {one['reading']}", markup=False)
    if document["shift"] and document["shift"]["cloud_left_out"]:
        people.print(document["shift"]["cloud_left_out"], markup=False)
    people.print(document["test_split"]["reading"], markup=False)
