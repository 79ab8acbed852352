"""``search`` behind its flags; imported late, for the libraries' sake."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_nas.cli.interrupt import stop_on_interrupt
from hybrid_nas.cli.output import console, emit_json
from hybrid_nas.cli.progress import progress_bar
from hybrid_nas.cli.search_answer import render_answer
from hybrid_nas.errors import InfeasibleError, InputError
from hybrid_nas.hardware.limits import check_latency_limit
from hybrid_nas.report.terminal import render_front
from hybrid_nas.report.write import write_report
from hybrid_nas.search.complete import complete
from hybrid_nas.search.run import run_search, settings_to_resume
from hybrid_nas.search.rundir import RunDirectory, last_run, new_run_name
from hybrid_nas.search.settings import NO_CLOUD, SearchSettings
from hybrid_nas.search.setup import SearchSetup

if TYPE_CHECKING:
    from rich.console import Console

    from hybrid_nas.search.progress import SearchProgress

RUNS = Path("runs")
_MAY_DIFFER_ON_RESUME = ("trials", "time_budget_s", "patience", "jobs", "threads")
_FLAGS = {
    "sram_bytes": "sram",
    "flash_bytes": "flash",
    "latency_ms": "latency",
    "mean_latency_ms": "mean-latency",
    "mean_energy_mj": "mean-energy",
    "objectives": "objective",
    "routers": "router",
    "coverages": "coverage",
    "power_mw": "board-power",
    "sleep_mw": "sleep-power",
    "reserve_sram_bytes": "reserve-sram",
    "reserve_flash_bytes": "reserve-flash",
}
"""Flags that are called otherwise than the settings they give."""


def run_search_command(
    given: dict[str, Any],
    run: Path | None,
    resume: bool,
    storage: tuple[str | None, str | None, int],
    force_latency: bool,
    json: bool,
) -> None:
    """``search``: run or go on, write the report, print the front.

    Args:
        given: settings that the user gave, by the names of `SearchSettings`.
        run: the run directory; the next free one, or the last one to resume.
        resume, force_latency, json: as the flags.
        storage: ``--storage``, ``--study``, ``--heartbeat``.
    """
    people = console(json=json)
    if resume:
        refused = [name for name in given if name not in _MAY_DIFFER_ON_RESUME]
        if refused:
            flag = _flag(refused[0], given)
            raise InputError(
                f"--resume goes on with the run's own settings: leave out {flag} "
                "(only --trials, --time-budget, --patience, --jobs and --threads may differ)"
            )
        directory = RunDirectory(run or last_run(RUNS))
        settings = settings_to_resume(directory, given)
    else:
        directory = RunDirectory(run or RUNS / new_run_name(RUNS, "search"))
        settings = SearchSettings(**given)
        _check_latency_limit(settings, "latency_ms" in given, force_latency, people)
        settings = complete(settings)
    try:
        with stop_on_interrupt() as stop, progress_bar(people, "searching", "candidates") as show:
            result = run_search(
                settings,
                directory,
                storage_url=storage[0],
                study=storage[1],
                heartbeat_s=storage[2],
                resume=resume,
                report=lambda state: show(state.done, state.trials, _figures(state)),
                stop=stop,
            )
    except InfeasibleError as error:
        raise _by_budget(error, settings, given) from error
    except KeyboardInterrupt:
        people.print(
            f"Interrupted; every scored candidate is kept. Go on with: hybrid-nas search --resume "
            f"--run {directory.path}",
            markup=False,
            soft_wrap=True,
        )
        raise
    write_report(directory.path)
    if json:
        emit_json(result.document)
        return
    people.print(result.ended, markup=False)
    render_front(people, result.document, directory.path)
    render_answer(people, result.document, settings)


def _flag(name: str, given: dict[str, Any]) -> str:
    """The flag that a setting was given by."""
    if (name, given[name]) == ("cloud", NO_CLOUD):
        return "--no-cloud"
    return "--" + _FLAGS.get(name, name.replace("_", "-"))


def _by_budget(
    error: InfeasibleError, settings: SearchSettings, given: dict[str, Any]
) -> InfeasibleError:
    """The refusal in terms of the flag that was given: a budget is a limit on the device, too."""
    if "latency_ms" in given or settings.regime != "budget":
        return error
    if settings.mean_energy_mj is None:
        return InfeasibleError(str(error).replace("--latency", "--mean-latency"))
    return InfeasibleError(
        f"{error} (at {settings.power_mw:g} mW, {settings.mean_energy_mj:g} mJ are "
        f"{settings.latency_ms:.3g} ms on the device)"
    )


def _check_latency_limit(
    settings: SearchSettings, given: bool, forced: bool, people: Console
) -> None:
    """Refuse or doubt a limit on latency, by the error of the table that it would be judged by.

    A budget of the mean is only doubted: queries are most of it.
    """
    if settings.latency_ms is None:
        return
    table = SearchSetup(settings).table
    if table is None:
        return  # the search itself says so, and what to do
    doubt = check_latency_limit(table, forced=forced or not given)
    if doubt:
        people.print(f"warning: {doubt}", markup=False, soft_wrap=True)


def _figures(state: SearchProgress) -> str:
    if not state.done:
        return "first candidate"
    left = "" if state.seconds_left is None else f", {state.seconds_left:.0f} s left"
    return f"best {state.best:.4g}, hypervolume {state.hypervolume:.4f}{left}"
