"""How large the report of a long search is, what writing it takes, and how fast a browser opens it.

    python -m benchmarks.report_size [--trials 10000] [--times 5] [--browser chromium] [--keep RUN]

A study of the bundled task is filled with trials as `benchmarks.engine_overhead` does it, the
search that finds it complete judges its front and writes the run directory, and `hybrid-nas report`
writes the page anew. A headless browser then opens it, each time with a profile of its own; the
times are those of its navigation timing, from the start of the navigation.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.engine_overhead import StubScorer, fill
from hybrid_nas.search.join import open_study
from hybrid_nas.search.run import prepare, run_search
from hybrid_nas.search.rundir import RunDirectory
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.search.storage import open_storage
from hybrid_nas.search.storage_rdb import Database

_TIMES = """
new Promise((tell) => requestAnimationFrame(() => setTimeout(() => {
  const [page] = performance.getEntriesByType("navigation");
  tell([page.domContentLoadedEventEnd, page.loadEventEnd, performance.now()]);
}, 0)))
"""
"""Milliseconds, asked after the load event; the last is that of the frame which shows the page."""
_NAMES = ("DOM content loaded", "load", "page shown")


class Browser:
    """A headless Chromium that is spoken to over the pipe of its DevTools protocol.

    Messages are JSON objects, each ended by a zero byte, on its descriptors 3 and 4.
    """

    def __init__(self, command: str, profile: Path) -> None:
        reads, self._commands = os.pipe()
        self._answers, writes = os.pipe()
        arguments = ("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe")
        # through a shell: it puts the pipes where Chromium looks for them
        shell = f'exec "$0" "$@" 3<&{reads} 4>&{writes}'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, command, *arguments, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(reads, writes),
            stderr=subprocess.DEVNULL,
        )
        os.close(reads), os.close(writes)
        self._number, self._rest, self._session = 0, b"", {}
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        found = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": found["sessionId"]}

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        os.close(self._commands), os.close(self._answers)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a call."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params, **self._session}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        return self._until("id", self._number)["result"]

    def wait_for(self, event: str) -> None:
        """Wait until `event` has come."""
        self._until("method", event)

    def _until(self, key: str, value: object) -> dict[str, Any]:
        while True:
            while b"\0" not in self._rest:
                more = os.read(self._answers, 1 << 16)
                if not more:
                    raise SystemExit("the browser has gone")
                self._rest += more
            text, _, self._rest = self._rest.partition(b"\0")
            message: dict[str, Any] = json.loads(text)
            if message.get(key) == value:
                return message


def opening_ms(browser: str, page: Path) -> list[float]:
    """Milliseconds of `_NAMES` of one visit to a page, by a browser that has seen none."""
    with tempfile.TemporaryDirectory() as profile, Browser(browser, Path(profile)) as window:
        window.call("Page.enable")
        window.call("Page.navigate", url=page.resolve().as_uri())
        window.wait_for("Page.loadEventFired")
        found = window.call(
            "Runtime.evaluate", expression=_TIMES, awaitPromise=True, returnByValue=True
        )
        times: list[float] = found["result"]["value"]
        return times


def make_run(folder: Path, trials: int) -> None:
    """A run directory of a search with so many trials."""
    directory = RunDirectory(folder)
    settings = SearchSettings(trials=trials, threads=1)
    setup = prepare(settings, directory, resume=False)
    place = directory.place()
    backend = open_storage(place.url)
    assert isinstance(backend, Database)
    study = open_study(setup, place.url, place.name)
    fill(study, backend, setup.problem, StubScorer(settings), trials)
    run_search(settings, directory, resume=True)


def megabytes(path: Path) -> float:
    return path.stat().st_size / 1e6


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=5, help="visits to the page")
    parser.add_argument("--browser", default="chromium")
    parser.add_argument("--keep", type=Path, metavar="RUN", help="keep the run; use it if there")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        run = asked.keep or Path(folder) / "run"
        if not (run / "pareto.json").is_file():
            begun = time.perf_counter()
            make_run(run, asked.trials)
            print(f"filling the study and writing the run: {time.perf_counter() - begun:.0f} s")
        begun, before = time.perf_counter(), os.times()
        command = (sys.executable, "-m", "hybrid_nas", "report", str(run), "--json")
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wrote, page, after = time.perf_counter() - begun, run / "report.html", os.times()
        busy = after.children_user + after.children_system
        busy -= before.children_user + before.children_system
        pairs = len(json.loads((run / "pareto.json").read_text())["pairs"])
        rows = len(json.loads((run / "trials.json").read_text())["trials"])
        print(f"{platform.machine()}, Python {platform.python_version()}")
        print(f"{rows} trials, {pairs} pairs; trials.json {megabytes(run / 'trials.json'):.1f} MB")
        print(f"`hybrid-nas report`: {wrote:.1f} s, {busy:.1f} s of CPU")
        print(f"report.html: {megabytes(page):.2f} MB, opened {asked.times} times:")
        if shutil.which(asked.browser) is None:
            raise SystemExit(f"no {asked.browser} here: give the name of a Chromium by --browser")
        visits = [opening_ms(asked.browser, page) for _ in range(asked.times)]
        for name, values in zip(_NAMES, zip(*visits, strict=True), strict=True):
            print(f"{name}: median {statistics.median(values):.0f} ms, worst {max(values):.0f} ms")


if __name__ == "__main__":
    main()
