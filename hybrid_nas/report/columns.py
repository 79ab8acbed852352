"""Columns of what sending costs: those that a run knows, for its tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hybrid_nas.report import words
from hybrid_nas.report.front import Front
from hybrid_nas.report.result import Result


@dataclass(frozen=True)
class Column:
    """One column: `heading` says the unit, `name` is the field of `Result`, `text` its value."""

    heading: str
    name: str
    text: Callable[[float | None], str]

    def value(self, result: Result) -> float | None:
        """The value that the column shows."""
        found: float | None = getattr(result, self.name)
        return found


_COSTS = (
    Column("with timeouts, %", "accuracy_with_timeouts", lambda v: words.scaled(v, 0.01)),
    Column("below cloud, points", "loss", lambda v: words.points(v).lstrip("+")),
    Column("mean, ms", "mean_latency_ms", words.scaled),
    Column("95 % within, ms", "p95_latency_ms", words.scaled),
    Column("mean MMACs", "mean_macs", lambda v: words.scaled(v, 1e6)),
    Column("energy, mJ", "mean_energy_mj", words.significant),
    Column("charge, days", "battery_days", words.significant),
)


def cost_columns(front: Front) -> tuple[Column, ...]:
    """The columns for which any pair has a value; the mean latency is always one of them."""
    results = [result for pair in front.pairs for result in pair.test.values()]
    results += [front.working(pair, "test") for pair in front.pairs]
    return tuple(
        column
        for column in _COSTS
        if column.name == "mean_latency_ms" or any(column.value(r) is not None for r in results)
    )
