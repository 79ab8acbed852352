"""``hybrid-nas train``: final training of one pair of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid_nas.cli.options import Threads, coverage_option
from hybrid_nas.cli.output import console, emit_json, make_table
from hybrid_nas.cli.subject import named_pair
from hybrid_nas.supernet.recipe import MAX_SEED
from hybrid_nas.training.recipe import FinalRecipe

if TYPE_CHECKING:
    from rich.console import Console

    from hybrid_nas.training.progress import TrainingState

_RECIPE = FinalRecipe()


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command("train")
    def train(
        run: Annotated[Path, typer.Argument(metavar="RUN", help="Run directory of a search.")],
        pair: Annotated[int, typer.Option("--pair", min=1, help="Number of the pair.")],
        steps: Annotated[
            int, typer.Option("--steps", min=1, help="Steps of the base in all.")
        ] = _RECIPE.steps,
        rounds: Annotated[
            int, typer.Option("--rounds", min=1, help="How often the router is fitted anew.")
        ] = _RECIPE.rounds,
        batch: Annotated[
            int, typer.Option("--batch", min=1, help="Images per step.")
        ] = _RECIPE.batch,
        rate: Annotated[
            float, typer.Option("--rate", help="Highest learning rate.")
        ] = _RECIPE.peak_rate,
        weighted_from: Annotated[
            float,
            typer.Option(
                "--weighted-from",
                help="Share of the steps after which images weigh as the router decides, 0 to 1.",
            ),
        ] = _RECIPE.weighted_from,
        distillation: Annotated[
            float,
            typer.Option("--distillation", help="Weight of the cloud's soft labels, 0 to 1."),
        ] = _RECIPE.distillation,
        train_cloud: Annotated[
            bool, typer.Option("--train-cloud", help="Train the cloud too, if it is one of ours.")
        ] = False,
        patience: Annotated[
            int, typer.Option("--patience", min=1, help="Rounds without gain before it stops.")
        ] = _RECIPE.patience,
        coverage: Annotated[
            float | None,
            coverage_option("--coverage", help="To train for; the search's."),
        ] = None,
        seed: Annotated[
            int, typer.Option("--seed", min=0, max=MAX_SEED, help="Decides all that is random.")
        ] = 0,
        device: Annotated[str, typer.Option("--device", help="cpu, cuda or auto.")] = "auto",
        threads: Threads = None,
        restart: Annotated[
            bool, typer.Option("--restart", help="Drop an unfinished training of this pair.")
        ] = False,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Train a pair to the end: router, base and cloud in turn, as int8 will compute."""
        recipe = FinalRecipe(
            rounds=rounds,
            steps=steps,
            batch=batch,
            peak_rate=rate,
            weighted_from=weighted_from,
            distillation=distillation,
            train_cloud=train_cloud,
            patience=patience,
            seed=seed,
        )
        _train(run, pair, recipe, coverage, device, threads, restart=restart, json=json)


def _train(
    run: Path,
    number: int,
    recipe: FinalRecipe,
    coverage: float | None,
    device: str,
    threads: int | None,
    *,
    restart: bool,
    json: bool,
) -> None:
    import torch

    from hybrid_nas.cli.progress import progress_bar
    from hybrid_nas.cli.team import stop_together, training_team
    from hybrid_nas.supernet.distributed import choose_team_device
    from hybrid_nas.training.job import FinalJob

    people = console(json=json)
    with training_team(people) as team:
        torch.set_num_threads(threads or team.threads)
        pair = named_pair(run, number)
        target = pair.coverage_in_force if coverage is None else coverage
        job = FinalJob(pair, recipe, target, choose_team_device(team, device), team)
        with stop_together(team) as stop, progress_bar(people, "training", "steps") as show:
            done = job.train(
                lambda state: show(state.step, state.steps, _figures(state)),
                stop=stop,
                restart=restart,
            )
        if not done:
            people.print(
                f"stopped; {job.checkpoint} keeps it, and the same command goes on from there",
                markup=False,
            )
            raise KeyboardInterrupt
    if not team.leads:
        return
    document = job.write()
    if json:
        emit_json(document)
    else:
        _show(people, document, pair.folder)


def _figures(state: TrainingState) -> str:
    last = state.rounds[-1]
    return (
        f"loss {state.loss:.3f}, base {last.base:.1%}, hybrid {last.hybrid:.1%} after round "
        f"{last.round}, {state.images_per_s:.0f} images/s"
    )


def _show(people: Console, document: dict[str, Any], folder: Path) -> None:
    rows = [
        [
            "before" if figures["round"] == 0 else figures["round"],
            f"{figures['base']:.1%}",
            f"{figures['hybrid']:.1%}",
            f"{figures['stderr']:.1%}",
            "-" if figures["cloud"] is None else f"{figures['cloud']:.1%}",
            "kept" if figures["round"] == document["kept_round"] else "",
        ]
        for figures in document["rounds"]
    ]
    coverage = f"{document['coverage']:.0%} coverage"
    title = f"int8 accuracy at {coverage}, on images that no network learns from"
    columns = ["round", "base", "hybrid", "± 1 se", "cloud", ""]
    people.print(make_table(columns, rows, title=title, numeric=columns[1:5]))
    if document["kept"] == "before":
        people.print("No round was better than the pair as the search left it: that one is kept.")
    router = document["router"]
    gave_way = "" if router["deployed"] == router["kind"] else f" ({router['kind']} gave way to it)"
    people.print(f"Router: {router['deployed']}{gave_way}", markup=False)
    people.print(f"Written to {folder}", markup=False)
