"""Accuracy over coverage of a router, the best confidence, chance and the oracle, for ``route``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hybrid_nas.report.style import color, dress, measured_mark, new_figure, plot_style, png_bytes
from hybrid_nas.routing.bootstrap import Interval
from hybrid_nas.routing.results import CurveResult, RouteAnalysis
from hybrid_nas.routing.rewards import ACCURACY, UTILITY
from hybrid_nas.routing.summary import ORACLE, RANDOM
from hybrid_nas.routing.unseen import SELECTED


def route_png(analysis: RouteAnalysis) -> bytes:
    """The plot of an analysis with a curve, as PNG."""
    assert analysis.curve is not None  # asked for together with the plot
    with plot_style("route"):
        return png_bytes(draw_route(analysis, analysis.curve))


def draw_route(analysis: RouteAnalysis, curve: CurveResult) -> Figure:
    """Above, worth over coverage with 95 % bands; below, the paired gain over the confidence."""
    is_share = analysis.measure != UTILITY
    unit = " (%)" if is_share else ""
    figure = new_figure(5.4)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2.4, 1])
    dress(
        above, f"{analysis.measure.capitalize()} over coverage, unseen inputs", y=_y(analysis, unit)
    )
    scale = 100.0 if is_share else 1.0
    across = 100.0 * np.array(curve.coverage)
    rival = analysis.best_confidence
    lines = [
        (ORACLE, "oracle bound", "oracle", (0, (1, 1.6)), False),
        (RANDOM, "sent at random", "candidate", (0, (6, 2)), False),
        (rival, rival, rival, (0, (3, 1.2)), True),
        (SELECTED, f"router ({analysis.default})", "router", "-", True),
    ]
    for method, label, role, dashes, band in lines:
        _line(above, across, curve.methods[method], scale, label, role, dashes, band=band)
    for c, at in analysis.methods[analysis.default].items():
        _point(above, at.coverage, at.worth, scale, "" if c != analysis.coverages[0] else "targets")
    for one in analysis.targets:
        _point(above, one.coverage, one.worth, scale, "")
    dress(below, x="coverage: share of inputs kept on the device (%)", y=f"router minus\n{rival}")
    below.axhline(0.0, color=color("muted"), linewidth=1)
    _line(below, across, curve.gain, scale, "", "router", "-", band=True)
    above.set_xlim(0.0, 100.0)
    figure.align_ylabels([above, below])
    handles, labels = above.get_legend_handles_labels()
    figure.legend(
        handles[::-1],
        labels[::-1],
        ncols=3,
        loc="outside lower left",
        frameon=False,
        labelcolor=color("ink"),
        fontsize=8.5,
    )
    return figure


def _line(
    axes: Axes,
    across: np.ndarray,
    row: Sequence[Interval],
    scale: float,
    label: str,
    role: str,
    dashes: object,
    *,
    band: bool,
) -> None:
    value, low, high = (
        scale * np.array([getattr(one, end) for one in row]) for end in ("value", "low", "high")
    )
    wide = 2.4 if role == "router" else 1.5
    axes.plot(
        across,
        value,
        color=color(role),
        linewidth=wide,
        linestyle=dashes,
        label=label or None,
    )
    if band:
        axes.fill_between(across, low, high, color=color(role), alpha=0.15, linewidth=0)


def _point(axes: Axes, coverage: float, worth: Interval, scale: float, label: str) -> None:
    axes.errorbar(
        100.0 * coverage,
        scale * worth.value,
        yerr=scale * np.array([[worth.value - worth.low], [worth.high - worth.value]]),
        **measured_mark(),
        label=label or None,
    )


def _y(analysis: RouteAnalysis, unit: str) -> str:
    return f"{analysis.measure if analysis.measure == ACCURACY else 'utility'}{unit}"
