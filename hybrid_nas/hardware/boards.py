"""Boards: how much memory they have, where it lies, and how fast they run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.data_files import package_yaml
from hybrid_nas.hardware.runtimes import DEFAULT_RUNTIME

DEFAULT_BOARD = "stm32f746"


@dataclass(frozen=True)
class Region:
    """One memory. ``usable`` is false where it exists, but not for a network's data."""

    name: str
    address: int
    bytes: int
    usable: bool = True
    note: str = ""


@dataclass(frozen=True)
class Reserve:
    """What a radio stack or an application typically takes, and who says so."""

    what: str
    sram_bytes: int
    flash_bytes: int
    source: str


@dataclass(frozen=True)
class Board:
    """A microcontroller, the board around it, or a machine that stands in for one.

    Attributes:
        id: lower case, as in ``--board``.
        sram_bytes: the longest contiguous run of usable memory: the default limit of an arena.
        flash_bytes: the default limit for weights and code.
        runtime: what is planned for where no other is asked for.
    """

    id: str
    name: str
    core: str
    clock_hz: int
    sram_bytes: int
    flash_bytes: int
    regions: tuple[Region, ...]
    source: str
    flash_note: str = ""
    reserves: tuple[Reserve, ...] = ()
    runtime: str = DEFAULT_RUNTIME

    @property
    def total_sram_bytes(self) -> int:
        """All memory that data can be put in, wherever it lies."""
        return sum(region.bytes for region in self.regions if region.usable)


def longest_run_bytes(regions: Sequence[Region]) -> int:
    """Size of the longest run of usable regions without a gap between their addresses.

    >>> longest_run_bytes([Region("A", 0, 16), Region("B", 16, 8), Region("C", 64, 20)])
    24
    """
    longest = run = end = 0
    for region in sorted((r for r in regions if r.usable), key=lambda r: r.address):
        run = run + region.bytes if region.address == end and run else region.bytes
        end = region.address + region.bytes
        longest = max(longest, run)
    return longest


def board_ids() -> tuple[str, ...]:
    """Ids of all boards, in the order of the file."""
    return tuple(_boards())


def load_board(board_id: str) -> Board:
    """The board of that id, in any case.

    Raises:
        InputError: there is none; the message lists them.

    >>> load_board("stm32f746").sram_bytes
    327680
    """
    board = _boards().get(board_id.strip().lower())
    if board is None:
        raise InputError(f"no board {board_id!r}: give one of {', '.join(_boards())}")
    return board


@cache
def _boards() -> dict[str, Board]:
    document = package_yaml("boards.yaml", "hybrid-nas/boards/1")
    return {board_id: _board(board_id, entry) for board_id, entry in document["boards"].items()}


def _board(board_id: str, entry: dict[str, Any]) -> Board:
    regions = tuple(Region(**region) for region in entry["regions"])
    return Board(
        id=board_id,
        name=entry["name"],
        core=entry["core"],
        clock_hz=entry["clock_hz"],
        sram_bytes=longest_run_bytes(regions),
        flash_bytes=entry["flash"]["bytes"],
        regions=regions,
        source=entry["source"],
        flash_note=entry["flash"].get("note", ""),
        reserves=tuple(Reserve(**reserve) for reserve in entry.get("reserves", ())),
        runtime=entry.get("runtime", DEFAULT_RUNTIME),
    )
