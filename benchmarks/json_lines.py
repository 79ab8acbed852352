"""Results that are kept as they come: a line of JSON each, so that nothing is done twice."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def read_lines(path: Path | None) -> list[dict[str, Any]]:
    """All records of a file; none if it is not there, or no file is kept."""
    if path is None or not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def add_lines(path: Path | None, records: Iterable[dict[str, Any]]) -> None:
    """Append records, if a file is kept."""
    if path is not None:
        with path.open("a") as stream:
            stream.writelines(json.dumps(record) + "\n" for record in records)
