"""What the evaluated pair costs in use: the search's own prices for what the test split showed."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hybrid_nas.evaluation.comparison import AtTarget
from hybrid_nas.routing.metrics import Estimate
from hybrid_nas.routing.query import P95, Query
from hybrid_nas.search.prices import Device, Prices
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.training.job import RunPair
from hybrid_nas.units import format_ms

COSTS = (
    "mean_latency_ms",
    "p95_latency_ms",
    "accuracy_with_timeouts",
    "mean_macs",
    "mean_energy_mj",
    "battery_days",
)
"""What is told at a coverage; the mean latency always, the rest where it is known."""


@dataclass(frozen=True)
class CostsInUse:
    """Time, energy and answers of one pair over the run's uplink.

    Attributes:
        settings: the run's.
        prices: as the search charged them for this pair.
        device: what the pair does on the device; `base_accuracy` is that of the int8 base on the
            test split, which answers where no answer comes.
    """

    settings: SearchSettings
    prices: Prices
    device: Device

    @classmethod
    def of(cls, pair: RunPair, base_accuracy: float) -> CostsInUse:
        """The costs of a run's pair; without a latency table its times are not a number."""
        problem = pair.setup.problem
        costs = problem.evaluate(np.array([problem.candidates.row(pair.candidate)]))
        device = Device(
            edge_ms=float(costs.latency_ms[0]),
            macs=int(costs.macs[0]),
            base_accuracy=base_accuracy,
            saved_ms=float(costs.saved_ms[0]),
            saved_macs=int(costs.saved_macs[0]),
        )
        return cls(pair.setup.settings, pair.prices, device)

    @property
    def query(self) -> Query | None:
        """A query to the cloud; None without one."""
        return self.prices.query

    def at(self, found: AtTarget) -> dict[str, float | None]:
        """`COSTS` at the coverage that a threshold realised."""
        accuracy = Estimate(found.accuracy.value, found.stderr)
        priced = asdict(self.prices.at(accuracy, found.coverage, self.device))
        known = {name: _finite(priced[name]) for name in COSTS}
        return {k: v for k, v in known.items() if v is not None or k == "mean_latency_ms"}

    def latency_document(self) -> dict[str, float | None]:
        """Times without any coverage, for ``evaluation.json`` and its plots.

        `query_ms` is what sending an input adds to the mean; `cloud_only_ms` is the mean latency
        when nothing runs on the device.
        """
        return {
            "edge_ms": _finite(self.device.edge_ms),
            "query_ms": _finite(self.prices.query_ms(self.device)),
            "cloud_only_ms": None if self.query is None else self.query.mean_ms,
        }

    def document(self) -> dict[str, Any]:
        """What the costs rest on."""
        query = self.query
        return {
            "query": None
            if query is None
            else {
                "uplink": query.uplink.name,
                "bytes": query.payload_bytes if self.prices.detailed else None,
                "mean_ms": query.mean_ms,
                "p95_ms": query.quantile_ms(P95),
                "answered": query.availability,
                "energy_mj": query.energy_mj,
            },
            "board_power_mw": self.prices.power_mw,
            "battery": self.settings.battery,
            "per_day": self.prices.per_day,
            "sleep_mw": self.prices.sleep_mw,
            "reading": " ".join([*self._about_the_query(), *self._about_energy()]),
        }

    def _about_the_query(self) -> list[str]:
        query = self.query
        if query is None or not self.prices.detailed:
            return []
        energy = "" if query.energy_mj is None else f", {query.energy_mj:.3g} mJ"
        sentences = [
            f"A query over {query.uplink.name}: {query.payload_bytes:,} bytes, "
            f"{format_ms(query.mean_ms)} on average, {format_ms(query.quantile_ms(P95))} for "
            f"95 %{energy} (estimated from the uplink's figures)."
        ]
        if query.availability < 1.0:
            sentences.append(
                f"{100 * (1 - query.availability):.3g} % of the queries are not answered in time: "
                "the base answers then, and 'with timeouts' is what accuracy is to be expected."
            )
        return sentences

    def _about_energy(self) -> list[str]:
        power, sentences = self.prices.power_mw, []
        if power is not None and math.isfinite(self.device.edge_ms):
            sentences.append(f"Energy is estimated: {power:g} mW while a network runs.")
        if self.prices.battery is not None and self.prices.per_day is not None:
            sentences.append(
                f"Days per charge of {self.settings.battery}, {self.prices.per_day:g} inputs a "
                f"day, {self.prices.sleep_mw:g} mW beside them: an upper bound."
            )
        return sentences


def planned_coverage(pair: RunPair) -> float | None:
    """`RunPair.planned_share`; None also where all or nothing is sent."""
    coverage = pair.planned_share
    return coverage if coverage is not None and 0.0 < coverage < 1.0 else None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
