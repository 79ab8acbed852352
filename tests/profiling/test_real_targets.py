"""The firmware of real boards: where the linker put things, and what clock set-up does to the chip.

No board is needed. The images are built and taken apart with the ARM tools; the boards' own C files
are also compiled for the computer and run against registers made of memory (fake_chip.c).
"""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from hybrid_nas.hardware.boards import load_board
from hybrid_nas.profiling import generator

FIRMWARE = Path(__file__).parents[2] / "firmware"
BOARDS = ("stm32f746", "stm32h743")
FLASH = 0x0800_0000

needs_arm_tools = pytest.mark.skipif(
    not (shutil.which("arm-none-eabi-gcc") and shutil.which("make")),
    reason="needs make and the ARM compiler (Debian: apt install make gcc-arm-none-eabi)",
)
needs_host_compiler = pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler (cc)")


def run(*command: str | Path) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout


# --- the image ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Section:
    address: int
    size: int
    load_address: int

    @property
    def end(self) -> int:
        return self.address + self.size


@dataclass(frozen=True)
class Image:
    board: str
    elf: Path
    binary: bytes
    sections: Mapping[str, Section]
    symbols: Mapping[str, int]


@pytest.fixture(scope="module", params=BOARDS)
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Image:
    board, build = request.param, tmp_path_factory.mktemp(request.param)
    run("make", "-C", FIRMWARE, f"BOARD={board}", f"BUILD={build}", "elf")
    elf = build / f"{board}.elf"
    headers = run("arm-none-eabi-objdump", "-h", elf)
    sections = {
        name: Section(int(vma, 16), int(size, 16), int(lma, 16))
        for name, size, vma, lma, flags in re.findall(
            r"^ *\d+ (\S+) +(\w{8}) +(\w{8}) +(\w{8}) .*\n +(.*)$", headers, re.MULTILINE
        )
        if "ALLOC" in flags and int(size, 16)
    }
    symbols = {
        name: int(value, 16)
        for value, name in re.findall(
            r"^(\w+) \S (\S+)$", run("arm-none-eabi-nm", elf), re.MULTILINE
        )
    }
    return Image(board, elf, (build / f"{board}.bin").read_bytes(), sections, symbols)


@needs_arm_tools
def test_sections_lie_in_the_boards_memories(image: Image) -> None:
    board = load_board(image.board)
    memories = [range(FLASH, FLASH + board.flash_bytes)]
    memories += [range(r.address, r.address + r.bytes) for r in board.regions if r.usable]
    for name, section in image.sections.items():
        assert any(section.address in m and section.end - 1 in m for m in memories), name
        assert FLASH <= section.load_address < FLASH + board.flash_bytes or name == ".bss", name
    assert {".vectors", ".text", ".rodata", ".weights", ".bss"} <= set(image.sections)
    spans = sorted((s.address, s.end) for s in image.sections.values())
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


@needs_arm_tools
def test_tensors_have_whole_memories_that_hold_nothing_else(image: Image) -> None:
    symbols, regions = image.symbols, load_board(image.board).regions
    start, end = symbols["__arena_start"], symbols["__arena_end"]
    inside = sorted((r for r in regions if start <= r.address < end), key=lambda r: r.address)
    assert inside[0].address == start
    for region, after in pairwise(inside):
        assert region.address + region.bytes == after.address
    assert inside[-1].address + inside[-1].bytes == end
    assert all(s.end <= start or s.address >= end for s in image.sections.values())


@needs_arm_tools
def test_workspace_and_stack_share_the_fast_memory_with_variables(image: Image) -> None:
    symbols, regions = image.symbols, load_board(image.board).regions
    (fast,) = (region for region in regions if region.name == "DTCM")
    assert symbols["__stack_top"] == fast.address + fast.bytes
    assert symbols["__stack_top"] % 8 == 0  # procedure call standard
    assert symbols["__stack_top"] - symbols["__work_end"] >= 4096
    assert symbols["__work_start"] % 16 == symbols["__arena_start"] % 16 == 0
    assert symbols["__bss_end"] <= symbols["__work_start"] < symbols["__work_end"]
    channels = (symbols["__work_end"] - symbols["__work_start"]) // 12
    assert channels >= 1280  # constants of the widest layer of the mobile search spaces


@needs_arm_tools
def test_the_vector_table_starts_the_image(image: Image) -> None:
    vectors, text = image.sections[".vectors"], image.sections[".text"]
    assert vectors.address == FLASH
    assert vectors.size >= 16 * 4  # the core's own; the interrupts of the chip stay off
    stack, *handlers = struct.unpack_from("<16I", image.binary)
    assert stack == image.symbols["__stack_top"]
    for number, handler in enumerate(handlers, start=1):
        if number in (7, 8, 9, 10, 13):  # reserved, Armv7-M Architecture Reference Manual B1.5.2
            continue
        assert handler & 1, f"vector {number} is not Thumb code"
        assert text.address <= handler - 1 < text.end, f"vector {number}"
    entry = re.search(r"Entry point address: +(\w+)", run("arm-none-eabi-readelf", "-h", image.elf))
    assert entry and int(entry[1], 16) == handlers[0]


@needs_arm_tools
def test_weights_are_the_generators_stream(image: Image) -> None:
    weights = image.sections[".weights"]
    assert weights.address % 16 == 0
    assert weights.size % 4 == 0
    assert weights.address == image.symbols["hnas_weights"]
    offset = weights.load_address - FLASH
    found = image.binary[offset : offset + weights.size]
    assert found == generator.stream(generator.WEIGHTS, weights.size).tobytes()


@needs_arm_tools
def test_the_flashed_file_is_what_the_sections_say(image: Image) -> None:
    loaded = [s for name, s in image.sections.items() if name != ".bss"]
    assert len(image.binary) == max(s.load_address + s.size for s in loaded) - FLASH
    assert len(image.binary) <= load_board(image.board).flash_bytes
    words = run("arm-none-eabi-readelf", "-A", "-h", image.elf)
    assert "ARM" in words and "hard-float" not in words  # arguments are in integer registers


def instructions(listing: str) -> list[str]:
    return re.findall(r"^ *[0-9a-f]+:\t([^.\n].*)", listing, re.MULTILINE)


@needs_arm_tools
def test_the_fpu_computes_in_single_precision_after_it_was_switched_on(image: Image) -> None:
    """CPACR is at 0xE000ED88; bits 20 to 23 are access to coprocessors 10 and 11."""
    disassemble = ("arm-none-eabi-objdump", "-d", "--no-show-raw-insn")
    words = [line.split()[0] for line in instructions(run(*disassemble, image.elf))]
    assert "vmul.f32" in words
    assert not [word for word in words if "f64" in word or word.startswith("ldc")]
    reset = instructions(run(*disassemble, "--disassemble=reset", image.elf))
    on = next(n for n, line in enumerate(reset) if line.startswith("str") and "0xd88" in line)
    assert any("#15728640" in line for line in reset[:on])  # 0xF << 20
    assert not [line for line in reset[:on] if line.startswith(("v", "bl"))]


# --- clocks, pins, line ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Trace:
    """What board_init() did: registers in the order of access, with their values before it."""

    accesses: tuple[tuple[int, int], ...]
    final: Mapping[int, int]
    pins: frozenset[tuple[int, ...]]
    usart: tuple[int, ...]
    clock_hz: int
    tim2_hz: int

    def first(self, accepted: Callable[[int, int], bool]) -> int:
        """Number of the first access that finds a register like that."""
        return next(i for i, (a, v) in enumerate(self.accesses) if accepted(a, v))


def trace(board: str, tmp_path: Path, *registers: str, defines: tuple[str, ...] = ()) -> Trace:
    here, program = Path(__file__).parent, tmp_path / "fake_chip"
    includes = (f"-I{FIRMWARE / folder}" for folder in (".", "boards/stm32", f"boards/{board}"))
    sources = (FIRMWARE / "boards" / board / "board.c", here / "fake_chip.c")
    strict = ("-std=c11", "-Wall", "-Wextra", "-Werror", "-include", here / "fake_chip.h")
    defines = ("-DWEIGHT_BYTES=4096", *defines)
    run("cc", *strict, *includes, *defines, *sources, "-o", program)
    done = subprocess.run([program, *registers], capture_output=True, text=True, timeout=10)
    lines = [line.split() for line in done.stdout.splitlines()]
    found: dict[str, list[tuple[int, ...]]] = {}
    for what, *words in lines:
        found.setdefault(what, []).append(tuple(int(word, 16) for word in words))
    return Trace(
        accesses=tuple((a, v) for a, v in found["register"]),
        final={a: v for a, v in found["final"]},
        pins=frozenset(found["pin"]),
        usart=found["usart"][0],
        clock_hz=found["clock"][0][0],
        tim2_hz=found["tim2"][0][0],
    )


def field(word: int, high: int, low: int) -> int:
    return (word >> low) & ((1 << (high - low + 1)) - 1)


F746_READY = ("40023800=02000003", "40007004=00034000", "40023808~2")
H743_READY = ("58024400=02000025", "58024804=2000", "58024818=2000", "58024410~3")


@needs_host_compiler
def test_f746_runs_at_its_full_clock(tmp_path: Path) -> None:
    """Fields as RM0385 defines them, read from what the registers hold in the end."""
    found = trace("stm32f746", tmp_path, *F746_READY)
    pll, cfgr = found.final[0x4002_3804], found.final[0x4002_3808]
    assert field(pll, 22, 22) == 0  # the source is the HSI, 16 MHz
    into = 16_000_000 / field(pll, 5, 0)
    vco = into * field(pll, 14, 6)
    assert 950_000 <= into <= 2_100_000  # DS10916, main PLL characteristics
    assert 100e6 <= vco <= 432e6
    clock = vco / (2 * field(pll, 17, 16) + 2)
    assert clock == found.clock_hz == load_board("stm32f746").clock_hz
    assert field(cfgr, 1, 0) == 2 and field(cfgr, 7, 4) == 0  # PLL, not divided
    dividers = {0: 1, 4: 2, 5: 4, 6: 8, 7: 16}
    apb1 = clock / dividers[field(cfgr, 12, 10)]
    assert apb1 <= 54e6 and clock / dividers[field(cfgr, 15, 13)] <= 108e6
    assert found.tim2_hz == 2 * apb1  # RM0385, clock tree: times 2 unless APB1 is not divided
    acr = found.final[0x4002_3C00]
    assert field(acr, 3, 0) == 7  # above 210 MHz, 2.7 to 3.6 V
    assert field(found.final[0x4000_7000], 17, 14) == 0b1111  # scale 1, over-drive, switched over


@needs_host_compiler
def test_f746_raises_wait_states_and_voltage_before_the_clock(tmp_path: Path) -> None:
    found = trace("stm32f746", tmp_path, *F746_READY)
    switched = found.first(lambda a, v: a == 0x4002_3808 and v & 3 == 2)
    assert found.first(lambda a, v: a == 0x4002_3C00 and v & 0xF == 7) < switched
    assert found.first(lambda a, v: a == 0x4000_7004 and v >> 17 & 1) < switched


@needs_host_compiler
@pytest.mark.parametrize(
    "defines, base, pins, select",
    [
        # UM1974: PD8 and PD9 are USART3; UM1907: PA9 and PB7 are USART1. Function 7 in DS10916.
        ((), 0x4000_4800, {(0x4002_0C00, 8, 7), (0x4002_0C00, 9, 7)}, 4),
        (("-DVCP_DISCOVERY",), 0x4001_1000, {(0x4002_0000, 9, 7), (0x4002_0400, 7, 7)}, 0),
    ],
)
def test_f746_line(
    tmp_path: Path, defines: tuple[str, ...], base: int, pins: set[tuple[int, ...]], select: int
) -> None:
    found = trace("stm32f746", tmp_path, *F746_READY, defines=defines)
    assert (found.pins, found.usart) == (frozenset(pins), (base, 16_000_000))
    assert field(found.final[0x4002_3890], select + 1, select) == 2  # from the HSI
    for port, _, _ in pins:
        assert found.final[0x4002_3830] >> ((port - 0x4002_0000) // 0x400) & 1


@needs_host_compiler
@pytest.mark.parametrize(
    "revision, clock_hz, wait_states, boost", [(0x2003, 480e6, 4, 1), (0x1003, 400e6, 2, 0)]
)
def test_h743_runs_at_the_full_clock_of_its_revision(
    tmp_path: Path, revision: int, clock_hz: float, wait_states: int, boost: int
) -> None:
    """Fields as RM0433 defines them, read from what the registers hold in the end."""
    found = trace("stm32h743", tmp_path, f"5C001000={revision:x}6450", *H743_READY)
    select, config, divide = (found.final[0x5802_4400 + at] for at in (0x28, 0x2C, 0x30))
    assert field(select, 1, 0) == 0  # the source is the HSI, 64 MHz
    into = 64e6 / field(select, 9, 4)
    low, high = {1: (2e6, 4e6), 2: (4e6, 8e6), 3: (8e6, 16e6)}[field(config, 3, 2)]
    assert low <= into <= high
    vco = into * (field(divide, 8, 0) + 1)
    assert field(config, 1, 1) == 0 and 192e6 <= vco <= (960e6 if boost else 836e6)  # DS12110
    assert field(config, 16, 16) == 1  # P is on
    assert vco / (field(divide, 15, 9) + 1) == found.clock_hz == clock_hz
    assert load_board("stm32h743").clock_hz == 480_000_000
    assert field(found.final[0x5802_4410], 2, 0) == 3  # PLL1
    d1 = found.final[0x5802_4418]
    assert (field(d1, 11, 8), field(d1, 3, 0)) == (0, 8)  # core / 1, AXI / 2
    apb = (field(d1, 6, 4), field(found.final[0x5802_441C], 6, 4))
    apb += (field(found.final[0x5802_441C], 10, 8), field(found.final[0x5802_4420], 6, 4))
    assert apb == (4, 4, 4, 4)  # every APB at half of AXI, at most 120 MHz
    assert found.tim2_hz == clock_hz / 2
    assert field(found.final[0x5200_2000], 5, 0) == 0b10_0000 | wait_states
    assert field(found.final[0x5802_4818], 15, 14) == 3  # VOS1, from which boost makes VOS0
    assert found.final.get(0x5800_042C, 0) & 1 == boost
    assert found.final.get(0x5100_8108, 0) == 1 - boost  # early chips: AXI SRAM erratum, ES0392
    switched = found.first(lambda a, v: a == 0x5802_4410 and v & 7 == 3)
    assert found.first(lambda a, v: a == 0x5200_2000 and v & 0xF == wait_states) < switched


@needs_host_compiler
def test_h743_line(tmp_path: Path) -> None:
    found = trace("stm32h743", tmp_path, "5C001000=20036450", *H743_READY)
    # UM1974 and UM2407: PD8 and PD9 are USART3. Function 7 in DS12110.
    assert found.pins == {(0x5802_0C00, 8, 7), (0x5802_0C00, 9, 7)}
    assert found.usart == (0x4000_4800, 64_000_000)
    assert field(found.final[0x5802_4454], 2, 0) == 3  # from the HSI
    assert found.final[0x5802_44E0] >> 3 & 1 and found.final[0x5802_44E8] >> 18 & 1
