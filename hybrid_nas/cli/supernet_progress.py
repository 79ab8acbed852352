"""Showing a long training."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

if TYPE_CHECKING:
    from rich.console import Console

    from hybrid_nas.supernet.training import Progress

Report = Callable[["Progress"], None]

_LINE_EVERY_S = 30.0


@contextmanager
def training_report(console: Console, first_step: int) -> Iterator[Report]:
    """What to call after each step: a bar on a terminal, a line now and then elsewhere."""
    if not console.is_terminal:
        yield _line_report(console)
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
    with Bar(*columns, console=console, speed_estimate_period=300) as bar:
        task = bar.add_task("training", total=None, completed=first_step, figures="")

        def report(progress: Progress) -> None:
            bar.update(
                task,
                total=progress.steps,
                completed=progress.step,
                figures=_figures(progress),
            )

        yield report


def _line_report(console: Console) -> Report:
    begun = printed = time.monotonic()

    def report(progress: Progress) -> None:
        nonlocal printed
        now = time.monotonic()
        if now - printed >= _LINE_EVERY_S or progress.step == progress.steps:
            printed = now
            step = f"{now - begun:6.0f} s  step {progress.step}/{progress.steps}"
            console.print(f"{step}  {_figures(progress)}", markup=False)

    return report


def _figures(progress: Progress) -> str:
    return (
        f"loss {progress.loss:.3f}  accuracy {progress.accuracy:.1%}  "
        f"{progress.images_per_s:.0f} images/s"
    )
