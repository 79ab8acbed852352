"""Boards: how much memory they have, where it lies, and how fast they run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.data_files import package_yaml
from hybrid_nas.hardware.runtimes import DEFAULT_RUNTIME, runtime_ids
from hybrid_nas.yaml_fields import dataclass_of, require

DEFAULT_BOARD = "stm32f746"
SCHEMA = "hybrid-nas/boards/1"
_ID = re.compile(r"[a-z0-9][a-z0-9._-]*")  # as `load_board` looks it up


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
        raise InputError(
            f"no board {board_id!r}: give one of {', '.join(_boards())}, or a .yaml file that "
            "describes one of yours"
        )
    return board


@cache
def _boards() -> dict[str, Board]:
    name = "boards.yaml"
    return parse_boards(package_yaml(name, SCHEMA), name)


def parse_boards(document: Mapping[str, Any], name: str) -> dict[str, Board]:
    """The boards of a parsed file, by id; `name` names the file in errors.

    Raises:
        InputError: a key is missing or unknown, or a value cannot be; the message names both.
    """
    listed = dataclass_of(_Document, document, name).boards
    return {board_id: _board(board_id, entry, name) for board_id, entry in listed.items()}


@dataclass(frozen=True)
class _Document:
    schema: str
    boards: dict[str, Any]


@dataclass(frozen=True)
class _Flash:
    bytes: int
    note: str = ""


@dataclass(frozen=True)
class _Entry:
    """A board as the file has it."""

    name: str
    core: str
    clock_hz: int
    flash: dict[str, Any]
    regions: list[Any]
    source: str
    reserves: list[Any] = field(default_factory=list)
    runtime: str = DEFAULT_RUNTIME


def _board(board_id: object, values: object, file: str) -> Board:
    if not isinstance(board_id, str) or not _ID.fullmatch(board_id):
        raise InputError(
            f"{file}: a board's id must be of lower-case letters, digits, '-', '_' and '.' "
            f"(got {board_id!r})"
        )
    where = f"{file}: {board_id}"
    entry = dataclass_of(_Entry, values, where)
    flash = dataclass_of(_Flash, entry.flash, f"{where}: flash")
    require(entry.clock_hz > 0, f"{where}: clock_hz", "above 0", entry.clock_hz)
    require(flash.bytes > 0, f"{where}: flash: bytes", "above 0", flash.bytes)
    known = runtime_ids()
    require(
        entry.runtime in known, f"{where}: runtime", f"one of {', '.join(known)}", entry.runtime
    )
    regions = _regions(entry.regions, where)
    return Board(
        id=board_id,
        name=entry.name,
        core=entry.core,
        clock_hz=entry.clock_hz,
        sram_bytes=longest_run_bytes(regions),
        flash_bytes=flash.bytes,
        regions=regions,
        source=entry.source,
        flash_note=flash.note,
        reserves=tuple(
            _reserve(one, f"{where}: reserve {number}")
            for number, one in enumerate(entry.reserves, 1)
        ),
        runtime=entry.runtime,
    )


def _regions(listed: list[Any], where: str) -> tuple[Region, ...]:
    regions = []
    for number, values in enumerate(listed, 1):
        at = f"{where}: region {number}"
        region = dataclass_of(Region, values, at)
        require(region.address >= 0, f"{at}: address", "0 or more", region.address)
        require(region.bytes > 0, f"{at}: bytes", "above 0", region.bytes)
        regions.append(region)
    for one, other in pairwise(sorted(regions, key=lambda region: region.address)):
        if one.address + one.bytes > other.address:
            raise InputError(
                f"{where}: regions {one.name} and {other.name} overlap: {one.name} ends at "
                f"{one.address + one.bytes:#x}, {other.name} begins at {other.address:#x}"
            )
    if not any(region.usable for region in regions):
        raise InputError(f"{where}: regions must have one that is usable (got {len(regions)})")
    return tuple(regions)


def _reserve(values: object, where: str) -> Reserve:
    reserve = dataclass_of(Reserve, values, where)
    require(reserve.sram_bytes >= 0, f"{where}: sram_bytes", "0 or more", reserve.sram_bytes)
    require(reserve.flash_bytes >= 0, f"{where}: flash_bytes", "0 or more", reserve.flash_bytes)
    return reserve
