"""The flags of ``hybrid-nas route`` that price a query, and those that set targets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_nas.errors import InputError

if TYPE_CHECKING:
    from hybrid_nas.routing.costs import QueryCost
    from hybrid_nas.routing.query import Query
    from hybrid_nas.routing.targets import AtMost, Target


@dataclass(frozen=True)
class CostFlags:
    """What was given; None where it was not. Times in milliseconds, energies in millijoules."""

    base_ms: float | None = None
    uplink_ms: float | None = None
    cloud_ms: float | None = None
    uplink: str | None = None
    payload_bytes: int | None = None
    base_mj: float | None = None
    query_mj: float | None = None
    price_base: float | None = None
    price_cloud: Sequence[float] = ()

    def query(self) -> Query | None:
        """The query over the uplink that was named."""
        from hybrid_nas.routing.query import Query
        from hybrid_nas.routing.uplink_files import parse_uplink, read_uplink

        if self.uplink is None:
            if self.payload_bytes is not None:
                raise InputError("--payload needs --uplink: the link that the bytes go over")
            return None
        if self.uplink_ms is not None:
            raise InputError("--uplink and --uplink-ms both say how long a query takes: give one")
        link = parse_uplink(read_uplink(self.uplink))
        if link.transfer is not None and self.payload_bytes is None:
            raise InputError(f"--uplink {self.uplink} needs --payload SIZE: the bytes of a query")
        return Query(link, self.payload_bytes or 0, self.cloud_ms or 0.0)

    def costs(self, base: Path, cloud: Path, position: int, n: int) -> list[QueryCost]:
        """The costs that are known of a cloud, the `position`-th one given, on n inputs.

        A cost is known where that of a query is; a device that says nothing of its own costs 0.

        Raises:
            InputError: for flags of the device's half alone.
        """
        from hybrid_nas.routing.costs import ENERGY, LATENCY, PRICE, QueryCost, load_price

        query = self.query()
        send_ms = self._send_ms(query)
        send_mj = self.query_mj
        if send_mj is None and query is not None:
            send_mj = query.energy_mj
        given = self._price_cloud(position)
        send_price = given if given is not None else load_price(cloud, n)
        own_price = self.price_base if self.price_base is not None else load_price(base, n)
        for flag, own, send, needed in (
            ("--base-ms", self.base_ms, send_ms, "--uplink-ms, or --uplink"),
            ("--price-base", self.price_base, send_price, "--price-cloud"),
            ("--base-energy", self.base_mj, send_mj, "--query-energy, or energy in --uplink FILE"),
        ):
            if own is not None and send is None:  # or every query would count as free
                raise InputError(f"{flag} alone is no cost: a query has one as well; give {needed}")
        halves = (
            (LATENCY, self.base_ms, send_ms),
            (PRICE, own_price, send_price),
            (ENERGY, self.base_mj, send_mj),
        )
        return [
            QueryCost(name, 0.0 if own is None else own, send)
            for name, own, send in halves
            if send is not None
        ]

    def _send_ms(self, query: Query | None) -> float | None:
        """What a query takes; None where neither the uplink nor the cloud has a time."""
        if query is not None:
            return query.mean_ms
        if self.uplink_ms is None and self.cloud_ms is None:
            return None
        return (self.uplink_ms or 0.0) + (self.cloud_ms or 0.0)

    def check_clouds(self, n_clouds: int) -> None:
        """Refuse prices that are no prices, or not one for each cloud."""
        if len(self.price_cloud) > 1 and len(self.price_cloud) != n_clouds:
            raise InputError(
                f"--price-cloud was given {len(self.price_cloud)} times for {n_clouds} clouds: "
                "give it once, or once for each --cloud in the same order"
            )
        prices = [*self.price_cloud, *([] if self.price_base is None else [self.price_base])]
        for price in prices:
            if not (math.isfinite(price) and price >= 0.0):
                raise InputError(f"price {price:g}: expected 0 or more")

    def _price_cloud(self, position: int) -> float | None:
        if not self.price_cloud:
            return None
        return self.price_cloud[position if len(self.price_cloud) > 1 else 0]


@dataclass(frozen=True)
class TargetFlags:
    """The levels asked for; None where there is none."""

    accuracy: str | None = None
    mean_latency_ms: float | None = None
    mean_price: float | None = None
    mean_energy_mj: float | None = None

    def targets(self, costs: Sequence[QueryCost], measure: str, is_share: bool) -> list[Target]:
        """The targets; the accuracy's first.

        Raises:
            InputError: for a cost that nothing is known of, and a level that is none.
        """
        from hybrid_nas.routing.costs import ENERGY, LATENCY, PRICE
        from hybrid_nas.routing.targets import AtLeast

        wanted: list[Target] = []
        if self.accuracy is not None:
            wanted.append(AtLeast(parse_level(self.accuracy, is_share=is_share), measure))
        for flag, name, level, needed in (
            ("--mean-latency", LATENCY, self.mean_latency_ms, "--uplink-ms and --base-ms"),
            ("--mean-price", PRICE, self.mean_price, "--price-cloud"),
            ("--mean-energy", ENERGY, self.mean_energy_mj, "--query-energy and --base-energy"),
        ):
            if level is not None:
                wanted.append(_budget(flag, name, level, needed, costs))
        return wanted


def parse_level(text: str, *, is_share: bool) -> float:
    """A level of accuracy or utility from ``0.95`` or ``95%``.

    Raises:
        InputError: for what is no number, and for a share outside 0 .. 1.
    """
    word = text.strip()
    try:
        level = float(word.removesuffix("%")) / (100.0 if word.endswith("%") else 1.0)
    except ValueError:
        level = math.nan
    if not math.isfinite(level) or (is_share and not 0.0 < level <= 1.0):
        raise InputError(f"--accuracy {text!r} is no level: write it like 0.95 or 95%")
    return level


def _budget(flag: str, name: str, level: float, needed: str, costs: Sequence[QueryCost]) -> AtMost:
    from hybrid_nas.routing.targets import AtMost

    if not (math.isfinite(level) and level >= 0.0):
        raise InputError(f"{flag} {level:g}: expected 0 or more")
    for cost in costs:
        if cost.name == name:
            return AtMost(level, cost)
    raise InputError(f"{flag} needs to know what an input costs: give {needed}")
