"""URLs of storages, as text; nothing of Optuna is imported for it."""

from __future__ import annotations

import re
from pathlib import Path

JOURNAL = "journal:///"
"""What the URL of a journal file begins with."""
_PASSWORD = re.compile(r"(://[^:/@\s]*):[^@/\s]*@")


def sqlite_url(path: Path) -> str:
    """The storage URL of a SQLite file."""
    return f"sqlite:///{path}"


def without_password(text: str) -> str:
    """A URL, or a text with URLs, as it may be shown and stored.

    >>> without_password("postgresql://me:secret@host/db")
    'postgresql://me:***@host/db'
    """
    return _PASSWORD.sub(r"\1:***@", text)
