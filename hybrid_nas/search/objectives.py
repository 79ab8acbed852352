"""What a search optimises: named figures of a scored pair, each with a direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from hybrid_nas.search.score import PairFigures

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Objective:
    """One figure: `read(figures, coverage)` gives its value for a target coverage."""

    name: str
    direction: Direction
    unit: str
    read: Callable[[PairFigures, float], float]

    def label(self, coverage: float) -> str:
        """Name with the coverage where it depends on one: ``accuracy@0.7``."""
        at_coverage = self.name in ("accuracy", "mean-latency")
        return f"{self.name}@{coverage:g}" if at_coverage else self.name

    def loss(self, value: float) -> float:
        """The value with the sign that makes smaller better."""
        return -value if self.direction == "maximize" else value


OBJECTIVES: dict[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective("accuracy", "maximize", "", lambda f, c: f.at[c].accuracy),
        Objective("mean-latency", "minimize", "ms", lambda f, c: f.at[c].mean_latency_ms),
        Objective("auc", "maximize", "", lambda f, c: f.auc),
        Objective("base-accuracy", "maximize", "", lambda f, c: f.base_accuracy),
        Objective("edge-latency", "minimize", "ms", lambda f, c: f.edge_latency_ms),
        Objective("sram", "minimize", "B", lambda f, c: float(f.sram_bytes)),
        Objective("flash", "minimize", "B", lambda f, c: float(f.flash_bytes)),
    )
}
"""Objectives by the name that ``--objective`` takes."""
