"""Latency tables as files, and the ones that come with the program."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from math import inf
from pathlib import Path

from hybrid_nas.errors import InputError
from hybrid_nas.files import atomic_write
from hybrid_nas.hardware.latency_document import SCHEMA, parse_table, table_text
from hybrid_nas.hardware.latency_table import LatencyTable
from hybrid_nas.hardware.scales import scaled, shipped_scales
from hybrid_nas.resources import latency_table_dir
from hybrid_nas.yaml_documents import file_yaml

_DEFAULT_RUNTIME = "tinyengine"


def shipped_tables() -> tuple[LatencyTable, ...]:
    """The tables that come with the program, in alphabetical order of their files."""
    return _load_all(latency_table_dir())


@cache
def _load_all(folder: Path) -> tuple[LatencyTable, ...]:
    return tuple(load_table(path) for path in sorted(folder.glob("*.yaml")))


@cache
def tables_of(board: str) -> tuple[LatencyTable, ...]:
    """The tables of a board: files, then those that shipped scales make of shipped counts.

    A scale for counts of another kernel build than the shipped ones makes no table.
    """
    shipped = shipped_tables()
    counts = {table.identity: table for table in shipped}
    made = (
        scaled(counts[scale.counts], scale)
        for scale in shipped_scales()
        if scale.board == board and scale.counts in counts
    )
    return (*(table for table in shipped if table.identity.board == board), *made)


def find_table(board: str, runtime: str) -> LatencyTable | None:
    """The best of a board's tables for a runtime, whichever version of it; None without any.

    A measured table comes first: its rows are the operators' own. Whether a number was emulated or
    predicted says how it came to be, not how good it is; both kinds are compared with whole
    networks that they were not fitted to, so between them the smaller mean error decides.
    """
    found = [table for table in tables_of(board) if table.identity.runtime == runtime]
    return min(found, key=_doubt, default=None)


def _doubt(table: LatencyTable) -> tuple[bool, float]:
    validation = table.validation
    return table.kind != "measured", inf if validation is None else validation.mean


def table_for(board: str, runtime: str, path: Path | None = None) -> LatencyTable | None:
    """The user's table if a path is given, else the shipped one, else None.

    Raises:
        InputError: the file cannot be read, or is for another board or runtime.
    """
    return find_table(board, runtime) if path is None else load_table(path).require(board, runtime)


def named_table(name: str, runtime: str | None = None) -> LatencyTable:
    """The table that a user means: the file of that name, or a shipped table of that board.

    Args:
        name: a path, or a board's id, in any case.
        runtime: which of the board's tables, in any case; by default TinyEngine's, or the first.

    Raises:
        InputError: there is no such table; the message says which there are.
    """
    path = Path(name)
    if path.suffix.lower() in (".yaml", ".yml") or path.is_file():
        table = load_table(path)
        return table if runtime is None else table.require(table.identity.board, runtime)
    board = name.strip().lower()
    runtimes = _runtimes_of(board)
    if not runtimes:
        boards = sorted(
            {table.identity.board for table in shipped_tables()}
            | {scale.board for scale in shipped_scales()}
        )
        raise InputError(
            f"no file and no shipped latency table is called {name!r}: give a YAML file or one of "
            f"{', '.join(boards)}"
        )
    wanted = runtime or (_DEFAULT_RUNTIME if _DEFAULT_RUNTIME in runtimes else runtimes[0])
    found = find_table(board, wanted.strip().lower())
    if found is None:
        raise InputError(
            f"no latency table of {board} with runtime {wanted!r}: give one of "
            f"{', '.join(runtimes)}"
        )
    return found


def _runtimes_of(board: str) -> Sequence[str]:
    return list(dict.fromkeys(table.identity.runtime for table in tables_of(board)))


# -- files


def load_table(path: Path) -> LatencyTable:
    """The table in a YAML file.

    Raises:
        InputError: it cannot be read, or something in it is wrong; the message names the row.
    """
    return parse_table(file_yaml(path, SCHEMA), path.stem)


def save_table(table: LatencyTable, path: Path, comment: str = "") -> None:
    """Write `table` to `path`, with `comment` in front."""
    atomic_write(path, "".join(f"# {line}\n" for line in comment.splitlines()) + table_text(table))


def table_fingerprint(table: LatencyTable) -> str:
    """Digest of everything in a table but its name."""
    return hashlib.sha256(table_text(table).encode()).hexdigest()
