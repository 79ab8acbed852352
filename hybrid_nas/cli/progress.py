"""Showing long work: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_LINE_EVERY_S = 15.0
_PACE_OVER_S = 300  # of the time left: what a step takes changes as a training goes on

Show = Callable[[int, int, str], None]
"""Called with what is done, the total, and the state in words."""


@contextmanager
def progress_bar(console: Console, what: str, unit: str, done: int = 0) -> Iterator[Show]:
    """What to call after each step.

    Args:
        console: a terminal gets a bar, anything else lines.
        what: the work, such as ``searching``.
        unit: what is counted, such as ``candidates``.
        done: how much was done in an earlier session.
    """
    if not console.is_terminal:
        yield _line_report(console, unit)
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[state]}", markup=False),
    )
    with Progress(*columns, console=console, speed_estimate_period=_PACE_OVER_S) as bar:
        task = bar.add_task(what, total=None, completed=done, state="")

        def show(done: int, total: int, state: str) -> None:
            bar.update(task, completed=done, total=total, state=state)

        yield show


def _line_report(console: Console, unit: str) -> Show:
    last = time.monotonic()

    def show(done: int, total: int, state: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _LINE_EVERY_S and done < total:
            return
        last = now
        tail = f", {state}" if state else ""
        console.print(f"{done}/{total} {unit}{tail}", markup=False, soft_wrap=True)

    return show
