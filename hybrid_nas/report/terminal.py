"""The front as a table, as wide as the terminal allows, and the verdict under it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from hybrid_nas.report import words
from hybrid_nas.report.front import Front, Pair
from hybrid_nas.report.read_front import read_front
from hybrid_nas.report.verdict import verdict
from hybrid_nas.units import KIB

REPORT_NAME = "report.html"
_ORDER = {"coverage": "best score", "budget": "best", "loss": "cheapest"}


@dataclass(frozen=True)
class _Column:
    """One column; the higher `rank`, the sooner it is left out of a narrow terminal."""

    name: str
    unit: str
    cell: Callable[[Pair], str]
    rank: int
    right: bool = True


def render_front(console: Console, pareto: Mapping[str, Any], run_dir: Path) -> None:
    """Print the front of a run from its ``pareto.json``; `show_front` says how.

    Raises:
        InputError: `pareto` is not such a document.
    """
    show_front(console, read_front(pareto), run_dir / REPORT_NAME)


def show_front(console: Console, front: Front, page: Path) -> None:
    """Print the front, one line per pair, then the verdict and where the report is.

    Columns for which `console` is too narrow are left out, the least telling first. `page` is named
    only if it is there.
    """
    if front.pairs:
        order = _ORDER[front.question.regime]
        console.print(Text(f"Front {words.question(front)}, {order} first", style="bold"))
        console.print(_table(console, front))
        console.print()
    console.print(Text(verdict(front).headline))
    if page.is_file():
        # soft_wrap keeps a long path in one piece, so that it can be copied and opened.
        console.print(Text(f"Report: {page}"), soft_wrap=True)


def _columns(front: Front) -> list[_Column]:
    tested = all(pair.base.test_accuracy is not None for pair in front.pairs)

    def alone(pair: Pair) -> float | None:
        return pair.base.test_accuracy if tested else pair.base.accuracy

    def sent(pair: Pair) -> float | None:
        kept = None if pair.point is None else pair.point.test.coverage
        return None if kept is None else 1.0 - kept

    def energy(pair: Pair) -> str:
        return words.significant(front.working(pair, "test").mean_energy_mj)

    def days(pair: Pair) -> str:
        return words.significant(front.working(pair, "test").battery_days)

    def cloud_macs(pair: Pair) -> str:
        return words.scaled(None if pair.cloud is None else pair.cloud.macs, 1e6)

    def cloud_alone(pair: Pair) -> str:
        return words.scaled(None if pair.cloud is None else pair.cloud.test_accuracy, 0.01)

    def mean_macs(pair: Pair) -> str:
        if not front.clouds_differ:
            return words.DASH
        return words.scaled(front.working(pair, "test").mean_macs, 1e6)

    return [
        _Column("pair", "", lambda pair: str(pair.id), 0),
        _Column("base", "", lambda pair: words.network(pair).replace(", w ", " w"), 5, right=False),
        _Column("MACs", "M", lambda pair: words.scaled(pair.base.macs, 1e6), 10),
        _Column("SRAM", "KB", lambda pair: words.scaled(pair.cost.sram_bytes, KIB), 6),
        _Column("flash", "KB", lambda pair: words.scaled(pair.cost.flash_bytes, KIB), 7),
        _Column("device", "ms", lambda pair: words.scaled(pair.cost.edge_latency_ms), 8),
        _Column("alone", "%", lambda pair: words.scaled(alone(pair), 0.01), 4),
        _Column("cloud", "M", cloud_macs, 4),
        _Column("alone", "%", cloud_alone, 5),
        _Column("score", "%", lambda pair: words.bare_accuracy(front.working(pair, "score")), 3),
        _Column("test", "%", lambda pair: words.bare_accuracy(front.working(pair, "test")), 1),
        _Column("mean", "ms", lambda pair: words.scaled(front.mean_ms(pair)), 2),
        _Column("MACs", "mean M", mean_macs, 2),
        _Column("sent", "%", lambda pair: words.scaled(sent(pair), 0.01), 3),
        _Column("energy", "mJ", energy, 4),
        _Column("charge", "days", days, 5),
        _Column(
            "router", "", lambda pair: words.printable(pair.router.deployed, 16), 9, right=False
        ),
    ]


def _table(console: Console, front: Front) -> Table:
    """The table with the columns that have values and fit, the first of them in any case."""
    columns = [
        column
        for column in _columns(front)
        if any(column.cell(pair) != words.DASH for pair in front.pairs)
    ]
    unbounded = console.options.update(max_width=10_000)
    while True:
        table = _build(columns, front)
        if len(columns) == 1 or Measurement.get(console, unbounded, table).maximum <= console.width:
            return table
        columns.remove(max(columns, key=lambda column: column.rank))


def _build(columns: Sequence[_Column], front: Front) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(
            Text(f"{column.name}\n{column.unit}"),
            no_wrap=True,
            justify="right" if column.right else "left",
        )
    for pair in front.pairs:
        style = "bold" if pair is front.best else ""
        table.add_row(*(Text(column.cell(pair)) for column in columns), style=style)
    return table
