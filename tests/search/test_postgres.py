"""Four workers on PostgreSQL; two are killed, one sleeps through its heartbeats and comes back."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid_nas.search.candidate import Candidate
from hybrid_nas.search.front import pareto_front
from hybrid_nas.search.run import settings_to_resume
from hybrid_nas.search.rundir import RunDirectory
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.search.worker import ScoredPair, objective_values
from tests.search import postgres
from tests.search.conftest import TinyInputs

psycopg = pytest.importorskip("psycopg", reason="the extra 'postgres' is not installed")
pytestmark = pytest.mark.skipif(postgres.why_not() is not None, reason=str(postgres.why_not()))

_TRIALS = 60
_HEARTBEAT_S = 2


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres.server() as found:
        yield found


@dataclass(frozen=True)
class Row:
    """A trial as it is in the database."""

    number: int
    state: str
    candidate: tuple[int, ...] | None
    pid: int | None
    values: tuple[float, ...]


def trials(url: str, study: str) -> list[Row]:
    """All trials of a study, read by plain SQL."""
    query = """
        select t.number, t.state::text,
          (select value_json from trial_user_attributes a
            where a.trial_id = t.trial_id and key = 'candidate'),
          (select value_json from trial_user_attributes a
            where a.trial_id = t.trial_id and key = 'worker'),
          (select array_agg(value order by objective) from trial_values v
            where v.trial_id = t.trial_id)
        from trials t join studies s using (study_id) where s.study_name = %s order by t.number
    """
    with psycopg.connect(url) as connection:
        try:
            rows = connection.execute(query, (study,)).fetchall()
        except psycopg.errors.UndefinedTable:
            return []
    return [
        Row(
            number,
            state,
            None if genes is None else tuple(json.loads(genes)),
            None if worker is None else json.loads(worker)["pid"],
            tuple(values or ()),
        )
        for number, state, genes, worker, values in rows
    ]


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 180) -> Any:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited in vain for {what}")


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "hybrid_nas", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def begin(tiny: TinyInputs, url: str, study: str, run: Path, trials: int) -> subprocess.Popen[str]:
    return start(
        *("search", *tiny.flags(), "--run", str(run), "--trials", str(trials)),
        *("--storage", url, "--study", study, "--heartbeat", str(_HEARTBEAT_S)),
    )


def rescored(run: Path, rows: list[Row]) -> tuple[SearchSetup, list[ScoredPair]]:
    """The same candidates, scored one after the other in this process."""
    setup = SearchSetup(settings_to_resume(RunDirectory(run), {}))
    pairs = []
    for row in rows:
        genes = np.array(row.candidate)
        candidate = setup.problem.candidates.candidate(genes)
        figures = setup.scorer.score(candidate, setup.problem.evaluate(genes[None]))
        values = objective_values(figures, setup.settings)
        pairs.append(ScoredPair(row.number, candidate, figures, values))
    return setup, pairs


def test_killed_and_paused_workers(tiny: TinyInputs, url: str, tmp_path: Path) -> None:
    study, run, rng = "chaos", tmp_path / "run", random.Random(0)
    search = begin(tiny, url, study, run, _TRIALS)
    wait_for(lambda: any(row.pid for row in trials(url, study)), "the first candidate")
    search.send_signal(signal.SIGSTOP)  # or it would be done before the others have started
    join = ("worker", "--storage", url, "--study", study, "--threads", "1")
    others = [start(*join) for _ in range(3)]
    paused, *killed = others
    everybody = {process.pid for process in others}

    def at_work() -> bool:
        return everybody <= {row.pid for row in trials(url, study)}

    try:
        wait_for(at_work, "the other three workers")
        search.send_signal(signal.SIGCONT)

        def caught(process: subprocess.Popen[str], number: signal.Signals) -> Row:
            """Stop a process while it scores, at no particular moment of that."""

            def scores() -> Row | None:
                time.sleep(rng.uniform(0, 0.05))
                process.send_signal(signal.SIGSTOP)
                mine = [r for r in trials(url, study) if r.pid == process.pid]
                running = [r for r in mine if r.state == "RUNNING"]
                if not running:
                    process.send_signal(signal.SIGCONT)
                    return None
                process.send_signal(number)
                return running[0]

            found: Row = wait_for(scores, "a candidate to interrupt")
            return found

        asleep = caught(paused, signal.SIGSTOP)
        dead = [caught(process, signal.SIGKILL) for process in killed]

        def taken(row: Row) -> bool:
            return trials(url, study)[row.number].state == "FAIL"

        wait_for(lambda: taken(asleep), "the sleeper's candidate to be taken from it")
        paused.send_signal(signal.SIGCONT)
        for process in (search, paused):
            _, said = process.communicate(timeout=240)
            assert (process.returncode, said) == (0, "")
    finally:
        for process in (search, *others):
            process.send_signal(signal.SIGCONT)
            process.kill()

    rows = trials(url, study)
    complete = [row for row in rows if row.state == "COMPLETE"]
    assert len(complete) == _TRIALS
    assert {row.state for row in rows} == {"COMPLETE", "FAIL"}
    candidates = [row.candidate for row in complete]
    assert len(set(candidates)) == _TRIALS
    assert {row.candidate for row in (asleep, *dead)} <= set(candidates)
    for row in (asleep, *dead):
        assert rows[row.number].state == "FAIL" and not rows[row.number].values

    setup, pairs = rescored(run, complete)
    for row, pair in zip(complete, pairs, strict=True):
        assert row.values == pytest.approx(pair.values, rel=1e-6)
    found = json.loads((run / "pareto.json").read_text())["pairs"]
    expected = [pair.candidate for pair in pareto_front(pairs, setup.settings)]
    assert [_candidate(setup, pair) for pair in found] == expected


def _candidate(setup: SearchSetup, pair: dict[str, Any]) -> Candidate:
    return Candidate(setup.space.from_dict(pair["base"]["genes"]), pair["router"]["kind"])
