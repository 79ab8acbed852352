"""``hybrid-nas status``: how a search is doing, on this machine or on others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid_nas.errors import InputError

if TYPE_CHECKING:
    from rich.console import Group

    from hybrid_nas.search.status import SearchStatus, Watcher

_EVERY_S = 2.0


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command("status")
    def status(
        run: Annotated[
            Path | None, typer.Argument(metavar="[RUN]", help="Run directory; the last one.")
        ] = None,
        storage: Annotated[
            str | None,
            typer.Option("--storage", metavar="URL", help="Of a search whose run is elsewhere."),
        ] = None,
        study: Annotated[
            str | None, typer.Option("--study", help="Its name; the only one in the storage.")
        ] = None,
        watch: Annotated[
            bool, typer.Option("--watch", help="Show it until it is done, or until Ctrl-C.")
        ] = False,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Show trials, workers, pace and front of a search, running or not."""
        if watch and json:
            raise InputError("--watch and --json exclude each other: --json prints one document")
        watcher = _watcher(run, storage, study)
        if json:
            from hybrid_nas.cli.output import emit_json

            emit_json(watcher())
        elif watch:
            _show_live(watcher)
        else:
            from hybrid_nas.cli.output import out_console

            out_console().print(_page(watcher()))


def _watcher(run: Path | None, url: str | None, name: str | None) -> Watcher:
    from hybrid_nas.cli.search_work import RUNS
    from hybrid_nas.search.rundir import RunDirectory, last_run
    from hybrid_nas.search.status import Watcher
    from hybrid_nas.search.storage import load_study, open_storage

    if run is not None or url is None:
        place = RunDirectory(run or last_run(RUNS)).place(url, name)
        url, name = place.url, place.name
    return Watcher(load_study(open_storage(url, create=False), name, url))


def _show_live(watcher: Watcher) -> None:
    import time

    from rich.live import Live

    from hybrid_nas.cli.output import out_console

    state = watcher()
    with Live(_page(state), console=out_console(), auto_refresh=False) as live:
        while state.ended is None and state.trials["complete"] < state.wanted:
            time.sleep(_EVERY_S)
            state = watcher()
            live.update(_page(state), refresh=True)


def _page(state: SearchStatus) -> Group:
    from rich.console import Group
    from rich.text import Text

    from hybrid_nas.cli.output import make_table

    done, others = state.trials["complete"], ("running", "waiting", "fail")
    counts = ", ".join(f"{state.trials[name]} {_WORDS[name]}" for name in others)
    best = "none yet" if state.best is None else f"{state.best:.4g}"
    lines = [
        f"{state.study}: {done} of {state.wanted} candidates scored, {counts}",
        f"best {state.objective} {best}, {state.front} on the front, hypervolume "
        f"{state.hypervolume:.4f}",
        _pace(state) if state.ended is None else f"ended: {state.ended}",
    ]
    columns = ["machine", "process", "since (UTC)", "trial", "scoring s", "heartbeat s ago"]
    rows = [
        [
            worker.host,
            worker.pid,
            worker.since[:19].replace("T", " "),
            worker.trial,
            f"{worker.scoring_s:.0f}",
            _heartbeat(worker.heartbeat_s, worker.silent),
        ]
        for worker in state.workers
    ]
    table = make_table(columns, rows, numeric=("process", "trial", "scoring s", "heartbeat s ago"))
    return Group(*(Text(line) for line in lines), table if rows else Text("no worker is scoring"))


_WORDS = {"running": "being scored", "waiting": "queued again", "fail": "given up or taken back"}


def _pace(state: SearchStatus) -> str:
    pace = "unknown" if state.per_minute is None else f"{state.per_minute:.3g} candidates a minute"
    left = state.seconds_left
    return f"pace {pace}" + ("" if left is None else f", about {_duration(left)} left")


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _heartbeat(age: float | None, silent: bool) -> str:
    if age is None:
        return "gone" if silent else "–"
    return f"{max(age, 0):.0f}" + (" (silent)" if silent else "")
