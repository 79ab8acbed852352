"""Boards: the data sheets' figures."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.boards import (
    Board,
    Region,
    board_ids,
    load_board,
    longest_run_bytes,
    parse_boards,
)
from hybrid_nas.hardware.runtimes import DEFAULT_RUNTIME, runtime_ids

KIB = 1024
SHEETS = {  # id: (largest contiguous SRAM KB, flash KB, MHz), from the data sheets
    "stm32f412": (256, 1024, 100),
    "stm32f746": (320, 1024, 216),
    "stm32f767": (512, 2048, 216),
    "stm32h743": (512, 2048, 480),
    "stm32h747": (512, 2048, 480),
    "stm32h7a3": (1024, 2048, 280),
    "stm32u585": (768, 2048, 160),
    "stm32l4r5": (640, 2048, 120),
    "nrf5340": (512, 1024, 128),
    "esp32-s3": (416, 8192, 240),
    "rp2040": (264, 2048, 133),
}
EMULATED = {  # id: (usable SRAM KB, code KB, MHz), from QEMU 7.2's memory map of the machine
    "emulated-cortex-m7": (4096, 4096, 25),
    "emulated-cortex-m4": (4096, 4096, 25),
    "emulated-cortex-m33": (4096, 4096, 20),
    "emulated-cortex-m3": (4096, 4096, 25),
    "emulated-cortex-m0": (16, 256, 16),
}


def test_every_board_is_there_with_its_figures() -> None:
    found = {
        name: (
            load_board(name).sram_bytes // KIB,
            load_board(name).flash_bytes // KIB,
            load_board(name).clock_hz // 1_000_000,
        )
        for name in board_ids()
        if name != "host"
    }
    assert found == SHEETS | EMULATED


@pytest.mark.parametrize("name", board_ids())
def test_a_board_is_planned_for_a_runtime_that_exists(name: str) -> None:
    own = {"host": "onnxruntime"} | dict.fromkeys(EMULATED, "hnas-c")
    assert load_board(name).runtime == own.get(name, DEFAULT_RUNTIME)
    assert load_board(name).runtime in runtime_ids()


@pytest.mark.parametrize("name", EMULATED)
def test_emulated_boards_say_that_they_are(name: str) -> None:
    board = load_board(name)
    assert "emulated by QEMU" in board.name
    assert board.id.endswith(board.core)
    assert "instructions" in board.source


@pytest.mark.parametrize("name", board_ids())
def test_regions_do_not_overlap_and_have_sources(name: str) -> None:
    board = load_board(name)
    regions = sorted(board.regions, key=lambda region: region.address)
    for one, other in pairwise(regions):
        assert one.address + one.bytes <= other.address
    assert board.source
    assert all(reserve.source for reserve in board.reserves)
    assert board.total_sram_bytes >= board.sram_bytes


def test_ids_are_read_in_any_case_and_unknown_ones_are_refused() -> None:
    assert load_board(" STM32F746 ").id == "stm32f746"
    with pytest.raises(InputError, match="no board 'stm32f000': give one of stm32f412"):
        load_board("stm32f000")


# -- a file of the user's

REGION = {"name": "SRAM", "address": 0x2000_0000, "bytes": 262_144}
BOARD: dict[str, Any] = {
    "name": "My board", "core": "cortex-m7", "clock_hz": 216_000_000,
    "flash": {"bytes": 1_048_576}, "regions": [REGION], "source": "data sheet",
}  # fmt: skip


def boards(board_id: object, entry: object) -> dict[str, Board]:
    return parse_boards({"schema": "any", "boards": {board_id: entry}}, "boards.yaml")


def test_a_board_needs_no_more_than_the_documentation_says() -> None:
    board = boards("my-board", BOARD)["my-board"]
    assert (board.sram_bytes, board.flash_bytes) == (262_144, 1_048_576)
    assert (board.runtime, board.reserves) == (DEFAULT_RUNTIME, ())


@pytest.mark.parametrize("key", ["name", "core", "clock_hz", "flash", "regions", "source"])
def test_a_missing_key_of_a_board_is_named(key: str) -> None:
    entry = {name: value for name, value in BOARD.items() if name != key}
    with pytest.raises(InputError, match=rf"boards\.yaml: my-board must .* \(missing: {key}\)"):
        boards("my-board", entry)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, r"must have the keys name, .* \(unknown: colour\)"),
        ({"clock_hz": "216MHz"}, "'clock_hz' must be of type int .got '216MHz'"),
        ({"clock_hz": -1}, "clock_hz must be above 0"),
        ({"clock_hz": True}, "'clock_hz' must be of type int"),
        ({"flash": 1_048_576}, "'flash' must be of type dict"),
        ({"flash": {"bytes": "1MB"}}, "flash: 'bytes' must be of type int"),
        ({"flash": {"bytes": 0}}, "flash: bytes must be above 0"),
        ({"flash": {"bytes": 1, "note": "a", "b": None}}, r"flash must .* \(unknown: b\)"),
        ({"regions": []}, "regions must have one that is usable"),
        ({"regions": [REGION | {"usable": False}]}, "regions must have one that is usable"),
        ({"regions": ["SRAM"]}, "region 1 must be a mapping"),
        ({"regions": [REGION | {"size": 3}]}, r"region 1 must .* \(unknown: size\)"),
        ({"regions": [REGION | {"bytes": "256KB"}]}, "region 1: 'bytes' must be of type int"),
        ({"regions": [REGION | {"bytes": -5}]}, "region 1: bytes must be above 0"),
        ({"regions": [REGION | {"address": -1}]}, "region 1: address must be 0 or more"),
        ({"regions": [REGION | {"usable": "no"}]}, "region 1: 'usable' must be of type bool"),
        (
            {"regions": [REGION, REGION | {"name": "B", "address": 0x2003_FFFF}]},
            "regions SRAM and B overlap: SRAM ends at 0x20040000, B begins at 0x2003ffff",
        ),
        ({"reserves": [{"what": "x"}]}, "reserve 1 must .*missing: sram_bytes, flash_bytes, sour"),
        (
            {"reserves": [{"what": "x", "sram_bytes": 0, "flash_bytes": -1, "source": "me"}]},
            "reserve 1: flash_bytes must be 0 or more",
        ),
        ({"runtime": "foo"}, "runtime must be one of tinyengine"),
    ],
)
def test_what_is_wrong_in_a_board_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=r"^boards\.yaml: my-board.*" + message) as caught:
        boards("my-board", BOARD | changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("board_id", ["My-Board", "my board", "", 8051])
def test_ids_that_could_never_be_found_are_refused(board_id: object) -> None:
    with pytest.raises(InputError, match="id must be of lower-case letters"):
        boards(board_id, BOARD)


def test_notes_with_commas_are_whole() -> None:
    assert load_board("emulated-cortex-m7").flash_note == "SSRAM1, the machine's memory for code"


def test_the_longest_run_ignores_gaps_and_unusable_memory() -> None:
    regions = [Region("A", 0, 10), Region("B", 10, 5), Region("C", 15, 50, usable=False)]
    regions += [Region("D", 65, 12), Region("E", 80, 4)]
    assert longest_run_bytes(regions) == 15
    assert longest_run_bytes([]) == 0
