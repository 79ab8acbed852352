"""Boards: the data sheets' figures."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.boards import Region, board_ids, load_board, longest_run_bytes
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


def test_the_longest_run_ignores_gaps_and_unusable_memory() -> None:
    regions = [Region("A", 0, 10), Region("B", 10, 5), Region("C", 15, 50, usable=False)]
    regions += [Region("D", 65, 12), Region("E", 80, 4)]
    assert longest_run_bytes(regions) == 15
    assert longest_run_bytes([]) == 0
