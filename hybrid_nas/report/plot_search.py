"""How the search went: the hypervolume of the front over candidates, and over time."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hybrid_nas.report.documents import Run
from hybrid_nas.report.style import color, dress, new_figure


def draw_hypervolume(run: Run) -> Figure | None:
    """Hypervolume over scored candidates and, where it is known, over the time that they took.

    None where fewer than two candidates have one.
    """
    steps = [
        (count, trial.hypervolume, trial.elapsed_seconds)
        for count, trial in enumerate(run.trials, 1)
        if trial.hypervolume is not None
    ]
    if len(steps) < 2:
        return None
    counts, volumes, seconds = zip(*steps, strict=True)
    last_gain = volumes.index(volumes[-1])
    timed = None not in seconds
    figure = new_figure(4.6 if timed else 2.9)
    over_counts, *over_time = figure.subplots(2 if timed else 1, 1, squeeze=False)[:, 0]
    dress(
        over_counts,
        "Hypervolume of the front as the search went on",
        "candidates scored",
        "hypervolume",
    )
    _draw(over_counts, counts, volumes, last_gain, f"last gain: candidate {counts[last_gain]}")
    for axes in over_time:
        size, unit = (60.0, "min") if seconds[-1] >= 120 else (1.0, "s")
        times = [second / size for second in seconds]
        dress(axes, "The same over time", f"time searched, {unit}", "hypervolume")
        _draw(axes, times, volumes, last_gain, f"last gain: {times[last_gain]:.1f} {unit}")
    return figure


def _draw(
    axes: Axes, steps: Sequence[float], volumes: Sequence[float], last: int, note: str
) -> None:
    """A staircase, and a line at its last step."""
    axes.step(steps, volumes, where="post", color=color("router"), linewidth=1.8)
    axes.set_xlim(0, max(steps[-1], 1e-9))
    axes.axvline(steps[last], color=color("muted"), linewidth=1, linestyle=(0, (4, 2)))
    early = steps[last] < 0.6 * steps[-1]
    axes.annotate(
        note,
        (steps[last], 0.06),
        xycoords=("data", "axes fraction"),
        xytext=(4 if early else -4, 0),
        textcoords="offset points",
        ha="left" if early else "right",
        fontsize=8.5,
        color=color("muted"),
    )
