"""Objectives and costs by their names in the documents: how an axis is written, what a pair has."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid_nas.report import words
from hybrid_nas.report.front import ACCURACY, Front, Pair
from hybrid_nas.report.result import Split
from hybrid_nas.units import KIB

_OF_RESULT = {
    "mean_latency_ms": "mean_latency_ms",
    "mean_macs": "mean_macs",
    "mean_energy_mj": "mean_energy_mj",
    "accuracy_in_budget": "expected_accuracy",
    "mean_macs_in_budget": "mean_macs",
    "mean_latency_ms_within_loss": "mean_latency_ms",
    "mean_macs_within_loss": "mean_macs",
    "mean_energy_mj_within_loss": "mean_energy_mj",
    "loss": "loss",
}
"""Measures that depend on how often a pair asks, by what they are of a `Result`."""


@dataclass(frozen=True)
class Measure:
    """One axis: a quantity by its name in the documents, and how it is written."""

    name: str
    label: str
    scale: float = 1.0


def measure(name: str, cloud: bool = True) -> Measure:
    """The axis of an objective's or a cost's name."""
    if name.startswith(ACCURACY):
        kept = words.coverage(name.removeprefix(ACCURACY))
        what = f"hybrid accuracy at {kept} coverage"
        if not cloud:
            what = f"accuracy of the {kept} answered"
        return Measure(name, f"{what} (%)", 100.0)
    known = {
        "mean_latency_ms": Measure(name, "mean latency per input (ms)"),
        "mean_macs": Measure(name, "mean multiply-accumulates per input (millions)", 1e-6),
        "mean_energy_mj": Measure(name, "mean energy per input (mJ)"),
        "accuracy_in_budget": Measure(name, "hybrid accuracy within the budget (%)", 100.0),
        "mean_macs_in_budget": Measure(
            name, "mean multiply-accumulates within the budget (millions)", 1e-6
        ),
        "mean_latency_ms_within_loss": Measure(name, "mean latency within the loss (ms)"),
        "mean_macs_within_loss": Measure(
            name, "mean multiply-accumulates within the loss (millions)", 1e-6
        ),
        "mean_energy_mj_within_loss": Measure(name, "mean energy within the loss (mJ)"),
        "loss": Measure(name, "loss: accuracy below the cloud alone (points)", 100.0),
        "edge_latency_ms": Measure(name, "latency on the device (ms)"),
        "sram_bytes": Measure(name, "SRAM (KB)", 1 / KIB),
        "flash_bytes": Measure(name, "flash (KB)", 1 / KIB),
        "macs": Measure(name, "multiply-accumulates (millions)", 1e-6),
        "params": Measure(name, "parameters (thousands)", 1e-3),
        "auc": Measure(name, "mean accuracy over coverages (%)", 100.0),
        "base_accuracy": Measure(name, "accuracy of the base alone (%)", 100.0),
    }
    return known.get(name, Measure(name, words.printable(name.replace("_", " "))))


def is_accuracy(name: str) -> bool:
    """Whether a measure is an accuracy of the hybrid."""
    return name.startswith(ACCURACY) or name == "accuracy_in_budget"


def value_of(front: Front, pair: Pair, name: str, split: Split) -> float | None:
    """A pair's value of an objective or a cost; costs are the same on both splits.

    What depends on how often it asks is that of its working point, if the run has one.
    """
    if name.startswith(ACCURACY):
        return pair.at(name.removeprefix(ACCURACY), split).accuracy
    if name in _OF_RESULT:
        value: float | None = getattr(front.working(pair, split), _OF_RESULT[name])
        return value
    if name == "auc":
        return pair.auc if split == "score" else None
    values: dict[str, float | None] = {
        "edge_latency_ms": pair.cost.edge_latency_ms,
        "sram_bytes": pair.cost.sram_bytes,
        "flash_bytes": pair.cost.flash_bytes,
        "macs": pair.base.macs,
        "params": pair.base.params,
        "base_accuracy": pair.base.accuracy,
    }
    return values.get(name)
