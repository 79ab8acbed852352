"""Boards of the user's own: the file that describes one, and what a search keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.boards import SCHEMA, Board, load_board, parse_boards
from hybrid_nas.yaml_documents import file_yaml


def named_board(spec: str) -> Board:
    """The board that a user means: its id, or the path of a YAML file that describes one.

    Raises:
        InputError: there is no such board or file, or the file does not describe exactly one.

    >>> named_board("rp2040").core
    'cortex-m0plus'
    """
    if not is_board_file(spec):
        return load_board(spec)
    path = Path(spec).expanduser()
    boards = parse_boards(file_yaml(path, SCHEMA), str(path))
    if len(boards) != 1:
        raise InputError(
            f"{path} must describe one board (got {', '.join(boards) or 'none'}): give each a file "
            "of its own"
        )
    return next(iter(boards.values()))


def is_board_file(spec: str) -> bool:
    """Whether `spec` is the path of a file, and no id."""
    return Path(spec).suffix.lower() in (".yaml", ".yml")


def board_entry(board: Board) -> dict[str, Any]:
    """What a file says of a board, below its id: the opposite of `board_of`, in plain values."""
    plain = asdict(board)
    flash = {"bytes": plain.pop("flash_bytes"), "note": plain.pop("flash_note")}
    for derived in ("id", "sram_bytes"):
        del plain[derived]
    return plain | {
        "flash": flash,
        "regions": list(plain["regions"]),
        "reserves": list(plain["reserves"]),
    }


def board_of(board_id: str, entry: Mapping[str, Any] | None) -> Board:
    """The board of that id: as `entry` describes it, or one that comes with the program.

    Raises:
        InputError: there is none of that id, or the entry is wrong.
    """
    if entry is None:
        return load_board(board_id)
    name = f"board {board_id}"
    return parse_boards({"schema": SCHEMA, "boards": {board_id: dict(entry)}}, name)[board_id]
