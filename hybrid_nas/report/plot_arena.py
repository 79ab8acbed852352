"""The arena of a pair over time: each tensor is a rectangle, its lifetime by its place."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from hybrid_nas.report.style import color, dress, new_figure
from hybrid_nas.report.verified import ArenaPlan, PlannedTensor
from hybrid_nas.units import KIB, format_bytes

_KINDS = {
    "image": ("image", "msp"),
    "output": ("operators' outputs", "router"),
    "scratch": ("kernels' scratch", "entropy"),
    "router": ("router", "test"),
}
"""By kind: its name in the legend, and the role of its colour."""
_SMALLEST_NAMED = (0.035, 0.12)  # of the width and of the height, for a name inside


def draw_arena(plan: ArenaPlan) -> Figure:
    """Steps from left to right, addresses upwards, in KB from the arena's start."""
    figure = new_figure(3.6)
    axes = dress(
        figure.add_subplot(),
        "The arena while the network runs",
        "step: operators in their order, and the router",
        "KB from the arena's start",
        grid="y",
    )
    steps = len(plan.steps)
    for tensor in sorted(plan.tensors, key=lambda one: (one.first, -one.bytes)):
        _draw(axes, tensor, plan)
    axes.axhline(plan.arena_bytes / KIB, color=color("ink"), linewidth=1, linestyle=(0, (4, 2)))
    axes.annotate(
        f"arena: {format_bytes(plan.arena_bytes)}",
        (1, plan.arena_bytes / KIB),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        fontsize=8.5,
        color=color("ink"),
    )
    axes.set_xlim(-1, steps + 1)
    axes.set_ylim(0, 1.1 * plan.arena_bytes / KIB)
    _name_steps(axes, plan.steps)
    there = {kind(tensor) for tensor in plan.tensors}
    axes.legend(
        handles=[
            Patch(facecolor=color(role), edgecolor=color("paper"), label=words)
            for name, (words, role) in _KINDS.items()
            if name in there
        ],
        loc="upper center",
        bbox_to_anchor=(0.5, -0.2),
        ncols=4,
        frameon=False,
        labelcolor=color("ink"),
        fontsize=8.5,
    )
    return figure


def kind(tensor: PlannedTensor) -> str:
    """Which of `_KINDS` a tensor is."""
    if tensor.name in ("image", "router"):
        return tensor.name
    return "scratch" if tensor.name.endswith(".scratch") else "output"


def _draw(axes: Axes, tensor: PlannedTensor, plan: ArenaPlan) -> None:
    width, height = tensor.last - tensor.first + 1, tensor.bytes / KIB
    corner = (tensor.first, tensor.offset / KIB)
    axes.add_patch(
        Rectangle(
            corner,
            width,
            height,
            facecolor=color(_KINDS[kind(tensor)][1]),
            edgecolor=color("paper"),
            linewidth=0.7,
        )
    )
    wide = width / (len(plan.steps) + 2) >= _SMALLEST_NAMED[0] * (1 + len(tensor.name) / 6)
    if wide and tensor.bytes / plan.arena_bytes >= _SMALLEST_NAMED[1]:
        axes.text(
            corner[0] + width / 2,
            corner[1] + height / 2,
            tensor.name,
            ha="center",
            va="center",
            fontsize=7.5,
            color=color("paper"),
        )


def _name_steps(axes: Axes, steps: Sequence[str]) -> None:
    """Numbers of operators, not all of them; the router's step by its name."""
    every = max(1, round(len(steps) / 12))
    places = [step for step, name in enumerate(steps) if name != "router" and step % every == 0]
    labels = [steps[step].partition(":")[0] for step in places]
    axes.set_xticks([place + 0.5 for place in places], labels)
