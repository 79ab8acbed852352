"""A picture of a latency table: how fast each operator runs, by how much work it has per byte.

Both axes are logarithmic, as in the roofline model (Williams, Waterman and Patterson, CACM 52(4),
2009). Its two roofs, the most work and the most bytes per unit of time, are not known for a board
and a runtime; what is drawn instead are the best rates of any row.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from hybrid_nas.errors import InputError
from hybrid_nas.files import atomic_write
from hybrid_nas.hardware.latency_table import LatencyTable
from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.report.style import color, dress, new_figure, plot_style, png_bytes, settle
from hybrid_nas.typing import FloatArray

_LOOKS = {
    "pointwise": ("router", "o", "1x1 convolution"),
    "conv": ("test", "s", "k x k convolution"),
    "dwconv": ("msp", "^", "depthwise"),
    "dense": ("entropy", "D", "dense"),
    "add": ("margin", "P", "add"),
    "mul": ("other", "X", "multiply"),
    "avgpool": ("oracle", "v", "average pool"),
    "maxpool": ("candidate", "<", "max pool"),
}
"""Of each class of operators: role of its colour, marker, name."""


@dataclass(frozen=True, eq=False)
class Roofline:
    """Work per byte and speed of n operators, each (n,).

    Work is multiply-accumulates; operators that have none count a step per value that they read.
    Bytes are those of input, output and weights, once each.
    """

    work_per_byte: FloatArray
    speed: FloatArray
    arrays: OpArrays

    @classmethod
    def of(cls, table: LatencyTable) -> Roofline:
        """The rows of a table; speed is work per second, or per cycle or instruction."""
        arrays = OpArrays.of(table.rows)
        values = np.array([row.value for row in table.rows.values()])
        reads = arrays.in_bytes * np.where(arrays.residual > 0, 2, 1)
        read_values = reads // arrays.itemsize
        work = np.where(arrays.macs > 0, arrays.macs, read_values).astype(float)
        moved = reads + arrays.out_bytes + arrays.weights * arrays.itemsize
        seconds = {"ms": 1e-3, "us": 1e-6}.get(table.identity.unit, 1.0)
        return cls(work / moved, work / (values * seconds), arrays)


def write_latency_plot(table: LatencyTable, path: Path) -> None:
    """Draw a table's rows into a PNG file.

    Raises:
        InputError: the table has no rows, or `path` does not end in ``.png``.
    """
    if path.suffix.lower() != ".png":
        raise InputError(f"--plot writes a PNG: expected a name that ends in .png (got {path})")
    if not table.rows:
        raise InputError(f"latency table {table.name} has a model and no rows: nothing to draw")
    with plot_style("latency-table"):
        atomic_write(path, png_bytes(settle(draw_roofline(table))))


def draw_roofline(table: LatencyTable) -> Figure:
    """The figure: a point per row, coloured by class, below the best rates of any row."""
    found, identity = Roofline.of(table), table.identity
    figure = new_figure(4.6, 7.2)
    axes = figure.subplots()
    timed = identity.unit in ("ms", "us")
    per = "second" if timed else identity.unit.removesuffix("s")
    title = f"{identity.board}, {identity.runtime} {identity.runtime_version} ({table.kind})"
    work = "multiply-accumulates per byte (of add and pool: values read)"
    dress(axes, title, work, f"multiply-accumulates per {per}")
    axes.set_xscale("log")
    axes.set_yscale("log")
    _draw_best(axes, found)
    for name, (role, marker, words) in _LOOKS.items():
        mask = found.arrays.classes[name]
        if mask.any():
            axes.scatter(
                found.work_per_byte[mask],
                found.speed[mask],
                s=24,
                marker=marker,
                color=color(role),
                edgecolors=color("paper"),
                linewidths=0.5,
                alpha=0.9,
                label=f"{words} ({mask.sum()})",
                zorder=3,
            )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(_short))
        axis.set_minor_formatter(NullFormatter())
    figure.legend(
        loc="outside lower center", ncols=4, frameon=False, fontsize=8.5, labelcolor=color("ink")
    )
    return figure


def _draw_best(axes: Axes, found: Roofline) -> None:
    """Lines of the most work, and of the most bytes, in a unit of time, over all rows."""
    x, y = found.work_per_byte, found.speed
    most_work, most_bytes = float(y.max()), float((y / x).max())
    low, high = float(x.min()) / 1.6, float(x.max()) * 1.6
    ridge = min(max(most_work / most_bytes, low), high)
    axes.set_xlim(low, high)
    axes.set_ylim(float(y.min()) / 1.6, most_work * 2.2)
    axes.plot(
        [low, ridge, high],
        [low * most_bytes, ridge * most_bytes, most_work],
        color=color("muted"),
        linewidth=1.1,
        linestyle=(0, (4, 2)),
        zorder=2,
    )
    axes.annotate(
        "best rate of any row",
        (high, most_work),
        xytext=(-4, 4),
        textcoords="offset points",
        ha="right",
        fontsize=8.5,
        color=color("muted"),
        bbox={"facecolor": color("paper"), "edgecolor": "none", "pad": 1.5},
    )


def _short(value: float, _: object = None) -> str:
    """A power of ten to read: 0.01, 1, 100, 10 k, 1 M."""
    for factor, unit in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if value >= factor:
            return f"{value / (1e3 if unit == ' k' else factor):g}{unit}"
    return f"{value:g}"
