"""The Pareto front of a run, as values that tables, plots and the page share.

Values that the document lacks are None. Accuracies and coverages are shares in [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

ACCURACY = "accuracy@"
"""Prefix of the objectives that are accuracies at a coverage: ``accuracy@0.7``."""

Split = Literal["score", "test"]
"""``score``: the split that the search selected on; ``test``: evaluated once, after it."""


@dataclass(frozen=True)
class Result:
    """What a pair reaches at one target coverage on one split."""

    accuracy: float | None = None
    stderr: float | None = None
    coverage: float | None = None
    mean_latency_ms: float | None = None
    p95_latency_ms: float | None = None


@dataclass(frozen=True)
class Base:
    """The network on the device. `test_accuracy` is None where only the score split was run."""

    space: str
    genes: Mapping[str, Any]
    resolution: int | None
    width: float | None
    macs: int | None
    params: int | None
    accuracy: float | None
    test_accuracy: float | None


@dataclass(frozen=True)
class Router:
    """The model that keeps or sends: design, what it learnt, and thresholds by coverage key."""

    kind: str
    method: str
    params: int | None
    flash_bytes: int | None
    sram_bytes: int | None
    thresholds: Mapping[str, float]

    @property
    def deployed(self) -> str:
        """What runs on the device: the design, or the plain confidence that it gave way to."""
        return self.method if self.method and self.params == 0 else self.kind


@dataclass(frozen=True)
class Cost:
    """What a pair takes on the board, router included."""

    sram_bytes: int | None
    flash_bytes: int | None
    edge_latency_ms: float | None
    edge_latency_is: str


@dataclass(frozen=True)
class Pair:
    """One base with its router; results and baselines by coverage key.

    `baselines` maps a method to its accuracies on the test split.
    """

    id: int
    base: Base
    router: Router
    cost: Cost
    score: Mapping[str, Result]
    test: Mapping[str, Result]
    baselines: Mapping[str, Mapping[str, float]]
    auc: float | None

    def at(self, coverage: str, split: Split) -> Result:
        """The result at a coverage key, all None where there is none."""
        return (self.score if split == "score" else self.test).get(coverage, Result())


@dataclass(frozen=True)
class Cloud:
    """The big model; one query costs `uplink_ms` and `latency_ms` together."""

    name: str
    accuracy: float | None
    latency_ms: float | None
    uplink_ms: float | None

    @property
    def query_ms(self) -> float | None:
        """Time of one query, uplink included; None where neither part is known."""
        parts = [part for part in (self.latency_ms, self.uplink_ms) if part is not None]
        return sum(parts) if parts else None


@dataclass(frozen=True)
class Limits:
    """What the board, or the user, allows; None is no limit. Reserves are None when not stated."""

    sram_bytes: int | None
    flash_bytes: int | None
    latency_ms: float | None
    reserve_sram_bytes: int | None
    reserve_flash_bytes: int | None


@dataclass(frozen=True)
class Objective:
    """One thing that the search optimised, by the name in `hybrid_nas.report.measures`."""

    name: str
    maximize: bool


@dataclass(frozen=True)
class Front:
    """Everything ``pareto.json`` says; `pairs` by score accuracy at `target`, best first."""

    board: str
    latency_table: str
    coverages: tuple[str, ...]
    target: str
    objectives: tuple[Objective, ...]
    limits: Limits
    pairs: tuple[Pair, ...]
    cloud: Cloud | None
    baseline_note: str
    data_name: str
    test_inputs: int | None

    @property
    def best(self) -> Pair | None:
        """The pair with the best *score* at the target; choosing by test would spoil the test."""
        scored = [pair for pair in self.pairs if pair.at(self.target, "score").accuracy is not None]
        return scored[0] if scored else next(iter(self.pairs), None)
