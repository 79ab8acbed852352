"""Showing a long training, and stopping it without losing it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
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


@contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed, to be asked between steps; a second one interrupts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    pressed = threading.Event()

    def note(_signal: int, _frame: FrameType | None) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


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
