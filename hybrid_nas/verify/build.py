"""From an exported C project to a program that a board, real or emulated, can be asked by.

Two programs are linked from the same sources: the network as it is flashed, and the network with a
look at each operator (``HNAS_TRACE``). Both have the verifying program in memories of its own, so
that FLASH and SRAM hold the network alone (``firmware/verify/link.ld``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hybrid_nas.files import atomic_write
from hybrid_nas.resources import firmware_dir
from hybrid_nas.verify.boards import Memory, VerifyBoard
from hybrid_nas.verify.compiler import Compiler
from hybrid_nas.verify.elf import ElfFile, read_elf

NETWORK_STACK_BYTES = 504
"""Stack that the linker keeps free for a network that runs whole: what runtime ``hnas-c`` counts
for stack and variables (`fixed_bytes`), less 8 for variables. The scan shows how much is used."""

# Those of firmware/Makefile: latency tables are of kernels that were compiled so.
_KERNEL_FLAGS = (
    *("-std=c11", "-O2", "-fno-schedule-insns", "-mthumb", "-ffreestanding", "-fno-common"),
    *("-ffunction-sections", "-fdata-sections", "-Wall", "-Wextra", "-Werror"),
)
_OWN_FLAGS = ("-masm-syntax-unified", "-fno-tree-loop-distribute-patterns")
_OWN_SOURCES = (
    *("verify/main.c", "verify/measure.c"),
    *("src/text.c", "src/crc32.c", "src/generator.c"),
)
_NETWORK_SOURCES = ("src/startup.c", "src/libc.c")  # what any program needs
_LINK_FLAGS = (
    *("-mthumb", "-nostdlib", "-static", "-Wl,--gc-sections", "-Wl,--build-id=none"),
    "-Wl,--no-warn-rwx-segments",
)


@dataclass(frozen=True)
class FlashSizes:
    """Bytes in flash by section: code and constants, and what variables start with."""

    code_bytes: int
    data_bytes: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.code_bytes + self.data_bytes


@dataclass(frozen=True)
class Program:
    """A linked program.

    Attributes:
        path: the ELF file.
        build: hash of its sources, flags and compiler; the program itself says it too.
        flash: what of it is the network's.
    """

    path: Path
    build: str
    flash: FlashSizes


@dataclass(frozen=True)
class Project:
    """An exported C project.

    Attributes:
        sources: its C files, without a main.
        include: folders of its headers.
        stack_bytes: that the linker keeps free for it.
    """

    sources: tuple[Path, ...]
    include: tuple[Path, ...]
    stack_bytes: int = NETWORK_STACK_BYTES


def build_program(
    project: Project,
    board: VerifyBoard,
    out: Path,
    *,
    traced: bool = False,
    sram_bytes: int | None = None,
    flash_bytes: int | None = None,
) -> Program:
    """Compile and link.

    Args:
        project: the network.
        board: what for.
        out: folder for objects and the ELF file.
        traced: with ``HNAS_TRACE``.
        sram_bytes, flash_bytes: what the network may take; the board's sizes by default.

    Raises:
        DoesNotFitError: it takes more.
        InputError: no compiler, or the board has less memory than is asked for.
        HybridNasError: it does not build.
    """
    compiler, firmware = Compiler.find(), firmware_dir()
    memories = board.memories(sram_bytes, flash_bytes)
    folders = [*project.include, firmware, firmware / "src", firmware / "verify"]
    folders += [firmware / folder for folder in board.include]
    flags = [*_KERNEL_FLAGS, *board.flags, *(f"-I{folder}" for folder in folders)]
    flags += ["-DHNAS_TRACE"] * traced
    build = _build_hash(project, compiler, board, traced)
    own_flags = [*flags, *_OWN_FLAGS, *(f"-D{define}" for define in board.defines)]
    own_flags.append(f'-DHNAS_BUILD="{build}"')
    if isinstance(board.own_data, tuple):
        own_flags.append("-DCOPY_BYTES=HNAS_ARENA_BYTES")  # no output is larger

    def objects(sources: Sequence[Path], flags: Sequence[str]) -> list[Path]:
        return [compiler.compile(source, out / "objects", flags) for source in sources]

    place = out / ("traced" if traced else "plain")
    own = [firmware / name for name in (*_OWN_SOURCES, *board.sources)]
    library = compiler.archive(place / "libown.a", objects(own, own_flags))
    start = [firmware / name for name in _NETWORK_SOURCES]
    network = objects(project.sources, flags) + objects(start, [*flags, *_OWN_FLAGS])
    atomic_write(place / "memory.ld", memory_script(memories, project.stack_bytes))
    script = ["-T", str(firmware / "verify" / "link.ld"), f"-L{place}"]
    room = {"flash": memories[0].bytes, "SRAM": memories[1].bytes}
    elf = compiler.link(
        place / "verify.elf",
        [*board.flags, *_LINK_FLAGS, *script, *map(str, network), str(library), "-lgcc"],
        room,
    )
    return Program(elf, build, flash_sizes(read_elf(elf)))


def flash_sizes(elf: ElfFile) -> FlashSizes:
    """What a program linked by ``link.ld`` has in FLASH."""
    return FlashSizes(elf.bytes_of(".text"), elf.bytes_of(".data"))


def memory_script(memories: Sequence[Memory], stack_bytes: int) -> str:
    """The linker script's part that says what memories there are."""
    regions = "\n".join(
        f"    {m.name} (rwx) : ORIGIN = {m.address:#010x}, LENGTH = {m.bytes}" for m in memories
    )
    return (
        f"/* Written by hybrid-nas verify. */\nnetwork_stack_bytes = {stack_bytes};\n"
        f"MEMORY\n{{\n{regions}\n}}\n"
    )


def _build_hash(project: Project, compiler: Compiler, board: VerifyBoard, traced: bool) -> str:
    digest = hashlib.sha256(f"{compiler.version} {board} {traced} {_KERNEL_FLAGS}".encode())
    headers = [h for folder in project.include for h in sorted(folder.glob("*.h"))]
    own = [firmware_dir() / name for name in (*_OWN_SOURCES, *_NETWORK_SOURCES)]
    for path in (*project.sources, *headers, *own):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
