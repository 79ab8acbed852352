"""Building: sizes as binutils tell them, overfull memories, and what is missing."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from hybrid_nas.errors import HybridNasError, InputError
from hybrid_nas.verify.boards import load_verify_board, verify_board_ids
from hybrid_nas.verify.build import Program, Project, build_program
from hybrid_nas.verify.compiler import Compiler, DoesNotFitError, overflows
from hybrid_nas.verify.elf import read_elf
from tests.verify.conftest import BOARD


def test_sections_and_symbols_are_those_that_binutils_show(traced: Program) -> None:
    elf = read_elf(traced.path)
    said = subprocess.check_output(["arm-none-eabi-size", "-A", traced.path], text=True)
    rows = [line.split() for line in said.splitlines() if line.startswith(".")]
    wanted = {name: (int(size), int(at)) for name, size, at in rows}
    found = {s.name: (s.bytes, s.address) for s in elf.sections.values()}
    assert {name: wanted[name] for name in found} == found
    assert {".text", ".bss", ".own_code", ".stack"} <= set(found)
    said = subprocess.check_output(["arm-none-eabi-nm", traced.path], text=True)
    for value, _, name in (line.split() for line in said.splitlines()):
        if not name.startswith("$"):
            assert elf.symbols[name][0] & ~1 == int(value, 16) & ~1


def test_what_is_no_elf_file_is_refused(tmp_path: Path) -> None:
    for number, data in enumerate((b"", b"MZ" * 40, b"\x7fELF\x01\x01" + bytes(20))):
        path = tmp_path / str(number)
        path.write_bytes(data)
        with pytest.raises(HybridNasError, match="no 32-bit little-endian ELF"):
            read_elf(path)


def test_flash_holds_the_network_alone(traced: Program, toy: Project, builds: Path) -> None:
    elf = read_elf(traced.path)
    assert traced.flash.code_bytes == elf.sections[".text"].bytes
    assert traced.flash.data_bytes == elf.sections[".data"].bytes == 40  # `filled` of toy.c
    assert elf.symbols["hnas_run"][0] < 65536 < elf.symbols["main"][0]
    own = elf.symbols["measure_run"][0]
    assert elf.sections[".own_code"].address <= own


@pytest.mark.parametrize("memory", ["flash", "SRAM"])
def test_a_pair_1_kb_too_large_is_told_so(toy: Project, builds: Path, memory: str) -> None:
    toy = replace(toy, stack_bytes=2048)
    fits = build_program(toy, BOARD, builds)
    elf = read_elf(fits.path)
    if memory == "flash":
        limits = {"flash_bytes": fits.flash.total - 1024}
    else:
        used = elf.bytes_of(".data", ".bss") + toy.stack_bytes
        assert used % 8 == 0
        limits = {"sram_bytes": used - 1024}
    with pytest.raises(DoesNotFitError, match=r"1 KB .1,024 bytes. too large") as caught:
        build_program(toy, BOARD, builds, **limits)
    assert caught.value.excess == {memory: 1024}
    exactly = {name: limit + 1024 for name, limit in limits.items()}
    build_program(toy, BOARD, builds, **exactly)


def test_the_linker_may_complain_of_both_memories() -> None:
    said = (
        "ld: a.elf section `.text' will not fit in region `FLASH'\n"
        "ld: region `FLASH' overflowed by 70000 bytes\nld: region `SRAM' overflowed by 1 byte\n"
    )
    assert overflows(said) == {"flash": 70000, "SRAM": 1}
    assert overflows("ld: undefined reference to `f'") == {}


@pytest.mark.parametrize("board", verify_board_ids())
def test_every_board_has_room_for_the_program_beside_the_network(board: str) -> None:
    memories = load_verify_board(board).memories(None, None)
    ends = sorted((m.address, m.address + m.bytes) for m in memories)
    assert all(end <= start for (_, end), (start, _) in pairwise(ends))
    assert [m.name for m in memories] == ["FLASH", "SRAM", "OWN_CODE", "OWN_DATA"]


@pytest.mark.parametrize("board", ["stm32f746", "stm32h743", "emulated-cortex-m33"])
def test_programs_of_other_boards_link(toy: Project, builds: Path, board: str) -> None:
    program = build_program(toy, load_verify_board(board), builds / board, traced=True)
    assert program.flash.total < 4096


def test_limits_beyond_the_board_are_refused() -> None:
    with pytest.raises(InputError, match=r"--sram 400 KB .*: stm32f746 has 320 KB"):
        load_verify_board("stm32f746").memories(400 * 1024, None)
    with pytest.raises(InputError, match="cannot verify on board 'z80': give one of emulated-"):
        load_verify_board("z80")


def test_a_missing_compiler_is_told_with_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InputError, match="apt install gcc-arm-none-eabi"):
        Compiler.find()


def test_code_that_does_not_compile_is_quoted(toy: Project, tmp_path: Path) -> None:
    source = tmp_path / "broken.c"
    source.write_text('#include "hnas_model.h"\nint hnas_run(void) { return x; }\n')
    with pytest.raises(HybridNasError, match=r"broken\.c does not build: .*error"):
        build_program(Project((source,), toy.include), BOARD, tmp_path)
