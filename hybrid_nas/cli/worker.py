"""``hybrid-nas worker``: score candidates of a search that was begun elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hybrid_nas.cli.options import duration_option


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command("worker")
    def worker(
        storage: Annotated[
            str,
            typer.Option(
                "--storage",
                metavar="URL",
                help="Of the search: postgresql://USER@HOST/DATABASE, sqlite:///FILE or "
                "journal:///FILE.",
            ),
        ],
        study: Annotated[
            str | None, typer.Option("--study", help="Its name; the only one in the storage.")
        ] = None,
        jobs: Annotated[int, typer.Option("--jobs", min=1, help="Worker processes.")] = 1,
        threads: Annotated[
            int | None, typer.Option("--threads", min=1, help="Threads per worker; all cores.")
        ] = None,
        time_budget: Annotated[
            float | None, duration_option("--time-budget", help="Leave after this long, e.g. 2h.")
        ] = None,
        data: Annotated[
            str | None, typer.Option("--data", help="Where this machine has the study's data.")
        ] = None,
        supernet: Annotated[
            str | None, typer.Option("--supernet", help="Where it has the supernet.")
        ] = None,
        cloud: Annotated[
            str | None, typer.Option("--cloud", help="Where it has the cloud model.")
        ] = None,
        search_cloud: Annotated[
            str | None, typer.Option("--search-cloud", help="Where it has the clouds' supernet.")
        ] = None,
        table: Annotated[
            Path | None, typer.Option("--table", help="Where it has the latency table.")
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Join a search and score candidates until it has enough, or until Ctrl-C.

        What is searched is read from the study. Its data, supernet, cloud and latency table must be
        on this machine, and be the same.
        """
        _work(
            storage,
            study,
            {
                "jobs": jobs,
                "threads": threads,
                "time_budget_s": time_budget,
                "data": data,
                "supernet": supernet,
                "cloud": cloud,
                "search_cloud": search_cloud,
                "table": None if table is None else str(table),
            },
            json,
        )


def _work(url: str, study: str | None, changes: dict[str, Any], json: bool) -> None:
    import signal

    from hybrid_nas.cli.output import console, emit_json
    from hybrid_nas.cli.progress import progress_bar
    from hybrid_nas.search.jobs import work_on
    from hybrid_nas.search.join import join_study
    from hybrid_nas.search.leave import Leave

    people, leave = console(json=json), Leave()
    with leave.on_signals(signal.SIGINT, signal.SIGTERM):
        member = join_study(url, study, changes)
        people.print(f"joined study {member.study.study_name}", markup=False)
        with progress_bar(people, "searching", "candidates") as show:
            share = work_on(
                member,
                url,
                leave,
                lambda state: show(state.done, state.trials, f"best {state.best:.4g}"),
            )
    ended = share.ended or "left the study; the candidate that was being scored is given back"
    if json:
        emit_json({"study": member.study.study_name, "scored": share.scored, "ended": ended})
    else:
        people.print(f"{ended} ({share.scored} here)", markup=False)
