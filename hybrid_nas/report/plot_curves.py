"""Accuracy over coverage on the test split: the router against the plain confidences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hybrid_nas.report import words
from hybrid_nas.report.documents import Curve, Run
from hybrid_nas.report.front import Front, Pair
from hybrid_nas.report.result import Result
from hybrid_nas.report.style import WIDTH_INCHES, color, dress, measured_mark, new_figure

MOST_PANELS = 12
ROUTER, POINT = "router", "where it would be run"
_DASHES: dict[str, tuple[float, tuple[float, ...]]] = {
    "entropy": (0, (6, 2)),
    "msp": (0, (3, 1.2)),
    "margin": (0, (5, 1.5, 1, 1.5)),
    "oracle": (0, (1, 1.6)),
}


def draw_all_curves(run: Run) -> Figure | None:
    """Small multiples, one panel per pair on common axes, best pairs first."""
    pairs = [pair for pair in run.front.pairs if pair.id in run.curves]
    if not pairs:
        return None
    shown = pairs[:MOST_PANELS]
    columns = min(3, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = new_figure(1.3 + 2.1 * rows, WIDTH_INCHES * (1.35 if columns > 1 else 1.0))
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, pair in zip(grid.flat, shown, strict=False):
        dress(axes, f"Pair {pair.id}  ({words.network(pair)})")
        axes.title.set_fontsize(9.5)
        _draw_methods(axes, run.curves[pair.id])
        _draw_targets(axes, run.front, pair)
    for position, axes in enumerate(grid.flat):
        axes.set_visible(position < len(shown))
        if len(shown) - columns <= position < len(shown):  # the lowest panel of its column
            axes.tick_params(labelbottom=True)
            axes.set_xlabel("coverage (%)")
        if position % columns == 0:
            axes.set_ylabel(_accuracy_label(run.front))
    grid.flat[0].set_xlim(100 * min(_left_end(run.curves[pair.id]) for pair in shown), 100)
    some = "" if len(shown) == len(pairs) else f" (the {len(shown)} best of {len(pairs)} pairs)"
    figure.suptitle(
        f"Accuracy over coverage on the test split{some}",
        x=0.01,
        ha="left",
        color=color("ink"),
        fontsize=11,
        fontweight="bold",
    )
    _legend(figure, grid.flat[0])
    return figure


def draw_curve(run: Run, pair: Pair) -> Figure:
    """One pair: its curves above, and below how far the router is above each confidence."""
    curve = run.curves[pair.id]
    figure = new_figure(5.0)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2.3, 1])
    title = f"Pair {pair.id}: accuracy over coverage, test split"
    dress(above, title, y=_accuracy_label(run.front))
    _draw_methods(above, curve)
    _draw_targets(above, run.front, pair)
    dress(below, x=_coverage_label(run.front), y="router ahead\nby (points)")
    below.axhline(0, color=color("muted"), linewidth=1)
    router = curve.accuracy.get(ROUTER)
    if router is not None:
        for name, values in _baselines(curve).items():
            if name != "oracle":
                below.plot(
                    100 * curve.coverage,
                    100 * (router - values),
                    color=color(name),
                    linewidth=1.5,
                    linestyle=_DASHES.get(name, "-"),
                )
    bottom, top = below.get_ylim()
    below.set_ylim(min(bottom, -0.5), max(top, 0.5))
    above.set_xlim(100 * _left_end(curve), 100)
    figure.align_ylabels([above, below])
    _legend(figure, above)
    return figure


def _draw_methods(axes: Axes, curve: Curve) -> None:
    across = 100 * curve.coverage
    for name, values in _baselines(curve).items():
        axes.plot(
            across,
            100 * values,
            color=color(name),
            linewidth=1.5,
            linestyle=_DASHES.get(name, "-"),
            label=words.printable(words.method(name), 30),
        )
    router = curve.accuracy.get(ROUTER)
    if router is None:
        return
    axes.plot(across, 100 * router, color=color("router"), linewidth=2.4, label=ROUTER)
    if curve.stderr is not None:
        error = np.nan_to_num(curve.stderr)
        axes.fill_between(
            across,
            100 * (router - error),
            100 * (router + error),
            color=color("router"),
            alpha=0.15,
            linewidth=0,
        )


def _draw_targets(axes: Axes, front: Front, pair: Pair) -> None:
    """The reported points: at the coverage that was reached, which may be above the target.

    Under a budget or a bound on the loss a star is where the pair would be run.
    """
    for key in front.coverages:
        _draw_result(axes, pair.at(key, "test"), float(key), measured_mark())
    if pair.point is not None:
        star = {**measured_mark(), "fmt": "*", "markersize": 13, "zorder": 6}
        _draw_result(axes, pair.point.test, pair.point.coverage, {**star, "label": POINT})


def _draw_result(
    axes: Axes, result: Result, planned: float | None, mark: Mapping[str, Any]
) -> None:
    coverage = planned if result.coverage is None else result.coverage
    if result.accuracy is None or coverage is None:
        return
    error = 100 * (result.stderr or 0)
    axes.errorbar(100 * coverage, 100 * result.accuracy, yerr=error, **mark)


def _baselines(curve: Curve) -> dict[str, np.ndarray]:
    return {name: values for name, values in curve.accuracy.items() if name != ROUTER}


def _left_end(curve: Curve) -> float:
    known = curve.coverage[np.isfinite(curve.coverage)]
    return float(known.min()) if len(known) and known.min() < 1 else 0.0


def _coverage_label(front: Front) -> str:
    other = "sent to the cloud" if front.cloud is not None else "left unanswered"
    return f"coverage: share of inputs kept on the device (%), the others {other}"


def _accuracy_label(front: Front) -> str:
    return "accuracy (%)" if front.cloud is not None else "accuracy on answered inputs (%)"


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if labels:  # the router was drawn late, to be on top; it is named first
        order = sorted(range(len(labels)), key=lambda n: labels[n] != ROUTER)
        figure.legend(
            [handles[n] for n in order],
            [labels[n] for n in order],
            ncols=5,
            loc="outside lower left",
            frameon=False,
            labelcolor=color("ink"),
            fontsize=8.5,
            handlelength=2.4,
            columnspacing=1.4,
            handletextpad=0.5,
        )
