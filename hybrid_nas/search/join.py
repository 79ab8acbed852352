"""What a study says about itself, so that a worker anywhere can join it or is refused.

The record is a user attribute of the study. It holds no image and no weight: those each machine has
itself, and their digests tell whether they are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from optuna.study import Study

from hybrid_nas import __version__
from hybrid_nas.errors import InputError
from hybrid_nas.search.guided import make_sampler
from hybrid_nas.search.objectives import OBJECTIVES
from hybrid_nas.search.progress import Box
from hybrid_nas.search.provenance import hashes
from hybrid_nas.search.reclaim import give_back
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.search.storage import HEARTBEAT_S, create_study, load_study, open_storage

RECORD = "search"
"""User attribute of a study: its `StudyRecord`."""
ENDED = "ended"
"""User attribute of a study: why the search has ended, or None while it has not."""
FILES = {
    "data": "--data",
    "supernet": "--supernet",
    "cloud": "--cloud",
    "search_cloud": "--search-cloud",
    "table": "--table",
}
"""Settings that name files, which each machine has where it likes, and their flags."""
_OWN = ("jobs", "threads", "time_budget_s", "warm_start")
_FLAG_OF = {
    "data": "--data",
    "supernet": "--supernet",
    "space": "--supernet",
    "cloud": "--cloud",
    "latency_table": "--table",
}


@dataclass(frozen=True)
class StudyRecord:
    """What decides a study's results, and what a watcher needs to know.

    Attributes:
        version: of this program.
        settings: `SearchSettings.to_dict`.
        hashes: digests of data, supernet, space, cloud and latency table.
        heartbeat_s: seconds between two signs of life of its workers.
        box: ideal and worst losses that bound the hypervolume, see `Box`.
    """

    version: str
    settings: Mapping[str, Any]
    hashes: Mapping[str, str | None]
    heartbeat_s: int
    box: tuple[tuple[float, ...], tuple[float, ...]]

    @classmethod
    def of_setup(
        cls, setup: SearchSetup, digests: Mapping[str, str | None], heartbeat_s: int
    ) -> StudyRecord:
        """The record of a study that is begun here."""
        box = Box.of(setup.problem, setup.settings)
        bounds = tuple(box.ideal.tolist()), tuple(box.worst.tolist())
        return cls(__version__, setup.settings.to_dict(), dict(digests), heartbeat_s, bounds)

    @classmethod
    def of_study(cls, study: Study) -> StudyRecord | None:
        """What a study holds; None if it holds none, as one that was made by other means."""
        plain = study.user_attrs.get(RECORD)
        return None if plain is None else cls(**plain)

    @classmethod
    def required(cls, study: Study) -> StudyRecord:
        """As `of_study`.

        Raises:
            InputError: there is none.
        """
        found = cls.of_study(study)
        if found is None:
            raise InputError(
                f"study {study.study_name!r} is no search of this program, or one that has only "
                "just been begun: it does not say what is searched"
            )
        return found

    def store(self, study: Study) -> None:
        """Put it into a study."""
        study.set_user_attr(RECORD, asdict(self))

    def check_inputs(self, digests: Mapping[str, str | None]) -> None:
        """Refuse to score candidates with other inputs than the study's, or by another program.

        Raises:
            InputError: naming the first that differs, and the flag that mends it.
        """
        if self.version != __version__:
            raise InputError(
                f"this study was begun by hybrid-nas {self.version} and this is {__version__}: "
                "their scores might not compare; install the same version"
            )
        for name, digest in digests.items():
            there = self.hashes.get(name)
            if there != digest:
                raise InputError(
                    f"the {name.replace('_', ' ')} here is not the study's (SHA-256 "
                    f"{_short(digest)} here, {_short(there)} in the study): its scores would not "
                    f"compare; give the study's own by {_FLAG_OF[name]}"
                )

    def check_settings(self, settings: SearchSettings) -> None:
        """Refuse other settings than the study's; files may lie elsewhere.

        Raises:
            InputError: naming the first that differs.
        """
        here = settings.to_dict()
        for name in here.keys() - {*FILES, *_OWN}:
            if here[name] != self.settings.get(name):
                raise InputError(
                    f"this study was begun with {name} = {self.settings.get(name)} (here: "
                    f"{here[name]}): give the same settings, or join it by 'hybrid-nas worker'"
                )


def _short(digest: str | None) -> str:
    return "none" if digest is None else digest[:8]


def open_study(setup: SearchSetup, url: str, name: str, heartbeat_s: int = HEARTBEAT_S) -> Study:
    """The study of a search, made if it is not there yet, with the search's sampler."""
    settings = setup.settings
    return create_study(
        open_storage(url, heartbeat_s=heartbeat_s, give_back=give_back),
        name,
        [OBJECTIVES[name].direction for name in settings.objectives],
        make_sampler(setup.problem, settings),
    )


@dataclass(frozen=True)
class Membership:
    """A study, and everything that it takes to work on it."""

    study: Study
    setup: SearchSetup
    record: StudyRecord


def join_study(url: str, name: str | None, changes: Mapping[str, Any]) -> Membership:
    """Join a study with what lies on this machine.

    Args:
        url: of its storage.
        name: of the study; the only one if None.
        changes: settings of this worker: files (`FILES`), jobs, threads, time budget.

    Raises:
        InputError: there is no such study, a file is missing, or an input is not the study's.
    """
    study = load_study(open_storage(url, create=False), name, url)
    record = StudyRecord.required(study)
    own: dict[str, Any] = {"jobs": 1, "threads": None, "time_budget_s": None}
    settings = replace(
        SearchSettings.from_dict(record.settings),
        **{**own, **{k: v for k, v in changes.items() if v is not None}},
    )
    setup = SearchSetup(settings)
    try:
        digests = hashes(setup)
    except InputError as error:
        raise InputError(
            f"{error} (the study names it so; where this machine has it elsewhere, give "
            f"{', '.join(FILES.values())})"
        ) from error
    record.check_inputs(digests)
    return Membership(open_study(setup, url, study.study_name, record.heartbeat_s), setup, record)
