"""The cross-compiler: found, called, and its complaints put into words."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hybrid_nas.errors import HybridNasError, InputError
from hybrid_nas.files import sha256_of_text
from hybrid_nas.units import describe_bytes

PREFIX = "arm-none-eabi-"
_OVERFLOW = re.compile(r"region `(\w+)' overflowed by (\d+) bytes?")
_MEMORY_WORDS = {"FLASH": "flash", "SRAM": "SRAM"}
_LINES_SHOWN = 3


class DoesNotFitError(HybridNasError):
    """The network is too large for the memories that it was linked for.

    Attributes:
        excess: bytes too many, by memory: ``flash``, ``SRAM``.
    """

    def __init__(self, excess: Mapping[str, int], room: Mapping[str, int]) -> None:
        self.excess = dict(excess)
        parts = [
            f"{describe_bytes(bytes)} too large for the {memory} of {describe_bytes(room[memory])}"
            for memory, bytes in excess.items()
        ]
        super().__init__(
            f"the network does not fit: {' and '.join(parts)}; choose a smaller pair of the "
            "front, or search with smaller limits"
        )


@dataclass(frozen=True)
class Compiler:
    """A GNU toolchain for Arm microcontrollers.

    Attributes:
        gcc, ar: paths of the programs.
        version: of the compiler.
    """

    gcc: str
    ar: str
    version: str

    @classmethod
    def find(cls) -> Compiler:
        """The one on the path.

        Raises:
            InputError: there is none; the message says how to install it.
        """
        gcc, ar = shutil.which(f"{PREFIX}gcc"), shutil.which(f"{PREFIX}ar")
        if gcc is None or ar is None:
            raise InputError(
                f"verify compiles the pair, and there is no {PREFIX}gcc here: install it "
                "(Debian, Ubuntu: apt install gcc-arm-none-eabi; "
                "macOS: brew install --cask gcc-arm-embedded)"
            )
        said = subprocess.run(
            [gcc, "-dumpfullversion"], capture_output=True, text=True, check=False
        )
        return cls(gcc, ar, said.stdout.strip())

    def compile(self, source: Path, folder: Path, flags: Sequence[str]) -> Path:
        """One file to one object, whose name says what it was made from; one that is there is kept.

        Raises:
            HybridNasError: the compiler complains; its first lines.
        """
        text = self._call([self.gcc, *flags, "-E", "-P", str(source)], source.name).stdout
        options = [flag for flag in flags if not flag.startswith(("-I", "-D"))]  # are in the text
        made_from = "\0".join([self.version, *options, text])
        target = folder / f"{source.stem}-{sha256_of_text(made_from)[:16]}.o"
        if not target.exists():
            folder.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(".partial")
            self._call([self.gcc, *flags, "-c", "-o", str(partial), str(source)], source.name)
            partial.replace(target)
        return target

    def archive(self, target: Path, objects: Sequence[Path]) -> Path:
        """Objects to a library, made anew."""
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        self._call([self.ar, "rcsD", str(target), *map(str, objects)], target.name)
        return target

    def link(self, target: Path, arguments: Sequence[str], room: Mapping[str, int]) -> Path:
        """A program.

        Args:
            target: the ELF file.
            arguments: objects, libraries and flags.
            room: bytes of ``flash`` and ``SRAM``, for messages.

        Raises:
            DoesNotFitError: a memory overflows; by how much.
            HybridNasError: the linker complains of something else.
        """
        found = self._run([self.gcc, *arguments, "-o", str(target)])
        if found.returncode:
            excess = overflows(found.stderr)
            if excess:
                raise DoesNotFitError(excess, room)
            raise _failed(target.name, found.stderr)
        return target

    def _call(self, command: Sequence[str], what: str) -> subprocess.CompletedProcess[str]:
        found = self._run(command)
        if found.returncode:
            raise _failed(what, found.stderr)
        return found

    @staticmethod
    def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"LC_ALL": "C"},  # `overflows` reads what the linker says
        )


def overflows(said: str) -> dict[str, int]:
    """Bytes too many, by memory, from what a GNU linker says.

    >>> overflows("ld: region `FLASH' overflowed by 1024 bytes")
    {'flash': 1024}
    """
    found = {region: int(number) for region, number in _OVERFLOW.findall(said)}
    return {_MEMORY_WORDS.get(region, region): number for region, number in found.items()}


def _failed(what: str, said: str) -> HybridNasError:
    lines = [line for line in said.splitlines() if "error" in line] or said.splitlines()
    return HybridNasError(f"{what} does not build: {'; '.join(lines[:_LINES_SHOWN])}")
