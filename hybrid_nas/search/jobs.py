"""Further processes of one machine on the same study."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any

from hybrid_nas.errors import HybridNasError
from hybrid_nas.search.join import Membership, open_study
from hybrid_nas.search.leave import Leave
from hybrid_nas.search.patience import Patience
from hybrid_nas.search.progress import ProgressMeter, SearchProgress
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.search.worker import Worker

_LEAVES_WITHIN_S = 30.0


@dataclass(frozen=True)
class Post:
    """Where a process works and on what; plain values, for another process.

    Attributes:
        url, study: the study.
        heartbeat_s: see `open_storage`.
        settings: `SearchSettings.to_dict`.
    """

    url: str
    study: str
    heartbeat_s: int
    settings: dict[str, Any]


@dataclass(frozen=True)
class Share:
    """What a worker did.

    Attributes:
        scored: candidates that its first process scored.
        ended: why the study needs no more; None if the worker was asked to leave.
    """

    scored: int
    ended: str | None


class Crew:
    """Further processes that score candidates of a study until it has enough.

    Within the context they work. Leaving it asks those that still do to leave: they give the
    candidate that they are at back. They leave by themselves, too, when this process is gone.

    Args:
        post: what they work on.
        count: how many there are.
    """

    def __init__(self, post: Post, count: int) -> None:
        context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
        self._processes: list[BaseProcess] = [
            context.Process(target=_work, args=(post,), daemon=True) for _ in range(count)
        ]

    def __enter__(self) -> Crew:
        with _interrupts_ignored():  # by the new ones too: Ctrl-C is the first one's to handle
            for process in self._processes:
                process.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join(_LEAVES_WITHIN_S)
            if process.is_alive():
                process.kill()
                process.join()

    def wait(self) -> int:
        """Wait until all are done; how many died or failed."""
        for process in self._processes:
            process.join()
        return sum(process.exitcode != 0 for process in self._processes)


def _work(post: Post) -> None:
    """What a further process does; it ends with a status like a command."""
    leave = Leave()
    with leave.on_signals(signal.SIGTERM):
        try:
            setup = SearchSetup(SearchSettings.from_dict(post.settings))
            study = open_study(setup, post.url, post.study, post.heartbeat_s)
            enough = Patience(setup.problem, setup.settings)
            worker = Worker(study, setup.problem, setup.scorer, setup.settings, leave, enough)
            parent = multiprocessing.parent_process()
            worker.run(stop=lambda: parent is not None and not parent.is_alive())
        except KeyboardInterrupt:
            return
        except HybridNasError as error:
            print(f"worker process {os.getpid()}: {error}", file=sys.stderr)
            sys.exit(error.exit_status)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Ignore Ctrl-C for a moment; processes started meanwhile ignore it for good."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may, and gets them
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def work_on(
    member: Membership,
    url: str,
    leave: Leave,
    report: Callable[[SearchProgress], None] | None = None,
) -> Share:
    """Score candidates of a study that this process joined, with as many processes as it is to be.

    Args:
        member: of `join_study`.
        url: of the study's storage.
        leave: asked to leave, everybody gives the candidate back that is being scored.
        report: called when a candidate has been scored, here or elsewhere.
    """
    setup, study = member.setup, member.study
    settings = setup.settings
    post = Post(url, study.study_name, member.record.heartbeat_s, settings.to_dict())
    enough = Patience(setup.problem, settings)
    worker = Worker(study, setup.problem, setup.scorer, settings, leave, enough)
    meter = None if report is None else ProgressMeter(setup.problem, settings, report)
    with Crew(post, settings.jobs - 1) as crew:
        try:
            ended = worker.run(meter)
        except KeyboardInterrupt:
            return Share(worker.done_here, None)
        crew.wait()
    return Share(worker.done_here, ended)
