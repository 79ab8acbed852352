"""A whole search: check that something fits, score candidates, write the front down."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from hybrid_nas.errors import InfeasibleError, InputError
from hybrid_nas.hardware.feasible import nearest_feasible
from hybrid_nas.routing.designs import design
from hybrid_nas.search.jobs import Crew, Post
from hybrid_nas.search.join import ENDED, StudyRecord, open_study
from hybrid_nas.search.patience import Patience
from hybrid_nas.search.progress import ProgressMeter, SearchProgress
from hybrid_nas.search.provenance import check_unchanged, describe_latency, hashes, versions
from hybrid_nas.search.reclaim import close_dead
from hybrid_nas.search.rundir import RunDirectory, StudyPlace
from hybrid_nas.search.scorer import SEARCH_SPLITS
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.search.storage import HEARTBEAT_S, load_study, open_storage
from hybrid_nas.search.storage_url import without_password
from hybrid_nas.search.warm import begin_warm, store_warm_start
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


def prepare(
    settings: SearchSettings,
    directory: RunDirectory,
    *,
    resume: bool,
    joined: StudyRecord | None = None,
) -> SearchSetup:
    """Check settings, limits and inputs, and write or compare ``run.yaml``; no network is run.

    Args:
        settings, directory, resume: as for `run_search`.
        joined: of the study that others have begun.

    Raises:
        InfeasibleError: nothing fits the limits.
        InputError: an input is wrong, the directory is taken, a resumed run's inputs changed, or
            those or the settings are not those of the study that is joined.
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
        if joined is not None:  # a refused run leaves no run.yaml to be resumed
            joined.check_inputs(digests)
            joined.check_settings(settings)
        setup.data.check_readable((*SEARCH_SPLITS, "test"))  # test is read after the last trial
        earlier = begin_warm(setup, digests, directory)
        directory.write_settings({**_run_record(setup, digests), **earlier})
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
        "command": without_password(" ".join(["hybrid-nas", *sys.argv[1:]])),
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
    study: str | None = None,
    heartbeat_s: int = HEARTBEAT_S,
    resume: bool = False,
    report: Report | None = None,
    stop: Callable[[], bool] | None = None,
) -> SearchResult:
    """Search and write the run directory.

    Killed at any moment and called again with ``resume``, it goes on where it was. With a storage
    outside the directory, others can work on the same study: by `hybrid_nas.search.join`, or by
    this function with the same settings and the study's name.

    Args:
        settings: what to search; with `resume`, those of the run (trials, jobs and time budget may
            differ).
        directory: new, or the run to resume.
        storage_url: where the study is, see `hybrid_nas.search.storage`; ``study.db`` in the
            directory if None.
        study: its name there, which may exist; the directory's name, which may not, if None.
        heartbeat_s: seconds between two signs of life of a worker; of a new study.
        resume: go on with the run in `directory`.
        report: called when a candidate has been scored.
        stop: asked between trials; True ends the search by a KeyboardInterrupt.

    Raises:
        InfeasibleError, InputError: before anything is run.
    """
    with directory.lock():
        begun = time.monotonic()
        place, joined = directory.place(storage_url, study), None
        if place.outside and not resume:
            joined = _joined(place, may_exist=study is not None)
        setup = prepare(settings, directory, resume=resume, joined=joined)
        record = directory.read_settings()
        if record.get("storage", {}).get("begun"):
            _check_still_there(place, directory)
        worker = _begin(setup, directory, place, record["hashes"], heartbeat_s, resume)
        meter = None if report is None else ProgressMeter(setup.problem, settings, report)
        own = StudyRecord.required(worker.study)
        post = Post(place.url, place.name, own.heartbeat_s, settings.to_dict())
        with Crew(post, settings.jobs - 1) as crew:
            ended = worker.run(meter, stop)
            died = crew.wait()
        if died:
            ended += f" ({died} of {settings.jobs} worker processes died)"
        worker.study.set_user_attr(ENDED, ended)
        document = write_documents(worker, setup, directory)
        seconds = float(record.get("seconds", 0.0)) + time.monotonic() - begun
        directory.write_settings(
            {
                **_without_schema(directory.read_settings()),
                "settings": settings.to_dict(),
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
                "seconds": round(seconds, 1),
                "ended": ended,
            }
        )
    return SearchResult(directory, document, ended)


def _joined(place: StudyPlace, *, may_exist: bool) -> StudyRecord | None:
    """Open a storage outside before anything is written; the record of a study that is there.

    Raises:
        InputError: it is there by chance.
    """
    storage = open_storage(place.url)
    if place.name not in [study.study_name for study in storage.get_all_studies()]:
        return None
    if not may_exist:
        raise InputError(
            f"--storage {without_password(place.url)} holds a study {place.name!r} already: join "
            f"it by --study {place.name}, go on with its run by --resume, or choose another --run"
        )
    return StudyRecord.of_study(load_study(storage, place.name, place.url))


def _check_still_there(place: StudyPlace, directory: RunDirectory) -> None:
    """Refuse to begin again from nothing where a resumed run's candidates are not to be found."""
    if not place.outside and not directory.study.is_file():
        raise InputError(
            f"{directory.study} is gone, and with it all that was scored: start a new run"
        )
    load_study(open_storage(place.url, create=False), place.name, place.url)


def _begin(
    setup: SearchSetup,
    directory: RunDirectory,
    place: StudyPlace,
    digests: dict[str, Any],
    heartbeat_s: int,
    resume: bool,
) -> Worker:
    """Open the study, make it say what it is about, and close what dead workers left in it."""
    _note_place(directory, place, begun=False)
    study = open_study(setup, place.url, place.name, heartbeat_s)
    store_warm_start(study, directory)
    record = StudyRecord.of_study(study)
    if record is not None:
        record.check_inputs(digests)
        if not resume:
            record.check_settings(setup.settings)
        if record.heartbeat_s != heartbeat_s:
            study = open_study(setup, place.url, place.name, record.heartbeat_s)
        heartbeat_s = record.heartbeat_s
    if record is None or resume:
        StudyRecord.of_setup(setup, digests, heartbeat_s).store(study)
    study.set_user_attr(ENDED, None)
    _note_place(directory, place, begun=True)
    close_dead(study, alone=not place.outside)
    enough = Patience(setup.problem, setup.settings)
    return Worker(study, setup.problem, setup.scorer, setup.settings, enough=enough)


def _note_place(directory: RunDirectory, place: StudyPlace, *, begun: bool) -> None:
    """Write down where the study is, and whether it is there: from then on it must be found."""
    storage = {**place.to_dict(), "begun": begun}
    directory.write_settings({**_without_schema(directory.read_settings()), "storage": storage})


def _without_schema(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "schema"}


def settings_to_resume(directory: RunDirectory, changes: dict[str, Any]) -> SearchSettings:
    """A run's settings, with what may differ when it is resumed: trials, jobs, time budget."""
    settings = SearchSettings.from_dict(directory.read_settings()["settings"])
    return replace(settings, **{key: value for key, value in changes.items() if value is not None})
