"""Limits on SRAM, flash and latency, and what fits them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.boards import Board
from hybrid_nas.hardware.cost import Costs
from hybrid_nas.hardware.latency_table import LatencyTable
from hybrid_nas.typing import BoolArray, FloatArray
from hybrid_nas.units import format_bytes, format_ms

DOUBTED_ABOVE, REFUSED_ABOVE = 0.10, 0.20
"""Mean error on whole networks above which a limit on latency is warned of, and is refused."""


@dataclass(frozen=True)
class Trust:
    """Whether a limit on latency means anything with a table.

    Attributes:
        doubt: what is wrong with the table's latencies, one sentence; empty if nothing is known.
        refused: whether they are too far off for a limit.
    """

    doubt: str = ""
    refused: bool = False


def trust_in_latency(table: LatencyTable) -> Trust:
    """What a table's error on whole networks says about limits on latency."""
    name = table.name or table.source
    validation = table.validation
    if validation is None:
        return Trust(
            f"latency table {name} was never compared with whole networks, so how far off its "
            "latencies are is unknown ('hybrid-nas latency validate' finds out)"
        )
    if validation.mean <= DOUBTED_ABOVE:
        return Trust()
    error = f"latency table {name} is off by {validation.mean:.0%} on whole networks"
    if validation.mean > REFUSED_ABOVE:
        return Trust(f"{error}: too far for a limit on latency (at most {REFUSED_ABOVE:.0%})", True)
    return Trust(f"{error}: leave room below a limit on latency")


def check_latency_limit(table: LatencyTable, *, forced: bool = False) -> str:
    """Refuse a limit on latency that the table cannot tell; the doubt that remains, or nothing.

    Raises:
        InputError: the table's mean error on whole networks is above 20 %, and nobody forces it.
    """
    trust = trust_in_latency(table)
    if trust.refused and not forced:
        raise InputError(
            f"--latency: {trust.doubt}; leave the limit out, give a better --table, or "
            "--force-latency to limit all the same"
        )
    return trust.doubt


@dataclass(frozen=True)
class Limits:
    """Upper limits; an architecture that uses exactly as much fits. No latency limit is None."""

    sram_bytes: int
    flash_bytes: int
    latency_ms: float | None = None

    @classmethod
    def of_board(cls, board: Board) -> Limits:
        """All of a board's memory, and no limit on latency."""
        return cls(board.sram_bytes, board.flash_bytes)

    @property
    def names(self) -> tuple[str, ...]:
        """The limits that are set: ``sram``, ``flash``, ``latency``."""
        return ("sram", "flash") if self.latency_ms is None else ("sram", "flash", "latency")

    def usage(self, costs: Costs) -> FloatArray:
        """Cost over limit for each architecture and each of `names`, (n, limits).

        Raises:
            InputError: a limit on latency, but no latency table.
        """
        columns = [costs.sram_bytes / self.sram_bytes, costs.flash_bytes / self.flash_bytes]
        if self.latency_ms is not None:
            if np.isnan(costs.latency_ms).any():
                raise InputError(
                    "there is no latency table for this board and runtime, so --latency cannot be "
                    "checked: leave it out, or give --table"
                )
            columns.append(costs.latency_ms / self.latency_ms)
        return np.stack(columns, axis=1)

    def fits(self, costs: Costs) -> BoolArray:
        """Which architectures are within every limit, (n,)."""
        return np.asarray((self.usage(costs) <= 1).all(axis=1))

    def binding(self, costs: Costs) -> str:
        """The limit that the architecture nearest to fitting violates most, or comes nearest to."""
        usage = self.usage(costs)
        nearest = usage[usage.max(axis=1).argmin()]
        return self.names[int(nearest.argmax())]

    def __str__(self) -> str:
        """What the limits are, for messages."""
        parts = [
            f"{format_bytes(self.sram_bytes)} of SRAM",
            f"{format_bytes(self.flash_bytes)} of flash",
        ]
        if self.latency_ms is not None:
            parts.append(format_ms(self.latency_ms))
        return ", ".join(parts)
