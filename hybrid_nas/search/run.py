"""A whole search: check that something fits, score candidates, write the front down."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from hybrid_nas.errors import InfeasibleError, InputError
from hybrid_nas.hardware.feasible import nearest_feasible
from hybrid_nas.routing.designs import design
from hybrid_nas.search.objectives import OBJECTIVES
from hybrid_nas.search.progress import ProgressMeter, SearchProgress
from hybrid_nas.search.provenance import check_unchanged, describe_latency, hashes, versions
from hybrid_nas.search.rundir import RunDirectory
from hybrid_nas.search.sampler import FeasibleSampler
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.search.storage import create_study, fail_interrupted, open_storage, sqlite_url
from hybrid_nas.search.worker import Worker
from hybrid_nas.search.write import write_documents
from hybrid_nas.spaces.space import SearchSpace
from hybrid_nas.units import describe_bytes

Report = Callable[[SearchProgress], None]


@dataclass(frozen=True)
class SearchResult:
    """What a search ended with.

    Attributes:
        directory: where its documents are.
        document: ``pareto.json``.
        ended: why it ended, one sentence.
    """

    directory: RunDirectory
    document: dict[str, Any]
    ended: str


def prepare(settings: SearchSettings, directory: RunDirectory, *, resume: bool) -> SearchSetup:
    """Check settings, limits and inputs, and write or compare ``run.yaml``; nothing is run.

    Raises:
        InfeasibleError: nothing fits the limits.
        InputError: an input is wrong, the directory is taken, or a resumed run's inputs changed.
    """
    setup = SearchSetup(settings)
    _check_feasible(setup)
    digests = hashes(setup)
    if resume:
        check_unchanged(directory.read_settings()["hashes"], digests)
    elif directory.settings.exists() or directory.study.exists():
        raise InputError(
            f"{directory.path} holds a run already: go on with it by --resume, or choose another "
            "--run"
        )
    else:
        directory.write_settings(_run_record(setup, digests))
    return setup


def _check_feasible(setup: SearchSetup) -> None:
    """Refuse limits that no pair meets, with the cheapest router and cloud that may be chosen."""
    problem = setup.problem
    smallest = int(setup.space.architecture(setup.space.extremes()[0].tolist()).blocks[-1].cin)
    sizes = (problem.classes, smallest)
    router = min(map(design, setup.settings.routers), key=lambda d: d.flash_bytes(*sizes))
    found = nearest_feasible(
        setup.space,
        setup.costs_beside_smallest_cloud,
        setup.limits,
        router_flash_bytes=router.flash_bytes(*sizes),
        router_sram_bytes=router.sram_bytes(*sizes),
        router_macs=router.macs(*sizes),
    )
    if not found.feasible:
        raise InfeasibleError(found.message(setup.space.name))


def _run_record(setup: SearchSetup, digests: dict[str, Any]) -> dict[str, Any]:
    settings, limits = setup.settings, setup.limits
    warnings = list(setup.data.warnings)
    if setup.opened.info.data_fingerprint != setup.data.fingerprint:
        warnings.append(
            f"the supernet was not trained on this data ({setup.opened.info.data}): where its "
            "training images overlap with the score or test split, accuracies are too high"
        )
    other = setup.opened_cloud
    if other is not setup.opened and other.info.data_fingerprint != setup.data.fingerprint:
        warnings.append(
            f"the clouds' supernet was not trained on this data ({other.info.data}): where its "
            "training images overlap with the fit, score or test split, accuracies are too high"
        )
    if settings.reserve_sram_bytes == settings.reserve_flash_bytes == 0:
        warnings.append(
            "nothing is reserved for a radio stack and the application "
            "(--reserve-sram, --reserve-flash)"
        )
    return {
        "command": " ".join(["hybrid-nas", *sys.argv[1:]]),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": settings.to_dict(),
        "understood": {
            "sram": describe_bytes(limits.sram_bytes),
            "flash": describe_bytes(limits.flash_bytes),
            "reserve_sram": describe_bytes(settings.reserve_sram_bytes),
            "reserve_flash": describe_bytes(settings.reserve_flash_bytes),
            "space": _describe_space(setup.space),
            **(
                {}
                if setup.cloud_costs is None
                else {"cloud": f"one per pair: {_describe_space(setup.cloud_costs.space)}"}
            ),
        },
        "latency": describe_latency(setup.table),
        "versions": versions(),
        "hashes": digests,
        "warnings": warnings,
    }


def _describe_space(space: SearchSpace) -> str:
    return f"{space.name}, {space.count():.3g} architectures"


def run_search(
    settings: SearchSettings,
    directory: RunDirectory,
    *,
    storage_url: str | None = None,
    resume: bool = False,
    report: Report | None = None,
    stop: Callable[[], bool] | None = None,
) -> SearchResult:
    """Search and write the run directory.

    Killed at any moment and called again with ``resume``, it goes on where it was.

    Args:
        settings: what to search; with `resume`, those of the run (trials, jobs and time budget may
            differ).
        directory: new, or the run to resume.
        storage_url: Optuna RDB URL; ``study.db`` in the directory if None.
        resume: go on with the run in `directory`.
        report: called after every trial.
        stop: asked between trials; True ends the search by a KeyboardInterrupt.

    Raises:
        InfeasibleError, InputError: before anything is run.
    """
    with directory.lock():
        begun = time.monotonic()
        setup = prepare(settings, directory, resume=resume)
        url = storage_url or sqlite_url(directory.study)
        worker = _worker(setup, directory, url)
        if storage_url is None:
            fail_interrupted(worker.study)
        meter = None if report is None else ProgressMeter(setup.problem, settings, report)
        others = _start_others(setup.settings, directory, url)
        try:
            ended = worker.run(meter, stop)
            for process in others:
                process.join()
        finally:
            for process in others:
                process.terminate()
        document = write_documents(worker, setup, directory)
        record = directory.read_settings()
        record.pop("schema")
        seconds = float(record.get("seconds", 0.0)) + time.monotonic() - begun
        directory.write_settings(
            {
                **record,
                "settings": settings.to_dict(),
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
                "seconds": round(seconds, 1),
                "ended": ended,
            }
        )
    return SearchResult(directory, document, ended)


def _worker(setup: SearchSetup, directory: RunDirectory, url: str) -> Worker:
    settings = setup.settings
    study = create_study(
        open_storage(url),
        directory.path.name,
        [OBJECTIVES[name].direction for name in settings.objectives],
        FeasibleSampler(setup.problem, settings.sampler, settings.seed),
    )
    return Worker(study, setup.problem, setup.scorer, settings)


# -- further processes on the same study


def _work(settings: dict[str, Any], directory: RunDirectory, url: str) -> None:
    """What a further process does: score candidates of the same study."""
    setup = SearchSetup(SearchSettings.from_dict(settings))
    _worker(setup, directory, url).run()


def _start_others(
    settings: SearchSettings, directory: RunDirectory, url: str
) -> list[multiprocessing.process.BaseProcess]:
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    processes = [
        context.Process(target=_work, args=(settings.to_dict(), directory, url), daemon=True)
        for _ in range(settings.jobs - 1)
    ]
    with _interrupts_ignored():  # also by the new processes: Ctrl-C is the first one's to handle
        for process in processes:
            process.start()
    return list(processes)


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


def settings_to_resume(directory: RunDirectory, changes: dict[str, Any]) -> SearchSettings:
    """A run's settings, with what may differ when it is resumed: trials, jobs, time budget."""
    settings = SearchSettings.from_dict(directory.read_settings()["settings"])
    return replace(settings, **{key: value for key, value in changes.items() if value is not None})
