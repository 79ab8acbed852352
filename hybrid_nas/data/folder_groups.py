"""Source groups of image files: by an expression on the file name, or by a table."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from hybrid_nas.data.splitting import PoolName
from hybrid_nas.errors import InputError


def group_names_by_regex(paths: Sequence[Path], pattern: str) -> list[str]:
    """The group of each file: what `pattern` finds in its name.

    The first bracket of the expression counts, or all it matches if it has none.

    Raises:
        InputError: if the expression is malformed or finds nothing in some file name.

    Example:
        >>> group_names_by_regex([Path("user7_003.png")], r"user(\\d+)")
        ['7']
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"--group {pattern!r} is not a regular expression: {error}") from error
    names = []
    for path in paths:
        found = compiled.search(path.name)
        name = found and (found[1] if compiled.groups else found[0])
        if not name:
            raise InputError(
                f"--group {pattern!r} finds no group in the file name of {path}: widen the "
                "expression, so that every image has a group"
            )
        names.append(name)
    return names


def group_names_by_csv(
    table: Path, paths: Mapping[PoolName, Sequence[Path]], notes: list[str]
) -> dict[PoolName, list[str]]:
    """The group of each file by a CSV table with the columns ``path`` and ``group``.

    Paths in it are relative to the table's folder, with forward slashes. Rows for files that are
    not there are noted in `notes`.

    Raises:
        InputError: if the table cannot be read or an image is not in it.
    """
    group_of = _read_table(table)
    names: dict[PoolName, list[str]] = {}
    for pool, files in paths.items():
        names[pool] = []
        for path in files:
            key = path.relative_to(table.parent).as_posix()
            if key not in group_of:
                raise InputError(f"{table} has no row for {key}: every image needs one")
            names[pool].append(group_of[key])
    unused = len(group_of) - sum(len(files) for files in paths.values())
    if unused:
        notes.append(f"{table.name} has {unused} rows for images that are not in the folder")
    return names


def _read_table(table: Path) -> dict[str, str]:
    group_of: dict[str, str] = {}
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            rows = csv.DictReader(stream, strict=True)
            if not {"path", "group"} <= set(rows.fieldnames or ()):
                raise InputError(
                    f"{table} begins with the columns {', '.join(rows.fieldnames or ())}: expected "
                    "a first line path,group"
                )
            for row in rows:
                path, group = row["path"], row["group"]
                if not path or not group:
                    raise InputError(f"{table} line {rows.line_num} lacks a path or a group")
                if group_of.setdefault(path, group) != group:
                    raise InputError(f"{table} line {rows.line_num} gives {path} a second group")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table} cannot be read as CSV: {error}") from error
    return group_of
