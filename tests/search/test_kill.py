"""SIGKILL in the middle of a search: nothing finished is lost or repeated after --resume."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.kill_resume import finished_trials
from tests.search.conftest import TinyInputs

_TRIALS = 40


def _start(flags: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "hybrid_nas", "search", *flags],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def test_killed_twice_and_resumed(tiny: TinyInputs, tmp_path: Path) -> None:
    run = tmp_path / "run"
    flags = [*tiny.flags(), "--trials", str(_TRIALS), "--run", str(run)]
    before: dict[int, object] = {}
    for stop_at in (6, 18):
        process = _start(flags)
        limit = time.monotonic() + 120
        while time.monotonic() < limit and process.poll() is None:
            if (run / "study.db").exists() and len(finished_trials(run / "study.db")) >= stop_at:
                break
            time.sleep(0.02)
        assert process.poll() is None, "the search ended before it could be killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        now = finished_trials(run / "study.db")
        assert stop_at <= len(now) < _TRIALS
        assert {k: now[k] for k in before} == before
        before = dict(now)
        flags = ["--resume", "--run", str(run)]
    assert _start(flags).wait(timeout=180) == 0
    now = finished_trials(run / "study.db")
    assert {k: now[k] for k in before} == before
    genes = [pair[0] for pair in now.values()]
    assert len(set(genes)) == len(genes) == _TRIALS
    assert json.loads((run / "pareto.json").read_text())["pairs"]


def test_ctrl_c_is_one_line_and_keeps_everything(tiny: TinyInputs, tmp_path: Path) -> None:
    run = tmp_path / "run"
    more = ["--trials", "4000", "--jobs", "2", "--run", str(run)]
    process = subprocess.Popen(
        [sys.executable, "-m", "hybrid_nas", "search", *tiny.flags(), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    limit = time.monotonic() + 120
    while time.monotonic() < limit and len(finished_trials(run / "study.db")) < 4:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert f"--resume --run {run}" in out
    assert err == "hybrid-nas: error: interrupted\n"
    assert len(finished_trials(run / "study.db")) >= 4
