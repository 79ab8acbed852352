"""The Pareto front of a run, as values that tables, plots and the page share.

Values that the document lacks are None. Accuracies and coverages are shares in [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hybrid_nas.report.result import Point, Question, Result, Split

ACCURACY = "accuracy@"
"""Prefix of the objectives that are accuracies at a coverage: ``accuracy@0.7``."""


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


def deployed_name(kind: str, method: str, params: int | None) -> str:
    """What routes: the design `kind`, or the confidence `method` where nothing was learnt.

    >>> deployed_name("linear-logits", "signed-gain", 33), deployed_name("linear-logits", "msp", 0)
    ('linear-logits', 'msp')
    """
    return method if method and params == 0 else kind


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
        return deployed_name(self.kind, self.method, self.params)


@dataclass(frozen=True)
class Cost:
    """What a pair takes on the board, router included."""

    sram_bytes: int | None
    flash_bytes: int | None
    edge_latency_ms: float | None
    edge_latency_is: str
    edge_energy_mj: float | None = None


@dataclass(frozen=True)
class OwnCloud:
    """The cloud of one pair, where the search chose it with the base; costs are its network's."""

    space: str
    genes: Mapping[str, Any]
    resolution: int | None
    macs: int | None
    params: int | None
    accuracy: float | None
    test_accuracy: float | None
    latency_ms: float | None


@dataclass(frozen=True)
class Pair:
    """One base with its router; results and baselines by coverage key.

    `baselines` maps a method to its accuracies on the test split. `point` is where the pair would
    be run; None where a coverage was asked for. `cloud` is None where all pairs have the same.
    """

    id: int
    base: Base
    router: Router
    cost: Cost
    score: Mapping[str, Result]
    test: Mapping[str, Result]
    baselines: Mapping[str, Mapping[str, float]]
    auc: float | None
    point: Point | None = None
    cloud: OwnCloud | None = None

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
    """Everything ``pareto.json`` says.

    `pairs` stand best first: by score accuracy at `target`, or, where a budget or a bound on the
    loss was asked for, by that question, in the document's order.
    """

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
    question: Question = field(default_factory=Question)

    @property
    def clouds_differ(self) -> bool:
        """Whether each pair has a cloud of its own; `cloud` is the largest of them then."""
        return bool(self.pairs) and all(pair.cloud is not None for pair in self.pairs)

    def cloud_of(self, pair: Pair) -> Cloud | None:
        """The cloud that a pair asks; None without one."""
        if self.cloud is None or pair.cloud is None:
            return self.cloud
        own = pair.cloud
        return replace(self.cloud, accuracy=own.test_accuracy, latency_ms=own.latency_ms)

    @property
    def best(self) -> Pair | None:
        """The pair that the *score* split puts first; choosing by test would spoil the test.

        Under a bound on the loss it is the first that kept the bound there too; where none did,
        the nearest.
        """
        if self.question.regime != "coverage":
            return next(filter(self.keeps_bound, self.pairs), self._nearest)
        scored = [pair for pair in self.pairs if pair.at(self.target, "score").accuracy is not None]
        return scored[0] if scored else next(iter(self.pairs), None)

    def keeps_bound(self, pair: Pair) -> bool:
        """Whether a pair is within the loss on the score split; a budget is kept by design."""
        bound, loss = self.question.max_loss, self.working(pair, "score").loss
        return bound is None or (loss is not None and loss <= bound)

    def working(self, pair: Pair, split: Split) -> Result:
        """The pair as it would be run: at its working point, or else at the target coverage."""
        return pair.at(self.target, split) if pair.point is None else pair.point.on(split)

    def mean_ms(self, pair: Pair) -> float | None:
        """Mean latency of a pair as it would be run: on the test split, or else on the score's."""
        test = self.working(pair, "test").mean_latency_ms
        return self.working(pair, "score").mean_latency_ms if test is None else test

    @property
    def _nearest(self) -> Pair | None:
        def loss(pair: Pair) -> float:
            found = self.working(pair, "score").loss
            return float("inf") if found is None else found

        return min(self.pairs, key=loss, default=None)
