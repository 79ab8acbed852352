"""Showing a measuring session: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hybrid_nas.profiling.backend import Timed
from hybrid_nas.profiling.pool import describe_op
from hybrid_nas.units import format_ms

if TYPE_CHECKING:
    from rich.console import Console

    from hybrid_nas.hardware.latency_table import Identity
    from hybrid_nas.profiling.measuring import Progress

_LINE_EVERY_S = 15.0

Show = Callable[[int, int, str], None]
"""Called with what is done, the total, and what came last in words."""


@contextmanager
def progress_bar(console: Console, what: str, unit: str) -> Iterator[Show]:
    """What to call after each step."""
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
        TextColumn("{task.fields[latest]}", markup=False),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(what, total=None, latest="")

        def show(done: int, total: int, latest: str) -> None:
            bar.update(task, completed=done, total=total, latest=latest)

        yield show


def op_words(progress: Progress, identity: Identity) -> str:
    """The last answer: the operator, and what it took or why it was refused."""
    answer = progress.answer
    if not isinstance(answer, Timed):
        return f"{describe_op(answer.op)}: refused"
    value = answer.measurement.value
    if identity.unit in ("ms", "us"):
        return f"{describe_op(answer.op)}: {format_ms(value * identity.unit_ms)}"
    return f"{describe_op(answer.op)}: {value:,.0f} {identity.unit}"


def _line_report(console: Console, unit: str) -> Show:
    last = time.monotonic()

    def show(done: int, total: int, latest: str) -> None:
        nonlocal last
        if time.monotonic() - last < _LINE_EVERY_S:
            return
        last = time.monotonic()
        tail = f", {latest}" if latest else ""
        console.print(f"{done}/{total} {unit}{tail}", markup=False, soft_wrap=True)

    return show
