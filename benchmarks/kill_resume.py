"""Kill a search with SIGKILL again and again, resume each time, count what is lost or repeated.

    python -m benchmarks.kill_resume [--kills 20] [--trials 60] [--jobs 2] [--tiny]

With `--jobs` the whole process group is killed. Half of the kills come after a random time, half
the moment the study's write-ahead log has changed, which is in the middle of storage writes. After
every kill the study is read: a trial that was finished before must still be there with the same
gene set and values, and no gene set may be finished twice. What the searches say on standard error
is read for errors of the storage.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.search.tiny import write_tiny

Finished = dict[int, tuple[str, tuple[float, ...]]]


def finished_trials(study: Path) -> Finished:
    """Gene set and values of every finished trial by number, read without Optuna."""
    if not study.exists():
        return {}
    with sqlite3.connect(study, timeout=60) as connection:
        if not connection.execute(
            "select 1 from sqlite_master where name = 'trial_values'"
        ).fetchall():
            return {}
        rows = connection.execute(
            "select t.number, a.value_json, v.value from trials t "
            "join trial_user_attributes a on a.trial_id = t.trial_id and a.key = 'candidate' "
            "join trial_values v on v.trial_id = t.trial_id "
            "where t.state = 'COMPLETE' order by t.number, v.objective"
        ).fetchall()
    found: Finished = {}
    for number, genes, value in rows:
        found[number] = (genes, (*found.get(number, (genes, ()))[1], value))
    return found


def wait_and_kill(
    process: subprocess.Popen[bytes],
    study: Path,
    rng: np.random.Generator,
    in_write: bool,
    within_s: float,
) -> bool:
    """Kill the process at a random moment; False if it was done before.

    One time in four that is during start-up, else up to `within_s` seconds after it has finished a
    trial.
    """
    if rng.random() < 0.25:
        time.sleep(rng.uniform(0.5, 8.0))
    else:
        before = len(finished_trials(study))
        while process.poll() is None and len(finished_trials(study)) == before:
            time.sleep(0.05)
        time.sleep(rng.uniform(0.0, within_s))
    log = study.with_name("study.db-wal")
    if in_write and log.exists():
        last = log.stat().st_mtime_ns
        limit = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < limit:
            if log.exists() and log.stat().st_mtime_ns != last:
                break
    if process.poll() is not None:
        return False
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument(
        "--within", type=float, default=5.0, help="seconds after a trial, in which to kill"
    )
    parser.add_argument(
        "--tiny", action="store_true", help="the tests' small task instead of the default"
    )
    parser.add_argument("flags", nargs="*", help="further flags of the search, after --")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    folder = Path(tempfile.mkdtemp()) / "run"
    said = folder.with_name("stderr")
    command = [sys.executable, "-m", "hybrid_nas", "search", "--run", str(folder)]
    first = [*command, "--trials", str(arguments.trials), "--jobs", str(arguments.jobs)]
    if arguments.tiny:
        first += write_tiny(folder.with_name("tiny")).flags()
    else:
        first += ["--sram", "320KB", "--flash", "1MB"]
    kills, before, lost, changed = 0, {}, 0, 0
    status = None
    while status is None:
        resume = (folder / "run.yaml").exists()
        flags = [*command, "--resume"] if resume else [*first, *arguments.flags]
        with said.open("ab") as errors:
            process = subprocess.Popen(
                flags, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True
            )
        if kills < arguments.kills:
            killed = wait_and_kill(
                process, folder / "study.db", rng, kills % 2 == 1, arguments.within
            )
            kills += killed
        else:
            process.wait()
            killed = False
        if not killed:
            status = process.returncode
        now = finished_trials(folder / "study.db")
        lost += len(before.keys() - now.keys())
        changed += sum(now[k] != before[k] for k in before.keys() & now.keys())
        before = now
        print(f"kill {kills}: {len(now)} finished", flush=True)
    genes = [pair[0] for pair in before.values()]
    front = json.loads((folder / "pareto.json").read_text())["pairs"]
    print(
        f"{kills} kills, exit status {status}: {len(before)} finished trials, {lost} lost, "
        f"{changed} changed, {len(genes) - len(set(genes))} gene sets repeated; the front has "
        f"{len(front)} pairs"
    )
    text = said.read_text()
    locked = text.count("database is locked")
    print(f"'database is locked' was said {locked} times; all that was said: {text.strip()!r}")
    raise SystemExit(bool(lost or changed or locked or len(genes) != len(set(genes)) or status))


if __name__ == "__main__":
    main()
