"""The Pareto plot: every scored candidate, and the front on the score and on the test split."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hybrid_nas.report import words
from hybrid_nas.report.documents import Run
from hybrid_nas.report.front import ACCURACY, Front, Objective, Pair
from hybrid_nas.report.labels import place_labels
from hybrid_nas.report.measures import Measure, is_accuracy, measure, value_of
from hybrid_nas.report.pareto_frame import draw_bound, draw_cloud, focus
from hybrid_nas.report.result import Split
from hybrid_nas.report.style import color, dress, new_figure

CROWD = 12
"""With more pairs than this, the plot is taller."""
MOST_CIRCLES = 2000
"""More candidates than this are one image in the page: a browser is slow with so many elements."""


def draw_pareto(run: Run) -> Figure | None:
    """Accuracy (or the first objective) against the second; None where nothing was scored."""
    front = run.front
    x, y = _axes_of(front)
    candidates = [
        (x.scale * trial.measures[x.name], y.scale * trial.measures[y.name])
        for trial in run.trials
        if x.name in trial.measures and y.name in trial.measures
    ]
    score, test = _points(front, x, y, "score"), _points(front, x, y, "test")
    members = [*score.values(), *test.values()]
    if not members and not candidates:
        return None
    figure = new_figure(4.3 if len(front.pairs) <= CROWD else 5.4)
    axes = dress(figure.add_subplot(), _title(front, x, y), x.label, y.label)
    if candidates:
        across, up = zip(*candidates, strict=True)
        axes.scatter(
            across,
            up,
            s=13,
            color=color("candidate"),
            alpha=0.5,
            linewidths=0,
            rasterized=len(candidates) > MOST_CIRCLES,
            label=f"candidates scored ({len(candidates)})",
        )
    _draw_links(axes, score, test)
    _draw_front(axes, front, x, y, score)
    _draw_split(axes, front, y, score, "score")
    _draw_split(axes, front, y, test, "test")
    focus(axes, np.array(members), np.array(candidates), rising=_wanted(front, y) is not False)
    draw_cloud(axes, front, y)
    draw_bound(axes, front, x)
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="outside lower left",
        ncols=3,
        frameon=False,
        labelcolor=color("ink"),
        fontsize=9,
        handletextpad=0.5,
    )
    place_labels(figure, axes, test if len(test) == len(front.pairs) else score, members)
    return figure


Points = dict[int, tuple[float, float]]


def _axes_of(front: Front) -> tuple[Measure, Measure]:
    """(x, y): accuracy stands up; x is the first other objective or cost that is known at all.

    Under a bound on the loss that is x. Under a budget all pairs take about as much on average.
    """
    objectives = front.objectives or (Objective(ACCURACY + front.target, True),)
    upright = (
        [o for o in objectives if o.name.startswith(ACCURACY)]
        or [o for o in objectives if o.maximize]
        or list(objectives)
    )
    y = upright[0].name
    rest = [o.name for o in objectives if o.name != y]
    cloud = front.cloud is not None
    mean = () if front.question.regime == "budget" else ("mean_latency_ms",)
    for name in (*rest, *mean, "edge_latency_ms", "sram_bytes", "macs"):
        if any(value_of(front, pair, name, "score") is not None for pair in front.pairs):
            return measure(name, cloud), measure(y, cloud)
    return measure(rest[0] if rest else "mean_latency_ms", cloud), measure(y, cloud)


def _title(front: Front, x: Measure, y: Measure) -> str:
    board = f" on {words.printable(front.board, 20)}" if front.board else ""
    what = "accuracy" if is_accuracy(y.name) else y.label.split(" (")[0]
    against = "loss" if x.name == "loss" else x.label.split(" (")[0]
    return f"Front{board}: {what.removesuffix(' within the loss')} against {against}"


def _points(front: Front, x: Measure, y: Measure, split: Split) -> Points:
    points = {}
    for pair in front.pairs:
        across = value_of(front, pair, x.name, split)
        up = value_of(front, pair, y.name, split)
        if across is not None and up is not None:
            points[pair.id] = (x.scale * across, y.scale * up)
    return points


def _draw_front(axes: Axes, front: Front, x: Measure, y: Measure, score: Points) -> None:
    """The staircase that the front's scores dominate, when x is to be small, and y is wanted."""
    if not score or len(front.objectives) != 2:
        return
    if _wanted(front, x) is not False or _wanted(front, y) is None:
        return
    steps = sorted(score.values())
    axes.step(
        [p[0] for p in steps],
        [p[1] for p in steps],
        where="post",
        color=color("router"),
        linewidth=1.1,
        alpha=0.55,
    )


def _wanted(front: Front, axis: Measure) -> bool | None:
    """Whether an axis is an objective to be large; None where it is no objective."""
    wanted = {objective.name: objective.maximize for objective in front.objectives}
    return wanted.get(axis.name)


def _draw_links(axes: Axes, score: Points, test: Points) -> None:
    for number in score.keys() & test.keys():
        axes.plot(
            *zip(score[number], test[number], strict=True),
            color=color("muted"),
            linewidth=0.8,
            linestyle=(0, (1, 2)),
        )


def _draw_split(axes: Axes, front: Front, y: Measure, points: Points, split: Split) -> None:
    if not points:
        return
    pairs = [pair for pair in front.pairs if pair.id in points]
    across, up = zip(*(points[pair.id] for pair in pairs), strict=True)
    if is_accuracy(y.name):
        errors = [100 * (_stderr(front, pair, y, split) or 0) for pair in pairs]
        axes.errorbar(
            across,
            up,
            yerr=errors,
            fmt="none",
            linewidth=1.0,
            capsize=2,
            zorder=3,
            ecolor=color("router" if split == "score" else "test"),
            alpha=0.4 if split == "score" else 0.9,
        )
    drawn = axes.scatter(
        across,
        up,
        s=36,
        zorder=4,
        linewidths=1.4,
        marker="o" if split == "score" else "D",
        facecolor=color("router") if split == "score" else color("paper"),
        edgecolor=color("router" if split == "score" else "test"),
        label="front, score split (selected on)" if split == "score" else "front, test split",
    )
    drawn.set_urls([f"#pair-{pair.id}" for pair in pairs])


def _stderr(front: Front, pair: Pair, y: Measure, split: Split) -> float | None:
    if y.name.startswith(ACCURACY):
        return pair.at(y.name.removeprefix(ACCURACY), split).stderr
    return front.working(pair, split).stderr
