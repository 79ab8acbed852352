"""Plots of an evaluation: accuracy over coverage and over mean latency, from its document alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hybrid_nas.report.style import (
    color,
    dress,
    measured_mark,
    new_figure,
    plot_style,
    png_bytes,
    settle,
)
from hybrid_nas.typing import FloatArray

_ROLES = {
    "msp": ("msp", "-"),
    "entropy": ("entropy", "-"),
    "margin": ("margin", "-"),
    "max-logit": ("other", "-"),
    "max-logit-p-norm": ("other", "--"),
    "msp-temperature": ("msp", "--"),
    "entropy-temperature": ("entropy", "--"),
    "margin-temperature": ("margin", "--"),
    "random": ("candidate", "-."),
    "errors-first": ("oracle", ":"),
    "oracle-o": ("oracle", "-."),
    "signed-oracle": ("oracle", "--"),
}
_ROUTER = "router"
_EXIT_ROLES = ("router", "entropy", "msp")


def draw_evaluation(document: Mapping[str, Any]) -> dict[str, bytes]:
    """PNGs by name: ``coverage``; with a latency table ``exits`` and, with a cloud, ``latency``."""
    plots = {}
    drawings = {"coverage": draw_coverage, "latency": draw_latency, "exits": draw_exits}
    for name, draw in drawings.items():
        with plot_style(f"evaluation-{name}"):
            figure = draw(document)
            if figure is not None:
                plots[name] = png_bytes(settle(figure))
    return plots


def draw_coverage(document: Mapping[str, Any]) -> Figure:
    """Curves of all methods above; below, how far the router is above each deployable one."""
    curves = _curves(document)
    across = 100.0 * curves["coverage"]
    figure = new_figure(6.2)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2.4, 1])
    dress(above, _title(document, "accuracy over coverage"), y=_accuracy_label(document))
    _draw_methods(above, across, curves)
    _draw_targets(above, document, lambda at: 100.0 * at["coverage"])
    dress(below, x="coverage: share of inputs kept (%)", y="router ahead\nby (points)")
    below.axhline(0, color=color("muted"), linewidth=1)
    for name, values in curves.items():
        if _kind(document, name) == "confidence":
            role, dash = _ROLES.get(name, ("other", "-"))
            ahead = 100.0 * (curves[_ROUTER] - values)
            below.plot(across, ahead, color=color(role), linestyle=dash, linewidth=1.2)
    bottom, top = below.get_ylim()
    below.set_ylim(min(bottom, -0.5), max(top, 0.5))
    above.set_xlim(float(across.min()), 100)
    figure.align_ylabels([above, below])
    _legend(figure, above)
    return figure


def draw_latency(document: Mapping[str, Any]) -> Figure | None:
    """The same over mean latency, with each model alone."""
    edge_ms, query_ms = document["latency"]["edge_ms"], document["latency"]["query_ms"]
    if edge_ms is None or document["cloud_accuracy"] is None:
        return None
    curves = _curves(document)
    across = edge_ms + (1.0 - curves["coverage"]) * query_ms
    figure = new_figure(5.0)
    axes = figure.subplots()
    title = _title(document, "accuracy over mean latency")
    label = f"mean latency (ms): {edge_ms:.4g} on the device, {query_ms:.4g} for a query"
    dress(axes, title, x=label, y=_accuracy_label(document))
    _draw_methods(axes, across, curves)
    _draw_targets(axes, document, lambda at: at["mean_latency_ms"])
    _draw_timeouts(axes, document)
    cloud = 100.0 * document["cloud_accuracy"]["value"]
    cloud_ms = document["latency"]["cloud_only_ms"]
    axes.plot([cloud_ms], [cloud], "s", color=color("ink"), markersize=5, label="cloud only")
    base = 100.0 * document["base_accuracy"]["value"]
    axes.plot([edge_ms], [base], "o", color=color("ink"), markersize=5, label="device only")
    _legend(figure, axes)
    return figure


def draw_exits(document: Mapping[str, Any]) -> Figure | None:
    """Early exits on the device: accuracy over mean latency without a cloud."""
    exits = [one for one in document["early_exits"] if one["ms"] is not None]
    edge_ms = document["latency"]["edge_ms"]
    if not exits or edge_ms is None:
        return None
    figure = new_figure(3.8)
    axes = figure.subplots()
    title = _title(document, "early exits on the device")
    dress(axes, title, x="mean latency on the device (ms)", y="accuracy (%)")
    base = 100.0 * document["base_accuracy"]["value"]
    for one, role, mark in zip(exits, _EXIT_ROLES, "ovs", strict=False):
        points = [(at["mean_ms"], 100.0 * at["accuracy"]) for at in one["at"].values()]
        ms, accuracy = np.array(sorted(points)).T
        name = f"exit behind block {one['block']}"
        axes.plot(ms, accuracy, color=color(role), marker=mark, markersize=4, label=name)
    axes.plot([edge_ms], [base], "D", color=color("ink"), markersize=5, label="device only")
    _legend(figure, axes)
    return figure


def _curves(document: Mapping[str, Any]) -> dict[str, FloatArray]:
    return {name: np.asarray(values, float) for name, values in document["curves"].items()}


def _draw_methods(axes: Axes, across: FloatArray, curves: Mapping[str, FloatArray]) -> None:
    for name, values in curves.items():
        if name in ("coverage", _ROUTER):
            continue
        role, dash = _ROLES.get(name, ("other", "-"))
        axes.plot(
            across,
            100.0 * values,
            color=color(role),
            linestyle=dash,
            linewidth=1.2,
            label=name.replace("-", " "),
        )
    axes.plot(across, 100.0 * curves[_ROUTER], color=color("router"), linewidth=2.2, label=_ROUTER)


def _draw_targets(axes: Axes, document: Mapping[str, Any], place: Any) -> None:
    """The points that the thresholds reached, with their 95 % intervals."""
    for at in document["coverages"].values():
        low, high = at["interval"]
        accuracy = at["accuracy"]
        axes.errorbar(
            [place(at)],
            [100.0 * accuracy],
            yerr=[[100.0 * max(0.0, accuracy - low)], [100.0 * max(0.0, high - accuracy)]],
            **measured_mark(),
        )


def _draw_timeouts(axes: Axes, document: Mapping[str, Any]) -> None:
    """What is left where some queries are not answered in time and the base answers instead."""
    if document["costs"]["query"]["answered"] == 1.0:
        return
    found = document["coverages"].values()
    axes.plot(
        [at["mean_latency_ms"] for at in found],
        [100.0 * at["accuracy_with_timeouts"] for at in found],
        "x",
        color=color("test"),
        markersize=6,
        markeredgewidth=1.6,
        zorder=5,
        label="router, with timeouts",
    )
    axes.set_ylabel(f"{_accuracy_label(document)}, every query answered")


def _kind(document: Mapping[str, Any], name: str) -> str | None:
    found: str | None = document["baselines"].get(name, {}).get("kind")
    return found


def _title(document: Mapping[str, Any], what: str) -> str:
    return f"Pair {document['pair']} ({document['base']}, int8): {what}, test split"


def _accuracy_label(document: Mapping[str, Any]) -> str:
    abstains = document["cloud_accuracy"] is None
    return "accuracy on kept inputs (%)" if abstains else "accuracy (%)"


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        ncols=4,
        loc="outside lower left",
        frameon=False,
        labelcolor=color("ink"),
        fontsize=8,
        handlelength=2.4,
    )
