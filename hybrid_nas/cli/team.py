"""Training commands under `torchrun`: one voice, one ending."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hybrid_nas.cli.interrupt import stop_on_interrupt
from hybrid_nas.errors import HybridNasError
from hybrid_nas.supernet.distributed import Team, join_team

if TYPE_CHECKING:
    from rich.console import Console

_INTERRUPTED = 130


@contextmanager
def training_team(text: Console) -> Iterator[Team]:
    """The processes that train together; all but the first print nothing to `text`.

    What goes wrong in the block ends them all, and one of them says why: the first that knows.
    """
    with join_team() as team:
        text.quiet = text.quiet or not team.leads
        try:
            yield team
        except (HybridNasError, OSError) as error:
            if team.may_speak():
                raise
            status = getattr(error, "exit_status", HybridNasError.exit_status)
            raise SystemExit(status) from error
        except KeyboardInterrupt as error:
            if team.may_speak():
                raise
            raise SystemExit(_INTERRUPTED) from error


@contextmanager
def stop_together(team: Team) -> Iterator[Callable[[], bool]]:
    """Whether this process was told to stop, to be asked between steps.

    `torchrun` hands on Ctrl-C and its own end to every process, some of them more than once, and
    kills those that are left half a minute later; so no signal here stops a step half done.
    """
    if team.size == 1:
        with stop_on_interrupt() as stop:
            yield stop
        return
    told = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda _number, _frame: told.set())
    try:
        yield told.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
