"""The genes of a base as a table: one row per stage, blocks in order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_STAGE_GENE = re.compile(r"([a-z])(\d{1,3})(?:\.(\d{1,3}))?")
_COLUMNS = {"k": "kernel sizes", "e": "expansion ratios", "w": "width"}
_DEPTH = "d"


@dataclass(frozen=True)
class Stages:
    """Table of stages: `rows` hold the stage, its number of blocks, and a text per column."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    others: tuple[tuple[str, str], ...]


def stages(genes: Mapping[str, Any]) -> Stages:
    """Genes such as ``d1``, ``k1.2`` and ``e1.2`` by stage; what has no stage is in `others`.

    >>> stages({"resolution": 48, "d1": 2, "k1.1": 3, "k1.2": 7}).rows
    (('1', '2', '3 · 7'),)
    """
    placed: dict[int, dict[str, dict[int, str]]] = {}
    others = []
    for name, value in genes.items():
        match = _STAGE_GENE.fullmatch(name)
        if match is None or isinstance(value, Mapping | list):
            others.append((name, str(value)))
            continue
        letter, stage, place = match[1], int(match[2]), int(match[3] or 0)
        placed.setdefault(stage, {}).setdefault(letter, {})[place] = str(value)
    letters = sorted(
        {letter for row in placed.values() for letter in row} - {_DEPTH},
        key=lambda letter: (letter not in _COLUMNS, [*_COLUMNS, letter].index(letter)),
    )
    rows = tuple(
        (str(stage), _blocks(row), *(_in_order(row.get(letter, {})) for letter in letters))
        for stage, row in sorted(placed.items())
    )
    columns = ("stage", "blocks", *(_COLUMNS.get(letter, letter) for letter in letters))
    return Stages(columns, rows, tuple(others))


def _blocks(row: Mapping[str, Mapping[int, str]]) -> str:
    """The depth gene, or the number of blocks that have genes of their own."""
    if _DEPTH in row:
        return _in_order(row[_DEPTH])
    return str(max((place for places in row.values() for place in places), default=0) or 1)


def _in_order(places: Mapping[int, str]) -> str:
    return " · ".join(text for _, text in sorted(places.items()))
