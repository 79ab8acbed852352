"""Showing a final training: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from rich.console import Console

    from hybrid_nas.training.trainer import TrainingState

_LINE_EVERY_S = 20.0


@contextmanager
def training_report(console: Console) -> Iterator[Callable[[TrainingState], None]]:
    """What to call after each step."""
    if not console.is_terminal:
        yield _lines(console)
        return
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, speed_estimate_period=120) as bar:
        task = bar.add_task("training", total=None, figures="")

        def report(state: TrainingState) -> None:
            bar.update(task, total=state.steps, completed=state.step, figures=_figures(state))

        yield report


def _lines(console: Console) -> Callable[[TrainingState], None]:
    printed, rounds = time.monotonic(), 0

    def report(state: TrainingState) -> None:
        nonlocal printed, rounds
        now = time.monotonic()
        if now - printed >= _LINE_EVERY_S or len(state.rounds) != rounds:
            printed, rounds = now, len(state.rounds)
            console.print(f"step {state.step}/{state.steps}  {_figures(state)}", markup=False)

    return report


def _figures(state: TrainingState) -> str:
    last = state.rounds[-1]
    return (
        f"loss {state.loss:.3f}  base {last.base:.1%}  hybrid {last.hybrid:.1%} after round "
        f"{last.round}  {state.images_per_s:.0f} images/s"
    )
