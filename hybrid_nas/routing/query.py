"""One query to the cloud, priced: time, availability, energy; and what it does to a hybrid.

A query takes the transfer of its bytes, the link's delay and the cloud's own time. It may get no
answer: with the link's outage probability, or because a timeout passes first. Then the device has
waited for the timeout in vain, and the base answers after all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hybrid_nas.errors import InputError
from hybrid_nas.routing.delays import Delay, FixedDelay

P95 = 0.95


@dataclass(frozen=True)
class Transfer:
    """How long bytes take over a link: packets of `packet_bytes` that take `packet_ms` each.

    A link of so many bits a second is one of packets of a single byte. With a duty cycle below 1
    (sub-GHz bands) a packet of time t must be followed by a silence of t (1/duty - 1) before the
    next one; the last needs not be waited for.
    """

    packet_bytes: int
    packet_ms: float
    duty_cycle: float = 1.0

    def __post_init__(self) -> None:
        if self.packet_bytes < 1 or not (math.isfinite(self.packet_ms) and self.packet_ms > 0):
            raise InputError(
                "a transfer needs packets of at least 1 byte and a time above 0 ms "
                f"(got {self.packet_bytes} bytes in {self.packet_ms:g} ms)"
            )
        if not 0 < self.duty_cycle <= 1:
            raise InputError(f"a duty_cycle lies in (0, 1] (got {self.duty_cycle:g})")

    @classmethod
    def at(cls, bits_per_s: float) -> Transfer:
        """A link of that bandwidth. Raises `InputError` unless it is above 0."""
        if not (math.isfinite(bits_per_s) and bits_per_s > 0):
            raise InputError(f"bits_per_s must be above 0 (got {bits_per_s:g})")
        return cls(1, 8e3 / bits_per_s)

    def ms(self, n_bytes: int) -> float:
        """Time until the last of `n_bytes` is sent.

        >>> Transfer.at(1e6).ms(12_500)
        100.0
        """
        packets = math.ceil(n_bytes / self.packet_bytes)
        return self.packet_ms * (1 + (packets - 1) / self.duty_cycle) if packets else 0.0


@dataclass(frozen=True)
class RadioEnergy:
    """Energy of a query beside the inference: fixed, by byte, and while the device waits.

    Attributes:
        per_query_mj: wake-up, connection, tail; whatever does not depend on the bytes.
        per_byte_uj: microjoules for each byte sent.
        wait_mw: power of the device after its last byte, until the answer or the timeout.
    """

    per_query_mj: float = 0.0
    per_byte_uj: float = 0.0
    wait_mw: float = 0.0

    def __post_init__(self) -> None:
        for name in ("per_query_mj", "per_byte_uj", "wait_mw"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name} must be at least 0 (got {value:g})")


@dataclass(frozen=True)
class Uplink:
    """The way to the cloud and back.

    Attributes:
        name: for people.
        transfer: time of the bytes; None where `delay` is the whole time whatever is sent.
        delay: everything else that the link takes.
        outage: share of queries that are never answered.
        timeout_ms: after this the base answers; None waits as long as it takes.
        energy: None where it is not known.
        source: where the figures come from.
    """

    name: str = "fixed"
    transfer: Transfer | None = None
    delay: Delay = field(default_factory=FixedDelay)
    outage: float = 0.0
    timeout_ms: float | None = None
    energy: RadioEnergy | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.outage < 1:
            raise InputError(f"uplink {self.name}: outage lies in [0, 1) (got {self.outage:g})")
        if self.timeout_ms is not None and not self.timeout_ms > 0:
            raise InputError(
                f"uplink {self.name}: timeout_ms must be above 0 (got {self.timeout_ms:g})"
            )
        if self.outage and self.timeout_ms is None:
            raise InputError(
                f"uplink {self.name}: an outage of {self.outage:g} needs a timeout_ms: without one "
                "the device would wait for ever"
            )


@dataclass(frozen=True)
class Query:
    """A query of so many bytes over an uplink to a cloud that takes `cloud_ms`."""

    uplink: Uplink
    payload_bytes: int = 0
    cloud_ms: float = 0.0

    @property
    def transfer_ms(self) -> float:
        """Time of the bytes alone."""
        transfer = self.uplink.transfer
        return 0.0 if transfer is None else transfer.ms(self.payload_bytes)

    @property
    def _certain_ms(self) -> float:
        """The part of the time that does not vary."""
        return self.transfer_ms + self.cloud_ms

    @property
    def _patience_ms(self) -> float:
        """How long the link's delay may be."""
        timeout = self.uplink.timeout_ms
        return math.inf if timeout is None else timeout - self._certain_ms

    @property
    def availability(self) -> float:
        """Share of queries that are answered in time."""
        if math.isinf(self._patience_ms):
            return 1.0
        return (1 - self.uplink.outage) * self.uplink.delay.share_within(self._patience_ms)

    @property
    def mean_ms(self) -> float:
        """Mean time that the device waits, timeouts included."""
        timeout = self.uplink.timeout_ms
        if timeout is None:
            return self._certain_ms + self.uplink.delay.mean_wait_ms(math.inf)
        if self._patience_ms <= 0:
            return timeout
        answered = self._certain_ms + self.uplink.delay.mean_wait_ms(self._patience_ms)
        return (1 - self.uplink.outage) * answered + self.uplink.outage * timeout

    def quantile_ms(self, share: float) -> float:
        """Within what time a share of (0, 1] of the queries is over, answered or given up."""
        timeout = self.uplink.timeout_ms
        if timeout is not None and share > self.availability:
            return timeout
        return self._certain_ms + self.uplink.delay.quantile_ms(share / (1 - self.uplink.outage))

    @property
    def energy_mj(self) -> float | None:
        """Mean energy; None where the uplink's is not known.

        All bytes are paid for, also when nobody answers.
        """
        energy = self.uplink.energy
        if energy is None:
            return None
        sending = energy.per_query_mj + energy.per_byte_uj * self.payload_bytes / 1e3
        waiting_ms = max(self.mean_ms - self.transfer_ms, 0.0)
        return sending + energy.wait_mw * waiting_ms / 1e3


def hybrid_quantile_ms(
    edge_ms: float, query_rate: float, query: Query, share: float = P95
) -> float:
    """Latency within which a share of all inputs is answered, kept and sent ones together.

    Kept inputs take `edge_ms`; a share `query_rate` of the inputs takes that and a query.

    >>> query = Query(Uplink(delay=FixedDelay(1900.0)), cloud_ms=100.0)
    >>> hybrid_quantile_ms(200.0, 0.04, query), hybrid_quantile_ms(200.0, 0.4, query)
    (200.0, 2200.0)
    """
    if query_rate <= 1 - share + 1e-12:  # enough are kept
        return edge_ms
    return edge_ms + query.quantile_ms(1 - (1 - share) / query_rate)


def accuracy_with_timeouts(hybrid: float, base: float, availability: float) -> float:
    """Expected accuracy when only a share of the sent inputs is answered, whichever they are.

    For those that are not, the base answers: a * hybrid + (1 - a) * base, with `hybrid` the
    accuracy if every query were answered and `base` that of the base alone.

    >>> round(accuracy_with_timeouts(0.9, 0.6, 0.95), 4)
    0.885
    """
    return availability * hybrid + (1 - availability) * base


def affordable_query_rate(budget: float, edge: float, query: float) -> float:
    """The largest share of inputs that may be sent at a mean cost of `budget`: (b - e) / q.

    Costs may be milliseconds or millijoules, of the device alone and of one query. At most 1, and
    0 where the device alone is over the budget already.

    The points of the microcontroller table (Kag et al., ICLR 2023), T = 200 ms + q * 2000 ms:

    >>> [affordable_query_rate(ms, 200.0, 2000.0) for ms in (1000, 1400, 1600)]
    [0.4, 0.6, 0.7]
    """
    if budget <= edge:
        return 0.0
    return min(1.0, (budget - edge) / query) if query > 0 else 1.0
