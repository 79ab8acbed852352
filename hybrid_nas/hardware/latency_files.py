"""Latency tables as files, and the ones that come with the program."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import get_args

from hybrid_nas.errors import InputError
from hybrid_nas.files import atomic_write
from hybrid_nas.hardware.latency_document import SCHEMA, parse_table, table_text
from hybrid_nas.hardware.latency_table import LatencyKind, LatencyTable
from hybrid_nas.resources import latency_table_dir
from hybrid_nas.yaml_documents import file_yaml

_DEFAULT_RUNTIME = "tinyengine"


def shipped_tables() -> tuple[LatencyTable, ...]:
    """The tables that come with the program, in alphabetical order of their files."""
    return _load_all(latency_table_dir())


@cache
def _load_all(folder: Path) -> tuple[LatencyTable, ...]:
    return tuple(load_table(path) for path in sorted(folder.glob("*.yaml")))


def find_table(board: str, runtime: str) -> LatencyTable | None:
    """The shipped table of a board and a runtime; a measured one first, then an emulated one."""
    order = get_args(LatencyKind)
    found = [
        table
        for table in shipped_tables()
        if (table.identity.board, table.identity.runtime) == (board, runtime)
    ]
    return min(found, key=lambda table: order.index(table.kind), default=None)


def table_for(board: str, runtime: str, path: Path | None = None) -> LatencyTable | None:
    """The user's table if a path is given, else the shipped one, else None.

    Raises:
        InputError: the file cannot be read, or is for another board or runtime.
    """
    return find_table(board, runtime) if path is None else load_table(path).require(board, runtime)


def named_table(name: str, runtime: str | None = None) -> LatencyTable:
    """The table that a user means: the file of that name, or a shipped table of that board.

    Args:
        name: a path, or a board's id.
        runtime: which of the board's tables; by default TinyEngine's, or the board's first.

    Raises:
        InputError: there is no such table; the message says which there are.
    """
    path = Path(name)
    if path.suffix.lower() in (".yaml", ".yml") or path.is_file():
        table = load_table(path)
        return table if runtime is None else table.require(table.identity.board, runtime)
    runtimes = _runtimes_of(name)
    if not runtimes:
        boards = sorted({table.identity.board for table in shipped_tables()})
        raise InputError(
            f"no file and no shipped latency table is called {name!r}: give a YAML file or one of "
            f"{', '.join(boards)}"
        )
    wanted = runtime or (_DEFAULT_RUNTIME if _DEFAULT_RUNTIME in runtimes else runtimes[0])
    found = find_table(name, wanted)
    if found is None:
        raise InputError(
            f"no latency table of {name} with runtime {wanted!r}: give one of {', '.join(runtimes)}"
        )
    return found


def _runtimes_of(board: str) -> Sequence[str]:
    tables = [table for table in shipped_tables() if table.identity.board == board]
    return list(dict.fromkeys(table.identity.runtime for table in tables))


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
