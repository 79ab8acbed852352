"""Labels beside the points of a plot, each where it covers least."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hybrid_nas.report.style import color, settle

_OFFSETS = ((8, 0), (-8, 0), (0, 11), (0, -11), (8, 9), (8, -9), (-8, 9), (-8, -9))
"""Places to try around a point, in points, best first."""
_HALF_HEIGHT, _DIGIT_WIDTH = 5.5, 6.5


def place_labels(
    figure: Figure,
    axes: Axes,
    anchors: Mapping[int, tuple[float, float]],
    points: Sequence[tuple[float, float]],
) -> None:
    """Write each number beside its anchor, away from `points` and from the labels before it.

    Greedy, in the order of `anchors`; a number that would be written over another is left out. The
    labels link to ``#pair-ID``.
    """
    if not anchors:
        return
    settle(figure)  # the layout decides where a point is on the paper
    to_points = 72.0 / figure.dpi
    frame = axes.get_window_extent()
    taken = axes.transData.transform(np.array(points)) * to_points
    written = np.zeros((0, 3))  # centres, half widths
    for number, anchor in anchors.items():
        x, y = axes.transData.transform(anchor) * to_points
        half_width = _DIGIT_WIDTH * len(str(number)) / 2
        best, best_cost = _OFFSETS[0], np.inf
        for order, (dx, dy) in enumerate(_OFFSETS):
            cx = x + dx + np.sign(dx) * half_width
            cy = y + dy
            near_x = np.maximum(0, half_width + 5 - np.abs(taken[:, 0] - cx))
            near_y = np.maximum(0, _HALF_HEIGHT + 5 - np.abs(taken[:, 1] - cy))
            outside = not frame.contains(cx / to_points, cy / to_points)
            cost = float((near_x * near_y).sum()) + 2.0 * order + 1e4 * outside
            if cost < best_cost:
                best, best_cost = (dx, dy), cost
        dx, dy = best
        center = (x + dx + np.sign(dx) * half_width, y + dy)
        apart = np.abs(written[:, :2] - center)
        if np.any((apart[:, 0] < half_width + written[:, 2]) & (apart[:, 1] < 2 * _HALF_HEIGHT)):
            continue
        written = np.vstack([written, (*center, half_width)])
        side = {1: "left", -1: "right", 0: "center"}[int(np.sign(dx))]
        axes.annotate(
            str(number),
            anchor,
            xytext=(dx, dy),
            textcoords="offset points",
            ha=side,
            va="center",
            fontsize=9,
            fontweight="bold",
            color=color("ink"),
            zorder=5,
            url=f"#pair-{number}",
        )
        taken = np.vstack([taken, center])
