"""Storages by URL, what is said about those that cannot be opened, and a journal cut short."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest

from hybrid_nas.errors import InputError
from hybrid_nas.search.rundir import RunDirectory
from hybrid_nas.search.storage import load_study, open_storage
from hybrid_nas.search.storage_url import without_password


class TestRefusals:
    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("nonsense", "--storage nonsense cannot be opened"),
            ("oracle://me:secret@host/db", r"me:\*\*\*@host"),
            ("postgresql://me:secret@127.0.0.1:1/db", r"me:\*\*\*@127.0.0.1:1/db cannot be opened"),
            ("sqlite:////no/such/folder/study.db", "unable to open database file"),
            ("journal:////proc/no/such.log", "cannot be opened"),
        ],
    )
    def test_in_one_line_without_the_password(self, url: str, message: str) -> None:
        with pytest.raises(InputError, match=message) as found:
            open_storage(url)
        assert "secret" not in str(found.value)

    def test_nothing_is_made_for_who_only_joins(self, tmp_path: Path) -> None:
        for kind in ("sqlite", "journal"):
            with pytest.raises(InputError, match="no file"):
                open_storage(f"{kind}:///{tmp_path}/study", create=False)
        assert not list(tmp_path.iterdir())

    def test_which_study(self, tmp_path: Path) -> None:
        url = f"journal:///{tmp_path}/study.log"
        storage = open_storage(url)
        with pytest.raises(InputError, match="holds no study"):
            load_study(storage, None, url)
        for name in ("a", "b"):
            optuna.create_study(storage=storage, study_name=name)
        with pytest.raises(InputError, match="several studies: give --study, one of a, b"):
            load_study(storage, None, url)
        with pytest.raises(InputError, match="no study 'c': give --study, one of a, b"):
            load_study(storage, "c", url)
        assert load_study(storage, "b", url).study_name == "b"


def test_passwords_are_not_shown() -> None:
    text = "postgresql+psycopg://me:s3:cr/et@host:5432/db?x=y"
    assert "s3" not in without_password("hybrid-nas search --storage postgresql://me:s3cret@h/d")
    assert without_password("sqlite:///a@b.db") == "sqlite:///a@b.db"
    assert without_password("postgresql://me@host/db") == "postgresql://me@host/db"
    assert "host:5432" in without_password(text)


def test_a_journal_cut_short_in_a_line_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "study.log"
    study = optuna.create_study(storage=open_storage(f"journal:///{path}"), study_name="a")
    study.add_trial(optuna.create_trial(value=1.0))
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code": 4, "wor')
    again = optuna.load_study(study_name="a", storage=open_storage(f"journal:///{path}"))
    again.add_trial(optuna.create_trial(value=2.0))
    third = optuna.load_study(study_name="a", storage=open_storage(f"journal:///{path}"))
    assert [trial.value for trial in third.trials] == [1.0, 2.0]
    study.add_trial(optuna.create_trial(value=3.0))
    assert [trial.value for trial in study.trials] == [1.0, 2.0, 3.0]


_HOLDS_THE_LOCK = """
import sys, time
from hybrid_nas.search.storage_journal import JournalFile
JournalFile(sys.argv[1])._lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    """Optuna's own lock makes everybody wait for half a minute then."""
    path = tmp_path / "study.log"
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDS_THE_LOCK, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    begun = time.monotonic()
    optuna.create_study(storage=open_storage(f"journal:///{path}"), study_name="a")
    assert time.monotonic() - begun < 20


class TestPlace:
    def write(self, directory: RunDirectory, url: str) -> None:
        directory.write_settings({"storage": {"url": url, "study": "name"}})

    def test_of_a_new_run(self, tmp_path: Path) -> None:
        place = RunDirectory(tmp_path / "a").place()
        assert (place.url, place.name) == (f"sqlite:///{tmp_path}/a/study.db", "a")
        assert place.to_dict() == {"url": "study.db", "study": "a"}

    def test_a_run_knows_where_its_study_is(self, tmp_path: Path) -> None:
        directory = RunDirectory(tmp_path / "renamed")
        self.write(directory, "study.db")
        assert directory.place().name == "name"
        self.write(directory, "postgresql://me@host/db")
        assert (directory.place().url, directory.place().outside) == (
            "postgresql://me@host/db",
            True,
        )

    def test_but_not_the_password(self, tmp_path: Path) -> None:
        directory = RunDirectory(tmp_path / "a")
        place = directory.place("postgresql://me:secret@host/db")
        self.write(directory, place.to_dict()["url"])
        assert "secret" not in directory.settings.read_text()
        with pytest.raises(InputError, match="give --storage with the password"):
            directory.place()
