"""What pairs take on the board, against what it has: memory and time."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hybrid_nas.report import words
from hybrid_nas.report.documents import Run
from hybrid_nas.report.front import Front, Pair
from hybrid_nas.report.style import color, dress, new_figure
from hybrid_nas.units import KIB, format_bytes, format_ms

_BAR = 0.62
_NAME_ROW = -0.9  # above the first bar, which is row 0
_ROW = 0.7  # from there to the name of a second limit
_PLATE = {"facecolor": color("paper"), "edgecolor": "none", "pad": 0.8}
"""Behind texts that a limit's line may run through."""


def draw_memory(run: Run) -> Figure | None:
    """SRAM and flash of every pair with the limits; the router's own flash is set apart."""
    pairs, limits = run.front.pairs, run.front.limits
    if not any(p.cost.sram_bytes is not None or p.cost.flash_bytes is not None for p in pairs):
        return None
    figure = new_figure(_height(pairs))
    left, right = figure.subplots(1, 2, sharey=True)
    dress(left, "SRAM at the peak", "KB", grid="x")
    _bars(left, pairs, [_scaled(p.cost.sram_bytes) for p in pairs], "router")
    _limit(left, _scaled(limits.sram_bytes), _named_limit(limits.sram_bytes))
    _write_values(
        left,
        [_scaled(p.cost.sram_bytes) for p in pairs],
        [words.size(p.cost.sram_bytes) for p in pairs],
    )
    dress(right, "Flash", "KB", grid="x")
    flash = [_scaled(p.cost.flash_bytes) for p in pairs]
    own = [min(_scaled(p.router.flash_bytes), total) for p, total in zip(pairs, flash, strict=True)]
    _bars(
        right,
        pairs,
        [total - part for total, part in zip(flash, own, strict=True)],
        "router",
        label="base and runtime",
    )
    _bars(right, pairs, own, "test", after=flash, label="router")
    _limit(right, _scaled(limits.flash_bytes), _named_limit(limits.flash_bytes))
    _write_values(right, flash, [words.size(p.cost.flash_bytes) for p in pairs])
    _finish(left, pairs)
    _legend(figure, right)
    return figure


def draw_latency(run: Run) -> Figure | None:
    """Time on the device against its limit; with a cloud, the mean time per input as well."""
    front = run.front
    pairs = [pair for pair in front.pairs if pair.cost.edge_latency_ms is not None]
    if not pairs:
        return None
    figure = new_figure(_height(pairs))
    panels = figure.subplots(1, 2 if front.cloud else 1, sharey=True, squeeze=False)[0]
    device = [pair.cost.edge_latency_ms or 0.0 for pair in pairs]
    kinds = sorted({pair.cost.edge_latency_is for pair in pairs} - {""})
    dress(
        panels[0],
        f"On the device ({words.printable(', '.join(kinds), 20) or 'origin unknown'})",
        "ms",
        grid="x",
    )
    _bars(panels[0], pairs, device, "router")
    limit = front.limits.latency_ms
    _limit(panels[0], limit or 0.0, "" if limit is None else f"limit {format_ms(limit)}")
    _write_values(panels[0], device, [format_ms(value) for value in device])
    _finish(panels[0], pairs)
    if front.cloud:
        _draw_mean(panels[1], front, pairs, device)
        _legend(figure, panels[1])
    return figure


def _draw_mean(axes: Axes, front: Front, pairs: Sequence[Pair], device: Sequence[float]) -> None:
    kept = f"at {words.coverage(front.target)} coverage"
    where = kept if front.question.regime == "coverage" else "at the working point"
    dress(axes, f"Mean {where}", "ms", grid="x")
    means = [front.mean_ms(pair) for pair in pairs]
    sending = [max(0.0, (mean or 0.0) - own) for mean, own in zip(means, device, strict=True)]
    totals = [own + rest for own, rest in zip(device, sending, strict=True)]
    _bars(axes, pairs, device, "router", label="on the device")
    _bars(axes, pairs, sending, "oracle", after=totals, label="sending, averaged over all inputs")
    query = front.cloud.query_ms if front.cloud is not None else None
    _limit(axes, query or 0.0, "" if query is None else f"cloud alone {format_ms(query)}")
    budget = front.question.mean_latency_ms
    if budget is not None:
        _limit(axes, budget, f"allowed {format_ms(budget)}", _NAME_ROW - _ROW)
        axes.set_ylim(axes.get_ylim()[0], _NAME_ROW - _ROW - 0.5)
    _write_values(axes, totals, [words.time(mean) for mean in means])


def _bars(
    axes: Axes,
    pairs: Sequence[Pair],
    lengths: Sequence[float],
    role: str,
    after: Sequence[float] | None = None,
    label: str = "",
) -> None:
    """Horizontal bars, first pair on top; with `after`, they end there instead of starting at 0."""
    starts = (
        [0.0] * len(lengths)
        if after is None
        else [end - length for end, length in zip(after, lengths, strict=True)]
    )
    axes.barh(
        range(len(pairs)),
        lengths,
        _BAR,
        left=starts,
        color=color(role),
        linewidth=0,
        label=label or None,
    )


def _write_values(axes: Axes, ends: Sequence[float], texts: Sequence[str]) -> None:
    """Write each bar's value inside its end where there is room, else after it."""
    longest = axes.get_xlim()[1]
    for row, (end, text) in enumerate(zip(ends, texts, strict=True)):
        inside = end > 0.62 * longest
        axes.annotate(
            text,
            (end, row),
            xytext=(-5 if inside else 4, 0),
            va="center",
            textcoords="offset points",
            ha="right" if inside else "left",
            fontsize=8.5,
            fontweight="bold" if inside else "normal",
            color=color("paper" if inside else "ink"),
            bbox=None if inside else _PLATE,
        )


def _limit(axes: Axes, at: float, text: str, row: float = _NAME_ROW) -> None:
    """Scale the axis to bars and limit; draw the limit as a line with its name above the bars."""
    axes.set_xlim(0, max(1.05 * axes.get_xlim()[1], 1.06 * at) or 1.0)
    if text:
        axes.axvline(at, color=color("ink"), linewidth=1.2, linestyle=(0, (4, 2)))
        axes.annotate(
            text,
            (at, row),
            xytext=(-4, 0),
            ha="right",
            va="center",
            textcoords="offset points",
            fontsize=8.5,
            color=color("ink"),
            bbox=_PLATE,
        )


def _finish(axes: Axes, pairs: Sequence[Pair]) -> None:
    axes.set_yticks(range(len(pairs)), [f"pair {pair.id}" for pair in pairs])
    axes.set_ylim(len(pairs) - 0.5, _NAME_ROW - 0.5)  # best on top, under the limit's name


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower right",
        ncols=3,
        frameon=False,
        fontsize=8.5,
        labelcolor=color("ink"),
    )


def _height(pairs: Sequence[Pair]) -> float:
    return 1.55 + 0.27 * max(2, len(pairs))


def _scaled(size_bytes: int | None) -> float:
    return (size_bytes or 0) / KIB


def _named_limit(size_bytes: int | None) -> str:
    return "" if size_bytes is None else f"limit {format_bytes(size_bytes)}"
