"""How the search went: the hypervolume of the front after each candidate."""

from __future__ import annotations

from matplotlib.figure import Figure

from hybrid_nas.report.documents import Run
from hybrid_nas.report.style import color, dress, new_figure


def draw_hypervolume(run: Run) -> Figure | None:
    """Hypervolume over scored candidates; None where fewer than two are known."""
    steps = [
        (count, trial.hypervolume)
        for count, trial in enumerate(run.trials, 1)
        if trial.hypervolume is not None
    ]
    if len(steps) < 2:
        return None
    figure = new_figure(2.9)
    axes = dress(
        figure.add_subplot(),
        "Hypervolume of the front as the search went on",
        "candidates scored",
        "hypervolume",
    )
    counts, volumes = zip(*steps, strict=True)
    axes.step(counts, volumes, where="post", color=color("router"), linewidth=1.8)
    axes.set_xlim(0, counts[-1])
    last_gain = next((n for n, volume in steps if volume == volumes[-1]), counts[-1])
    axes.axvline(last_gain, color=color("muted"), linewidth=1, linestyle=(0, (4, 2)))
    early = last_gain < 0.6 * counts[-1]
    axes.annotate(
        f"last gain: candidate {last_gain}",
        (last_gain, 0.06),
        xycoords=("data", "axes fraction"),
        xytext=(4 if early else -4, 0),
        textcoords="offset points",
        ha="left" if early else "right",
        fontsize=8.5,
        color=color("muted"),
    )
    return figure
