"""What a hybrid costs on average, from what the device takes and how often it asks the cloud."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hybrid_nas.energy import Battery
from hybrid_nas.errors import InputError
from hybrid_nas.routing.metrics import Estimate
from hybrid_nas.routing.query import (
    Query,
    accuracy_with_timeouts,
    affordable_query_rate,
    hybrid_quantile_ms,
)
from hybrid_nas.search.cloud_costs import CloudPrice
from hybrid_nas.search.score import AtCoverage

if TYPE_CHECKING:
    from hybrid_nas.search.settings import SearchSettings


@dataclass(frozen=True)
class Device:
    """What a pair does on the device: time with router, MACs, base's accuracy.

    `saved_ms` and `saved_macs` are the part of the base that a sent input does not need, as its
    router has decided before; 0 for routers that decide once the base has answered.
    """

    edge_ms: float
    macs: int
    base_accuracy: float
    saved_ms: float = 0.0
    saved_macs: int = 0


@dataclass(frozen=True)
class Prices:
    """Prices of one search.

    Attributes:
        query: to the cloud; None for abstaining classifiers.
        power_mw: of the board while a network runs on it, or None.
        cloud_macs: of the cloud's network, or None. Where the cloud is chosen with the base,
            `with_cloud` says it.
        detailed: whether the uplink is a model, so that p95 and timeouts are worth telling.
        battery, per_day, sleep_mw: how long a charge is to last.
    """

    query: Query | None
    power_mw: float | None = None
    cloud_macs: int | None = None
    detailed: bool = False
    battery: Battery | None = None
    per_day: float | None = None
    sleep_mw: float = 0.0

    @classmethod
    def of(cls, settings: SearchSettings) -> Prices:
        """The prices that settings describe.

        Raises:
            InputError: energy or MACs are asked for, and something that they need is not known.
        """
        prices = cls(
            query=settings.query,
            power_mw=settings.power_mw,
            cloud_macs=settings.cloud_macs,
            detailed=settings.uplink is not None,
            battery=None if settings.battery is None else Battery.parse(settings.battery),
            per_day=settings.per_day,
            sleep_mw=settings.sleep_mw,
        )
        asked = " ".join(settings.objectives)
        if prices.query is None and "mean-macs" in asked:
            prices = replace(prices, cloud_macs=0)  # the device's are all there are
        if "mean-energy" in asked or settings.mean_energy_mj or settings.battery:
            prices._require_energy(settings)
        needs_macs = "mean-macs" in asked and settings.search_cloud is None
        if needs_macs and prices.query is not None and prices.cloud_macs is None:
            raise InputError(
                "mean MACs need a cloud model whose architecture is known: give --cloud a .pt file "
                "of this program, or another objective"
            )
        return prices

    def _require_energy(self, settings: SearchSettings) -> None:
        if self.power_mw is None:
            raise InputError(
                f"energy is not known: the latency table of board {settings.board} and runtime "
                f"{settings.runtime} has no power; give --board-power, e.g. 150mW"
            )
        if self.query is not None and self.query.energy_mj is None:
            raise InputError(
                "the energy of a query is not known: give --uplink a name or a file with 'energy' "
                "(see docs/latency-regimes.md)"
            )

    def with_cloud(self, price: CloudPrice) -> Prices:
        """The prices where queries go to one of the networks that may be chosen."""
        query = self.query
        if query is not None and price.latency_ms is not None:
            query = replace(query, cloud_ms=price.latency_ms)
        return replace(self, query=query, cloud_macs=price.macs)

    def edge_energy_mj(self, edge_ms: float) -> float | None:
        """Energy of base and router for one input; None where it is not known."""
        if self.power_mw is None or not math.isfinite(edge_ms):
            return None
        return edge_ms * self.power_mw / 1e3

    def query_ms(self, device: Device) -> float:
        """What sending an input adds to its mean latency; 0 without a cloud.

        Where nobody answers in time, an early router's base goes on after the timeout.
        """
        query = self.query
        return 0.0 if query is None else query.mean_ms - query.availability * device.saved_ms

    def affordable_coverage(self, settings: SearchSettings, device: Device) -> float:
        """The least coverage that keeps the settings' budgets of mean latency and energy."""
        rate = 1.0
        assert self.query is not None  # SearchSettings refuses budgets without a cloud
        if settings.mean_latency_ms is not None:
            rate = affordable_query_rate(
                settings.mean_latency_ms, device.edge_ms, self.query_ms(device)
            )
        if settings.mean_energy_mj is not None:
            edge_mj, query_mj = self.edge_energy_mj(device.edge_ms), self.query_mj(device)
            assert edge_mj is not None and query_mj is not None  # checked by `of`
            rate = min(rate, affordable_query_rate(settings.mean_energy_mj, edge_mj, query_mj))
        return 1.0 - rate

    def at(
        self, accuracy: Estimate, coverage: float, device: Device, loss: Estimate | None = None
    ) -> AtCoverage:
        """Everything about a pair that keeps a share `coverage` of the inputs.

        Args:
            accuracy: with every query answered.
            coverage: share of inputs kept.
            device: what every input takes.
            loss: against the cloud alone, where it is to be told.
        """
        rate, query = 1.0 - coverage, self.query
        energy = self.mean_energy_mj(device, rate)
        days = None
        if self.battery is not None and self.per_day is not None and energy is not None:
            days = self.battery.days(self.per_day, energy, self.sleep_mw)
        told: dict[str, float] = {}
        if self.detailed and query is not None:
            told["p95_latency_ms"] = self._p95_ms(device, rate, query)
            told["accuracy_with_timeouts"] = accuracy_with_timeouts(
                accuracy.value, device.base_accuracy, query.availability
            )
        return AtCoverage(
            accuracy.value,
            accuracy.stderr,
            coverage,
            device.edge_ms + rate * self.query_ms(device),
            mean_macs=self._mean_macs(device, rate),
            mean_energy_mj=energy,
            battery_days=days,
            loss=None if loss is None else loss.value,
            loss_stderr=None if loss is None else loss.stderr,
            **told,
        )

    def query_mj(self, device: Device) -> float | None:
        """What sending an input adds to its mean energy; None where it is not known."""
        query, saved = self.query, self.edge_energy_mj(device.saved_ms)
        if query is None or query.energy_mj is None or saved is None:
            return None
        return query.energy_mj - query.availability * saved

    def mean_energy_mj(self, device: Device, query_rate: float) -> float | None:
        """Mean energy of an input, queries included; None where a part of it is not known."""
        edge = self.edge_energy_mj(device.edge_ms)
        if edge is None or self.query is None:
            return edge
        asking = self.query_mj(device)
        return None if asking is None else edge + query_rate * asking

    def _mean_macs(self, device: Device, query_rate: float) -> float | None:
        if self.cloud_macs is None:
            return None
        answered = 1.0 if self.query is None else self.query.availability
        return device.macs + query_rate * (self.cloud_macs - answered * device.saved_macs)

    def _p95_ms(self, device: Device, query_rate: float, query: Query) -> float:
        """Exact where every query is answered; else an upper bound for an early router."""
        found = hybrid_quantile_ms(device.edge_ms, query_rate, query)
        if query.availability < 1.0 or found <= device.edge_ms:
            return found
        return max(device.edge_ms, found - device.saved_ms)
