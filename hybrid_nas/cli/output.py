"""What commands print: one JSON document on standard output, or text for people.

With ``--json`` nothing but the document may be on standard output, so a command writes text for
people to `console(json=...)`, which is standard error then. rich is imported when first needed.
"""

from __future__ import annotations

import dataclasses
import json as json_module
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_WIDTH_WITHOUT_TERMINAL = 240


def emit_json(document: object) -> None:
    """Print `document` as the one JSON document on standard output."""
    sys.stdout.write(json_text(document))
    sys.stdout.flush()


def json_text(document: object) -> str:
    """`document` as JSON text, indented by two, with a newline at the end.

    NumPy numbers and arrays, dataclasses, mappings, sets and paths are written as what they stand
    for; NaN and infinities, which JSON does not have, as null.

    >>> print(json_text({"accuracy": float("nan"), "coverages": (0.9, 0.7)}), end="")
    {
      "accuracy": null,
      "coverages": [
        0.9,
        0.7
      ]
    }
    """
    return json_module.dumps(_plain(document), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def out_console() -> Console:
    """A console on standard output."""
    return _console(stderr=False)


def err_console() -> Console:
    """A console on standard error."""
    return _console(stderr=True)


def console(*, json: bool) -> Console:
    """Where text for people goes: standard error if standard output holds a JSON document."""
    return err_console() if json else out_console()


def make_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    numeric: Iterable[str] = (),
) -> Table:
    """A table of plain text (nothing in it is read as markup); `numeric` columns align right.

    Cells are printed by ``str``, None as an en dash.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    right = set(numeric)
    table = Table(title=Text(title) if title else None, title_justify="left", box=SIMPLE_HEAD)
    for name in columns:
        table.add_column(Text(name), justify="right" if name in right else "left")
    for row in rows:
        table.add_row(*(Text("–" if cell is None else str(cell)) for cell in row))
    return table


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    # rich takes 80 columns for a pipe or a file, which cuts tables short that somebody will grep.
    narrow = not stream.isatty() and "COLUMNS" not in os.environ
    width = _WIDTH_WITHOUT_TERMINAL if narrow else None
    return Console(stderr=stderr, highlight=False, width=width)


def _plain(value: Any) -> Any:
    """`value` in terms of what the json module writes."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = (field.name for field in dataclasses.fields(value))
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, Set):
        return [_plain(item) for item in sorted(value)]
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy arrays and numbers, without importing NumPy to ask
        return _plain(value.tolist())
    raise TypeError(f"{type(value).__name__} has no JSON form: {value!r}")
