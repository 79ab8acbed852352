"""Boards of the user's own: their files, and what a run keeps of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.board_files import board_entry, board_of, named_board
from hybrid_nas.hardware.boards import board_ids, load_board

DOOR = """\
schema: hybrid-nas/boards/1
boards:
  door:
    name: Door camera
    core: cortex-m7
    clock_hz: 400_000_000
    flash: {bytes: 786_432}
    regions:
      - {name: DTCM, address: 0x2000_0000, bytes: 131_072}
      - {name: AXI, address: 0x2002_0000, bytes: 65_536}
      - {name: backup, address: 0x3880_0000, bytes: 4096}
    source: schematic
"""


def door(folder: Path, text: str = DOOR) -> str:
    path = folder / "Door.YAML"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_file_describes_a_board(tmp_path: Path) -> None:
    board = named_board(door(tmp_path))
    assert (board.id, board.core, board.clock_hz) == ("door", "cortex-m7", 400_000_000)
    assert (board.sram_bytes, board.flash_bytes) == (192 * 1024, 768 * 1024)
    assert board.total_sram_bytes == 196 * 1024


def test_ids_are_boards_of_the_program() -> None:
    assert named_board("RP2040") == load_board("rp2040") == board_of("rp2040", None)


@pytest.mark.parametrize("name", board_ids())
def test_a_board_survives_being_written_down(name: str) -> None:
    entry = yaml.safe_load(yaml.safe_dump(board_entry(load_board(name))))
    assert board_of(name, entry) == load_board(name)


def test_an_entry_comes_before_a_board_of_the_same_id() -> None:
    entry = board_entry(load_board("rp2040")) | {"flash": {"bytes": 16_777_216}}
    assert board_of("rp2040", entry).flash_bytes == 16_777_216


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (DOOR.replace("boards/1", "boards/2"), "'schema: hybrid-nas/boards/1'"),
        (DOOR.replace("clock_hz", "clock"), "door must have the keys"),
        ("schema: hybrid-nas/boards/1\nboards: {}\n", r"must describe one board \(got none\)"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_name(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(InputError, match=rf"Door\.YAML.*{message}"):
        named_board(door(tmp_path, text))


def test_two_boards_in_a_file_are_refused_by_name(tmp_path: Path) -> None:
    second = DOOR.split("boards:\n")[1].replace("  door:", "  gate:")
    with pytest.raises(InputError, match=r"one board \(got door, gate\)"):
        named_board(door(tmp_path, DOOR + second))


def test_a_file_that_is_not_there_is_no_unknown_id(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file .*attic\.yaml"):
        named_board(str(tmp_path / "attic.yaml"))
