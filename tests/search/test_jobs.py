"""Joining and leaving a search, by hand and by signal, and watching it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import optuna
import pytest

from benchmarks.kill_resume import finished_trials
from hybrid_nas.cli import main
from hybrid_nas.errors import InputError
from hybrid_nas.search.jobs import work_on
from hybrid_nas.search.join import StudyRecord, join_study
from hybrid_nas.search.leave import Leave
from hybrid_nas.search.run import run_search
from hybrid_nas.search.rundir import RunDirectory
from hybrid_nas.search.status import Watcher, per_minute
from hybrid_nas.search.storage import load_study, open_storage
from tests.search.conftest import TinyInputs

_BEGUN = 4


@pytest.fixture(scope="module")
def begun(tiny: TinyInputs, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, RunDirectory]:
    """A search on a storage outside its run directory, and that storage."""
    folder = tmp_path_factory.mktemp("shared")
    url, directory = f"sqlite:///{folder}/shared.db", RunDirectory(folder / "run")
    run_search(tiny.settings(trials=_BEGUN), directory, storage_url=url, study="s")
    return url, directory


@pytest.fixture
def shared(begun: tuple[str, RunDirectory], tmp_path: Path) -> str:
    """A copy of it that wants two candidates more."""
    with (
        sqlite3.connect(begun[0].removeprefix("sqlite:///")) as there,
        sqlite3.connect(tmp_path / "shared.db") as here,
    ):
        there.backup(here)
    url = f"sqlite:///{tmp_path}/shared.db"
    study = load_study(open_storage(url), "s", url)
    record = StudyRecord.required(study)
    replace(record, settings={**record.settings, "trials": _BEGUN + 2}).store(study)
    return url


class TestJoin:
    def test_a_worker_does_what_is_left(self, shared: str) -> None:
        member = join_study(shared, None, {"threads": 1})
        share = work_on(member, shared, Leave())
        assert (share.scored, share.ended) == (2, f"{_BEGUN + 2} candidates scored")
        found = finished_trials(Path(shared.removeprefix("sqlite:///")))
        assert len({genes for genes, _ in found.values()}) == _BEGUN + 2

    def test_files_may_lie_elsewhere(self, tiny: TinyInputs, shared: str, tmp_path: Path) -> None:
        copy = shutil.copy(tiny.data, tmp_path / "copy.npz")
        assert join_study(shared, "s", {"data": str(copy)}).setup.settings.data == str(copy)

    def test_other_data_is_refused(self, tiny: TinyInputs, shared: str, tmp_path: Path) -> None:
        arrays = dict(np.load(tiny.data))
        arrays["x_train"] = arrays["x_train"][::-1]
        np.savez(tmp_path / "other.npz", **arrays)
        with pytest.raises(InputError, match=r"the data here is not the study's .* by --data"):
            join_study(shared, "s", {"data": str(tmp_path / "other.npz")})

    def test_another_cloud_is_refused(self, tiny: TinyInputs, shared: str, tmp_path: Path) -> None:
        arrays = dict(np.load(tiny.cloud))
        arrays["val_pred"] = arrays["val_pred"][::-1]
        np.savez(tmp_path / "other.npz", **arrays)
        with pytest.raises(InputError, match=r"the cloud here is not the study's .* by --cloud"):
            join_study(shared, "s", {"cloud": str(tmp_path / "other.npz")})

    def test_a_missing_file_is_named(self, shared: str, capsys: pytest.CaptureFixture[str]) -> None:
        flags = ["--storage", shared, "--supernet", "/no/such.pt"]
        assert main(["worker", *flags]) == 2
        said = capsys.readouterr().err
        assert "/no/such.pt" in said and said.count("\n") == 1

    def test_another_version_is_refused(self, shared: str) -> None:
        study = load_study(open_storage(shared), "s", shared)
        replace(StudyRecord.required(study), version="0.0.0").store(study)
        with pytest.raises(InputError, match=r"begun by hybrid-nas 0\.0\.0"):
            join_study(shared, "s", {})

    def test_a_study_of_something_else(self, tmp_path: Path) -> None:
        import optuna

        url = f"sqlite:///{tmp_path}/other.db"
        optuna.create_study(storage=open_storage(url), study_name="other")
        with pytest.raises(InputError, match="is no search of this program"):
            join_study(url, None, {})


class TestSecondSearch:
    """The same command on another machine: it joins, and writes a run of its own."""

    def test_joins_by_name_and_finds_the_same_front(
        self, tiny: TinyInputs, begun: tuple[str, RunDirectory], tmp_path: Path
    ) -> None:
        second = RunDirectory(tmp_path / "second")
        found = run_search(tiny.settings(trials=_BEGUN), second, storage_url=begun[0], study="s")
        assert found.document["pairs"] == json.loads(begun[1].pareto.read_text())["pairs"]

    def test_not_by_chance(
        self, tiny: TinyInputs, begun: tuple[str, RunDirectory], tmp_path: Path
    ) -> None:
        second = RunDirectory(tmp_path / "s")
        with pytest.raises(InputError, match="holds a study 's' already"):
            run_search(tiny.settings(trials=_BEGUN), second, storage_url=begun[0])
        assert not second.settings.exists()

    def test_not_with_other_settings(
        self, tiny: TinyInputs, begun: tuple[str, RunDirectory], tmp_path: Path
    ) -> None:
        second = RunDirectory(tmp_path / "second")
        with pytest.raises(InputError, match=r"seed = 0 \(here: 1\)"):
            run_search(
                tiny.settings(trials=_BEGUN, seed=1), second, storage_url=begun[0], study="s"
            )
        assert not second.settings.exists()  # or --resume would go on with these settings

    def test_a_resumed_run_finds_its_study(
        self, tiny: TinyInputs, begun: tuple[str, RunDirectory]
    ) -> None:
        """Without --storage; and no study.db appears."""
        settings = tiny.settings(trials=_BEGUN)
        found = run_search(settings, begun[1], resume=True)
        assert found.ended == f"{_BEGUN} candidates scored"
        assert not begun[1].study.exists()


class TestStatus:
    def test_is_what_the_run_directory_says(
        self, begun: tuple[str, RunDirectory], capsys: pytest.CaptureFixture[str]
    ) -> None:
        url, directory = begun
        assert main(["status", str(directory.path), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        trials = json.loads(directory.trials.read_text())["trials"]
        pairs = json.loads(directory.pareto.read_text())["pairs"]
        assert found["schema"] == "hybrid-nas/status/1"
        assert found["trials"]["complete"] == found["wanted"] == len(trials) == _BEGUN
        assert found["hypervolume"] == pytest.approx(trials[-1]["hypervolume"])
        assert found["front"] == len(pairs)
        assert found["best"] == max(pair["hybrid"]["0.7"]["accuracy"] for pair in pairs)
        assert found["workers"] == [] and found["seconds_left"] is None
        assert main(["status", "--storage", url]) == 0
        text = capsys.readouterr().out
        assert f"{_BEGUN} of {_BEGUN} candidates scored" in text
        assert main(["status", "--storage", url, "--watch"]) == 0  # ends with the search
        assert f"{_BEGUN} of {_BEGUN} candidates scored" in capsys.readouterr().out

    def test_of_a_search_that_has_ended_early(
        self, tiny: TinyInputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        directory = RunDirectory(tmp_path / "a")
        ended = run_search(tiny.settings(trials=60, patience=5), directory).ended
        assert main(["status", str(directory.path), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["ended"] == ended and found["trials"]["complete"] < 60
        assert main(["status", str(directory.path), "--watch"]) == 0
        assert f"ended: {ended}" in capsys.readouterr().out.replace("\n", " ")

    def test_a_pause_does_not_slow_the_pace(self) -> None:
        """Four candidates of ten seconds each, one of them on the next day."""
        noon, trials = datetime(2024, 1, 1, 12), []
        for number, begin_s in enumerate((0, 10, 20, 86400)):
            trial = optuna.trial.create_trial(value=0.0)
            trial.number, trial.datetime_start = number, noon + timedelta(seconds=begin_s)
            trial.datetime_complete = trial.datetime_start + timedelta(seconds=10)
            trials.append(trial)
        assert per_minute(trials) == pytest.approx(6.0)
        assert per_minute([]) is None

    def test_shows_who_scores(self, shared: str) -> None:
        """Asked while a worker scores, through a storage of its own."""
        watcher, seen = Watcher(load_study(open_storage(shared), "s", shared)), []
        member = join_study(shared, "s", {"threads": 1})
        scorer = member.setup.scorer
        original = scorer.score

        def score(*given: object) -> object:
            time.sleep(1.1)  # SQLite's clock has whole seconds
            seen.append(watcher())
            return original(*given)  # type: ignore[arg-type]

        scorer.score = score  # type: ignore[assignment,method-assign]
        work_on(member, shared, Leave())
        first = seen[0]
        assert [worker.pid for worker in first.workers] == [os.getpid()]
        assert first.trials["running"] == 1 and first.trials["complete"] == _BEGUN
        assert first.workers[0].scoring_s >= 1.0
        assert 0 <= (first.workers[0].heartbeat_s or 0) < 20 and not first.workers[0].silent
        assert seen[1].trials["complete"] == _BEGUN + 1
        assert watcher().workers == ()

    def test_flags_that_exclude_each_other(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["status", "--watch", "--json"]) == 2
        assert "--watch and --json" in capsys.readouterr().err


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.05)


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "hybrid_nas", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def count(database: Path, state: str) -> int:
    with sqlite3.connect(database, timeout=60) as connection:
        query = "select count(*) from trials where state = ?"
        found: int = connection.execute(query, (state,)).fetchone()[0]
        return found


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    spawned = [int(p) for p in found]
    return [p for p in spawned if b"spawn_main" in Path(f"/proc/{p}/cmdline").read_bytes()]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads /proc")
def test_signals(tiny: TinyInputs, tmp_path: Path) -> None:
    """A worker leaves by Ctrl-C; processes of a killed search leave by themselves."""
    database, flags = tmp_path / "shared.db", [*tiny.flags(), "--trials", "4000"]
    url = f"sqlite:///{database}"
    search = start(
        "search", *flags, "--storage", url, "--run", str(tmp_path / "run"), "--jobs", "2"
    )
    wait_for(lambda: len(finished_trials(database)) >= 2)
    wait_for(lambda: len(children(search.pid)) == 1)
    [child] = children(search.pid)
    worker = start("worker", "--storage", url, "--threads", "1")
    signs = (
        "select count(distinct json_extract(value_json, '$.pid')) from trial_user_attributes "
        "where key = 'worker'"
    )

    def workers() -> int:
        with sqlite3.connect(database, timeout=60) as connection:
            found: int = connection.execute(signs).fetchone()[0]
            return found

    wait_for(lambda: workers() == 3)
    worker.send_signal(signal.SIGINT)
    out, err = worker.communicate(timeout=60)
    assert (worker.returncode, err) == (0, "")
    assert "left the study" in out
    os.kill(search.pid, signal.SIGKILL)
    search.communicate()
    wait_for(lambda: not Path(f"/proc/{child}").exists())
    assert count(database, "RUNNING") <= 1  # the killed one's
