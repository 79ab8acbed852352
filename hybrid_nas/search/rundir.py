"""The run directory: where its documents are, and who may write to it."""

from __future__ import annotations

import fcntl
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hybrid_nas.errors import InputError
from hybrid_nas.files import atomic_write
from hybrid_nas.search.storage_url import absolute_url, sqlite_url, without_password
from hybrid_nas.yaml_documents import file_yaml

SCHEMA = "hybrid-nas/run/1"


_OWN_STUDY = "study.db"


@dataclass(frozen=True)
class StudyPlace:
    """Where a study is.

    Attributes:
        url: of Optuna's storage.
        name: of the study in it.
        outside: whether the storage is not the run directory's own.
    """

    url: str
    name: str
    outside: bool

    def to_dict(self) -> dict[str, str]:
        """Its entry in ``run.yaml``, without a password."""
        return {
            "url": without_password(self.url) if self.outside else _OWN_STUDY,
            "study": self.name,
        }


@dataclass(frozen=True)
class RunDirectory:
    """Paths of one run; `runs/<name>/` by default."""

    path: Path

    @property
    def study(self) -> Path:
        """Optuna's SQLite file."""
        return self.path / _OWN_STUDY

    @property
    def settings(self) -> Path:
        """Everything that decided the run."""
        return self.path / "run.yaml"

    @property
    def pareto(self) -> Path:
        """The front."""
        return self.path / "pareto.json"

    @property
    def trials(self) -> Path:
        """All scored candidates."""
        return self.path / "trials.json"

    def pair(self, number: int) -> Path:
        """Folder of one pair of the front."""
        return self.path / "pairs" / str(number)

    def place(self, url: str | None = None, study: str | None = None) -> StudyPlace:
        """Where the run's study is, or will be.

        Args:
            url: of a storage outside; that of ``run.yaml``, or `study` in the directory, if None.
            study: its name; that of ``run.yaml``, or the directory's, if None.

        Raises:
            InputError: the storage's password is needed, which is not written down.
        """
        recorded = self.read_settings().get("storage", {}) if self.settings.is_file() else {}
        name = study or recorded.get("study") or self.path.resolve().name
        if url is None and recorded.get("url", _OWN_STUDY) != _OWN_STUDY:
            url = str(recorded["url"])
            if ":***@" in url:
                raise InputError(
                    f"the study of {self.path} is in {url}: give --storage with the password"
                )
        if url is None:
            return StudyPlace(sqlite_url(self.study), name, outside=False)
        return StudyPlace(absolute_url(url), name, outside=True)

    def write_settings(self, document: dict[str, Any]) -> None:
        """Write ``run.yaml``."""
        text = yaml.safe_dump({"schema": SCHEMA, **document}, sort_keys=False, allow_unicode=True)
        atomic_write(self.settings, text)

    def read_settings(self) -> dict[str, Any]:
        """``run.yaml`` as a dictionary.

        Raises:
            InputError: it is missing or not ours.
        """
        if not self.settings.is_file():
            raise InputError(f"{self.path} is no run directory: it has no run.yaml")
        return file_yaml(self.settings, SCHEMA)

    def write_json(self, path: Path, document: Any) -> None:
        """Write a JSON document; no figure in it may be infinite or not a number."""
        atomic_write(path, json.dumps(document, indent=1, allow_nan=False) + "\n")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the directory for this process; the kernel frees it when the process dies.

        Raises:
            InputError: another process is writing to it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(
                    f"{self.path} is in use by another process; wait for it or choose another --run"
                ) from error
            yield


def new_run_name(parent: Path, stem: str) -> str:
    """The first free ``stem-N`` below `parent`."""
    taken = [
        int(match.group(1))
        for child in (parent.iterdir() if parent.is_dir() else ())
        if (match := re.fullmatch(rf"{re.escape(stem)}-(\d+)", child.name))
    ]
    return f"{stem}-{max(taken, default=0) + 1}"


def last_run(parent: Path) -> Path:
    """The run below `parent` whose settings were written last.

    Raises:
        InputError: there is none.
    """
    runs = sorted(parent.glob("*/run.yaml"), key=lambda path: path.stat().st_mtime)
    if not runs:
        raise InputError(f"no run below {parent}: name a run directory, or begin one by 'search'")
    return runs[-1].parent
