"""Tables in plain text: cells under headers, whatever their order, widths and alignment."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

_CELL = re.compile(r"\S+(?: \S+)*")  # two spaces end a cell
_MOST_CELLS = 14  # more than any tool prints, few enough to try every assignment


@dataclass(frozen=True)
class _Cell:
    text: str
    start: int
    end: int

    def gap(self, other: _Cell) -> int:
        """Distance of two cells; 0 where they overlap, less where their edges agree."""
        apart = max(self.start, other.start) - min(self.end, other.end)
        aligned = self.start == other.start or self.end == other.end
        return max(0, apart) * 2 + (0 if aligned else 1)


@dataclass(frozen=True)
class Header:
    """Column names and where they stand."""

    cells: tuple[_Cell, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names in lower case, from left to right."""
        return tuple(cell.text.lower() for cell in self.cells)

    def row(self, line: str) -> Mapping[str, str]:
        """The cells of a line by the name of the header that they stand under.

        Cells that are missing are not there; cells beyond the columns are dropped. Of the ways to
        assign cells in order, the one with the least distance between cells and headers is taken.
        """
        cells = cells_of(line)
        if not cells or len(cells) > _MOST_CELLS:
            return {}
        few, many = sorted((self.cells, cells), key=len)
        best = min(
            combinations(range(len(many)), len(few)),
            key=lambda places: sum(one.gap(many[at]) for one, at in zip(few, places, strict=True)),
        )
        chosen: Sequence[_Cell] = [many[at] for at in best]
        heads, found = (self.cells, chosen) if few is self.cells else (chosen, cells)
        return {head.text.lower(): cell.text for head, cell in zip(heads, found, strict=True)}


def cells_of(line: str) -> tuple[_Cell, ...]:
    """The cells of a line, which at least two spaces or a bar separate."""
    flat = line.expandtabs().replace("|", " ")
    return tuple(_Cell(match[0], *match.span()) for match in _CELL.finditer(flat))


def header_of(line: str) -> Header | None:
    """A line as a header; None where it has fewer than two cells, or too many."""
    cells = cells_of(line)
    return Header(cells) if 2 <= len(cells) <= _MOST_CELLS else None
