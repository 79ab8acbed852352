"""Showing a running search: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from rich.console import Console

    from hybrid_nas.search.progress import SearchProgress

Report = Callable[["SearchProgress"], None]

_LINE_EVERY_S = 15.0


@contextmanager
def search_report(console: Console, trials: int) -> Iterator[Report]:
    """What to call after each candidate."""
    if not console.is_terminal:
        yield _line_report(console)
        return
    columns = (
        TextColumn("searching"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("searching", total=trials, figures="preparing")

        def report(state: SearchProgress) -> None:
            bar.update(task, total=state.trials, completed=state.done, figures=_figures(state))

        yield report


def _line_report(console: Console) -> Report:
    last = time.monotonic()

    def report(state: SearchProgress) -> None:
        nonlocal last
        if time.monotonic() - last < _LINE_EVERY_S:
            return
        last = time.monotonic()
        console.print(f"{state.done}/{state.trials} candidates, {_figures(state)}", markup=False)

    return report


def _figures(state: SearchProgress) -> str:
    if not state.done:
        return "first candidate"
    left = "" if state.seconds_left is None else f", {state.seconds_left:.0f} s left"
    return f"best {state.best:.4g}, hypervolume {state.hypervolume:.4f}{left}"
