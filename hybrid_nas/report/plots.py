"""All plots of a run, each drawn once and saved as PNG (for files) and SVG (for the page)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from hybrid_nas.report.documents import Run
from hybrid_nas.report.plot_arena import draw_arena
from hybrid_nas.report.plot_costs import draw_latency, draw_memory
from hybrid_nas.report.plot_curves import draw_all_curves, draw_curve
from hybrid_nas.report.plot_pareto import draw_pareto
from hybrid_nas.report.plot_search import draw_hypervolume
from hybrid_nas.report.style import plot_style, png_bytes, settle, svg_text

PLOTS: dict[str, Callable[[Run], Figure | None]] = {
    "pareto": draw_pareto,
    "coverage": draw_all_curves,
    "memory": draw_memory,
    "latency": draw_latency,
    "hypervolume": draw_hypervolume,
}
"""Plots by name. A function gives None where the run has nothing to draw."""


@dataclass(frozen=True)
class Plot:
    """One drawn plot in both forms."""

    png: bytes
    svg: str


def draw_plots(run: Run) -> dict[str, Plot]:
    """The plots of `PLOTS` for which the run has data, by name."""
    plots = {}
    for name, draw in PLOTS.items():
        with plot_style(name):
            figure = draw(run)
            if figure is not None:
                settle(figure)
                plots[name] = Plot(png_bytes(figure), svg_text(figure))
    return plots


def draw_pair_curves(run: Run) -> dict[int, str]:
    """The SVG of each pair's accuracy over coverage, by pair id, for the pairs that have one."""
    drawn = {}
    for pair in run.front.pairs:
        if pair.id in run.curves:
            with plot_style(f"pair-{pair.id}"):
                drawn[pair.id] = svg_text(settle(draw_curve(run, pair)))
    return drawn


def draw_arenas(run: Run) -> dict[int, str]:
    """The SVG of each pair's arena over time, by pair id, for the pairs whose plan is known."""
    drawn = {}
    for number, plan in run.plans.items():
        with plot_style(f"arena-{number}"):
            drawn[number] = svg_text(settle(draw_arena(plan)))
    return drawn
