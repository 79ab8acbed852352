"""What times operators: the one interface of boards, emulated boards and the host."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from hybrid_nas.errors import HybridNasError
from hybrid_nas.hardware.latency_table import Identity, LatencyKind, Measurement
from hybrid_nas.spaces.opspec import OpSpec


class DeviceLostError(HybridNasError):
    """The device no longer answers; what it measured before stays valid."""


@dataclass(frozen=True)
class Timed:
    """An operator and what it took, in the unit of the backend's identity."""

    op: OpSpec
    measurement: Measurement


@dataclass(frozen=True)
class Refused:
    """An operator that the device cannot run, and why (too large, no kernel, wrong result)."""

    op: OpSpec
    reason: str


class Backend(ABC):
    """A device that times operators and whole networks; a context manager that lets it go.

    Attributes:
        identity: what the timings belong to; known as soon as the backend exists.
        kind: ``measured``, or ``emulated`` where time is a count of instructions.
        source: one line for the table: what measured, how.
        default_budget: operators that make a good table on such a device.
    """

    identity: Identity
    kind: LatencyKind
    source: str
    default_budget: int = 120

    @abstractmethod
    def measure(self, ops: Sequence[OpSpec]) -> Iterator[Timed | Refused]:
        """Time single operators; every one is answered once, in any order, as soon as it is known.

        Raises:
            DeviceLostError: it stopped answering, also after it was started again.
        """

    @abstractmethod
    def measure_network(self, ops: Sequence[OpSpec]) -> Measurement:
        """Time a whole network, its operators run back to back.

        Raises:
            DeviceLostError: as above.
            InputError: the device cannot run the network; the message says which operator and why.
        """

    @abstractmethod
    def close(self) -> None:
        """Let the device go; may be called twice."""

    def __enter__(self) -> Self:
        """The backend itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let the device go."""
        self.close()
