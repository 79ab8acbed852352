"""Writing a run's report: plots as PNG files, and the page."""

from __future__ import annotations

from pathlib import Path

from hybrid_nas.files import atomic_write
from hybrid_nas.report.documents import read_run
from hybrid_nas.report.html import render_html
from hybrid_nas.report.plots import PLOTS, draw_arenas, draw_pair_curves, draw_plots
from hybrid_nas.report.terminal import REPORT_NAME


def write_report(run_dir: Path) -> Path:
    """Write ``plots/*.png`` and ``report.html`` into a run directory and return the page's path.

    Reads only the run's documents, so a report can be made again at any time. Every file is
    replaced in one step, the page last; a plot for which there is no data any more is removed.

    Raises:
        InputError: `run_dir` is not a run directory, or one of its documents is broken.
    """
    run = read_run(run_dir)
    plots = draw_plots(run)
    drawn = {name: plot.svg for name, plot in plots.items()}
    page = render_html(run, drawn, draw_pair_curves(run), draw_arenas(run))
    for name in PLOTS:
        path = run_dir / "plots" / f"{name}.png"
        if name in plots:
            atomic_write(path, plots[name].png)
        else:
            path.unlink(missing_ok=True)
    report = run_dir / REPORT_NAME
    atomic_write(report, page)
    return report
