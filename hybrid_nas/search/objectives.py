"""What a search optimises: named figures of a scored pair, each with a direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from hybrid_nas.errors import InputError
from hybrid_nas.search.score import AtCoverage, PairFigures

Direction = Literal["maximize", "minimize"]

Regime = Literal["coverage", "budget", "loss"]
"""What decides how often a pair asks the cloud: a coverage, a budget, or a bound on the loss."""

DEFAULT_OBJECTIVES = ("accuracy", "mean-latency")
AT_COVERAGE = ("accuracy", "mean-latency", "mean-macs", "mean-energy")
"""Objectives that depend on how often the cloud is asked."""
AT_POINT: dict[Regime, dict[str, str]] = {
    "coverage": {},
    "budget": {"accuracy": "accuracy-in-budget", "mean-macs": "mean-macs-in-budget"},
    "loss": {
        "mean-latency": "mean-latency-within-loss",
        "mean-macs": "mean-macs-within-loss",
        "mean-energy": "mean-energy-within-loss",
    },
}
"""What they become where every pair has a query rate of its own."""
AT_POINT_ONLY = ("loss", *(name for renamed in AT_POINT.values() for name in renamed.values()))
"""Objectives that are read where the pair would be run."""


def default_objectives(regime: Regime, *, cloud_is_chosen: bool) -> tuple[str, ...]:
    """A regime's own objectives: accuracy, and what it costs where no budget says that.

    The cost is the mean latency; where the cloud is chosen too, mean MACs (base + q * cloud: Kag et
    al., ICLR 2023, joint search), since the latency of a query tells no clouds apart.
    """
    if regime == "budget":
        return ("accuracy", "mean-macs") if cloud_is_chosen else ("accuracy",)
    cost = "mean-macs" if cloud_is_chosen else "mean-latency"
    return (cost,) if regime == "loss" else ("accuracy", cost)


def objectives_of(
    regime: Regime, given: tuple[str, ...], *, cloud_is_chosen: bool = False
) -> tuple[str, ...]:
    """The objectives as a regime means them; the regime's own where none were given.

    Under a bound on the loss the loss itself is always one of them: the threshold split keeps the
    bound for every pair, and the score split tells which of them was lucky there.

    Raises:
        InputError: an objective that says nothing in this regime.
    """
    renamed = AT_POINT[regime]
    if not given or (regime != "coverage" and given == DEFAULT_OBJECTIVES):
        given = default_objectives(regime, cloud_is_chosen=cloud_is_chosen and not given)
    allowed = {*renamed.values(), "loss"} if renamed else set(AT_COVERAGE)
    meant = tuple(renamed.get(name, name) for name in given)
    for name in meant:
        if name in {*AT_COVERAGE, *AT_POINT_ONLY} - allowed:
            raise InputError(
                f"objective {name} does not go with these flags: --mean-latency and --mean-energy "
                "take accuracy and mean-macs; --max-loss takes mean-latency, mean-macs, "
                "mean-energy and loss"
            )
    return (*meant, "loss") if regime == "loss" and "loss" not in meant else meant


@dataclass(frozen=True)
class Objective:
    """One figure: `read(figures, coverage)` gives its value for a target coverage."""

    name: str
    direction: Direction
    unit: str
    read: Callable[[PairFigures, float], float]

    def label(self, coverage: float) -> str:
        """Name with the coverage where it depends on one: ``accuracy@0.7``."""
        return f"{self.name}@{coverage:g}" if self.name in AT_COVERAGE else self.name

    def loss(self, value: float) -> float:
        """The value with the sign that makes smaller better."""
        return -value if self.direction == "maximize" else value


def _known(value: float | None) -> float:
    return float("nan") if value is None else value


def _point(figures: PairFigures) -> AtCoverage:
    assert figures.point is not None  # `objectives_of` allows these only where there is one
    return figures.point.at


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
        Objective("mean-macs", "minimize", "", lambda f, c: _known(f.at[c].mean_macs)),
        Objective("mean-energy", "minimize", "mJ", lambda f, c: _known(f.at[c].mean_energy_mj)),
        Objective("accuracy-in-budget", "maximize", "", lambda f, c: _point(f).expected_accuracy),
        Objective("mean-macs-in-budget", "minimize", "", lambda f, c: _known(_point(f).mean_macs)),
        Objective(
            "mean-latency-within-loss", "minimize", "ms", lambda f, c: _point(f).mean_latency_ms
        ),
        Objective(
            "mean-macs-within-loss", "minimize", "", lambda f, c: _known(_point(f).mean_macs)
        ),
        Objective(
            "mean-energy-within-loss",
            "minimize",
            "mJ",
            lambda f, c: _known(_point(f).mean_energy_mj),
        ),
        Objective("loss", "minimize", "", lambda f, c: _known(_point(f).loss)),
    )
}
"""Objectives by the name that ``--objective`` takes."""
