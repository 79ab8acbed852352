"""What stands around the points of the Pareto plot: the cloud, the loss allowed, the range."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from hybrid_nas.report import words
from hybrid_nas.report.front import Front
from hybrid_nas.report.measures import Measure, is_accuracy
from hybrid_nas.report.style import color
from hybrid_nas.typing import FloatArray


def draw_cloud(axes: Axes, front: Front, y: Measure) -> None:
    """The accuracy of the cloud alone, where an accuracy stands up."""
    if front.cloud is None or front.cloud.accuracy is None or not is_accuracy(y.name):
        return
    level = 100 * front.cloud.accuracy
    query = front.cloud.query_ms
    each = f", {words.time(query)} each" if query is not None else ""
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, max(top, level + 0.07 * (level - bottom)))  # room for the name
    axes.axhline(level, color=color("muted"), linewidth=1, linestyle=(0, (5, 3)))
    axes.annotate(  # on the left, where pairs are cheap and far below
        f"cloud alone: {level:.1f} %{each}",
        (0, level),
        xytext=(4, 3),
        ha="left",
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        fontsize=8.5,
        color=color("muted"),
    )


def draw_bound(axes: Axes, front: Front, x: Measure) -> None:
    """The loss that was allowed, where the loss is an axis."""
    bound = front.question.max_loss
    if bound is None or x.name != "loss":
        return
    at = 100 * bound
    left, right = axes.get_xlim()
    axes.set_xlim(min(left, at - 0.05 * (right - left)), max(right, at + 0.05 * (right - left)))
    axes.axvline(at, color=color("ink"), linewidth=1.2, linestyle=(0, (4, 2)))
    axes.annotate(
        f"{at:g} allowed",
        (at, 1),
        xytext=(4, -2),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        va="top",
        fontsize=8.5,
        color=color("ink"),
    )


def focus(axes: Axes, members: FloatArray, candidates: FloatArray, *, rising: bool) -> None:
    """Keep poor candidates from squeezing the front: cut the axes, and say how many lie outside.

    `rising` says that large y are good; small x always are.
    """
    if not len(members) or not len(candidates):
        return
    sign = 1.0 if rising else -1.0  # poor candidates are below in these coordinates
    (left, right), limits = axes.get_xlim(), axes.get_ylim()
    bottom, top = sorted(sign * limit for limit in limits)
    lowest, rightmost = (sign * members[:, 1]).min(), members[:, 0].max()
    floor = min(lowest - 0.06 * (top - lowest), np.percentile(sign * candidates[:, 1], 20))
    floor = max(floor, lowest - 1.5 * (top - lowest), bottom)
    wall = max(rightmost + 0.2 * (rightmost - left), np.percentile(candidates[:, 0], 80))
    wall = min(wall, right)
    hidden = int(((sign * candidates[:, 1] < floor) | (candidates[:, 0] > wall)).sum())
    if hidden:
        axes.set_ylim(*sorted((sign * floor, sign * top)))
        axes.set_xlim(left, wall)
        what = "candidate lies" if hidden == 1 else "candidates lie"
        axes.text(
            1,
            0.015,
            f"{hidden} {what} outside this range",
            transform=axes.transAxes,
            ha="right",
            va="bottom",
            fontsize=8.5,
            color=color("muted"),
        )
