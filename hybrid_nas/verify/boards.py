"""Boards that an exported network can be verified on: ``firmware/verify/boards.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.boards import load_board
from hybrid_nas.resources import firmware_dir
from hybrid_nas.units import describe_bytes
from hybrid_nas.yaml_documents import file_yaml

_SCHEMA = "hybrid-nas/verify-boards/1"


@dataclass(frozen=True)
class Memory:
    """A linker's memory region."""

    name: str
    address: int
    bytes: int


@dataclass(frozen=True)
class VerifyBoard:
    """How to build for a board.

    Attributes:
        id: as in `hybrid-nas boards`.
        flags: the compiler's, for its core.
        sources, include: files and folders, relative to ``firmware/``.
        defines: ``NAME=VALUE``.
        flash, sram: first address of what networks are planned for.
        own_code, own_data: memory of the verifying program: (address, bytes), or bytes cut off the
            end of flash or sram.
    """

    id: str
    flags: tuple[str, ...]
    sources: tuple[str, ...]
    include: tuple[str, ...]
    defines: tuple[str, ...]
    flash: int
    sram: int
    own_code: tuple[int, int] | int
    own_data: tuple[int, int] | int

    @property
    def emulated(self) -> bool:
        """Whether QEMU stands in for it."""
        return self.id.startswith("emulated-")

    def memories(self, sram_bytes: int | None, flash_bytes: int | None) -> tuple[Memory, ...]:
        """Regions FLASH, SRAM, OWN_CODE and OWN_DATA.

        Args:
            sram_bytes, flash_bytes: what the network may take; the board's sizes by default.

        Raises:
            InputError: more than the board has.
        """
        there = load_board(self.id)
        flash = self._room("flash", flash_bytes, there.flash_bytes, self.own_code)
        sram = self._room("SRAM", sram_bytes, there.sram_bytes, self.own_data)
        own_code, own_data = (
            own if isinstance(own, tuple) else (start + total - own, own)
            for own, start, total in (
                (self.own_code, self.flash, there.flash_bytes),
                (self.own_data, self.sram, there.sram_bytes),
            )
        )
        return (
            Memory("FLASH", self.flash, flash),
            Memory("SRAM", self.sram, sram),
            Memory("OWN_CODE", *own_code),
            Memory("OWN_DATA", *own_data),
        )

    def _room(self, what: str, asked: int | None, there: int, own: tuple[int, int] | int) -> int:
        if asked is not None and asked > there:
            raise InputError(
                f"--{what.lower()} {describe_bytes(asked)}: {self.id} has {describe_bytes(there)}"
            )
        left = there if isinstance(own, tuple) else there - own
        return left if asked is None else min(asked, left)


def verify_board_ids() -> tuple[str, ...]:
    """Ids of all boards that can be verified on."""
    return tuple(_boards())


def load_verify_board(board_id: str) -> VerifyBoard:
    """The board of that id, in any case.

    Raises:
        InputError: there is none; the message lists them.
    """
    board = _boards().get(board_id.strip().lower())
    if board is None:
        raise InputError(f"cannot verify on board {board_id!r}: give one of {', '.join(_boards())}")
    return board


@cache
def _boards() -> dict[str, VerifyBoard]:
    document = file_yaml(firmware_dir() / "verify" / "boards.yaml", _SCHEMA)
    return {name: _board(name, entry) for name, entry in document["boards"].items()}


def _board(board_id: str, entry: dict[str, Any]) -> VerifyBoard:
    def own(what: str) -> tuple[int, int] | int:
        place = entry[what]
        return int(entry[f"{what}_bytes"]) if place is None else (int(place[0]), int(place[1]))

    return VerifyBoard(
        id=board_id,
        flags=tuple(entry["flags"]),
        sources=tuple(entry["sources"]),
        include=tuple(entry["include"]),
        defines=tuple(entry.get("defines", ())),
        flash=entry["flash"],
        sram=entry["sram"],
        own_code=own("own_code"),
        own_data=own("own_data"),
    )
