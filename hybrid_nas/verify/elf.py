"""Sizes of an ELF file's sections, read from the file itself (System V ABI, 32 bits)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from hybrid_nas.errors import HybridNasError

_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
_SECTION = struct.Struct("<10I")
_SYMBOL = struct.Struct("<IIIBBH")
_IDENT = b"\x7fELF\x01\x01"  # 32 bits, little endian
_SYMTAB, _NOBITS, _ALLOC = 2, 8, 2


@dataclass(frozen=True)
class Section:
    """One section that takes memory; `stored` is false where nothing of it is in the file."""

    name: str
    address: int
    bytes: int
    stored: bool


@dataclass(frozen=True)
class ElfFile:
    """What a linked program takes.

    Attributes:
        sections: those with memory, by name.
        symbols: value and size of every named symbol.
    """

    sections: dict[str, Section]
    symbols: dict[str, tuple[int, int]]

    def bytes_of(self, *names: str) -> int:
        """Sum of the sizes of sections; one that is not there has none."""
        return sum(self.sections[name].bytes for name in names if name in self.sections)


def read_elf(path: Path) -> ElfFile:
    """Read a linked program for a 32-bit little-endian machine.

    Raises:
        HybridNasError: it is none.
    """
    data = path.read_bytes()
    try:
        return _parse(data)
    except (struct.error, IndexError, ValueError) as error:
        raise HybridNasError(f"{path} is no 32-bit little-endian ELF file: {error}") from error


def _parse(data: bytes) -> ElfFile:
    if data[: len(_IDENT)] != _IDENT:
        raise ValueError("wrong magic")
    fields = _HEADER.unpack_from(data)
    start, size, count, names_index = fields[6], fields[11], fields[12], fields[13]
    headers = [_SECTION.unpack_from(data, start + size * i) for i in range(count)]
    names_at = headers[names_index][4]
    sections: dict[str, Section] = {}
    symbols: dict[str, tuple[int, int]] = {}
    for name_at, kind, flags, address, offset, length, link, *_ in headers:
        if flags & _ALLOC:
            name = _text(data, names_at + name_at)
            sections[name] = Section(name, address, length, kind != _NOBITS)
        if kind == _SYMTAB:
            strings_at = headers[link][4]
            for at in range(offset, offset + length, _SYMBOL.size):
                text_at, value, extent, *_ = _SYMBOL.unpack_from(data, at)
                if text_at:
                    symbols[_text(data, strings_at + text_at)] = (value, extent)
    return ElfFile(sections, symbols)


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode()
