"""URLs of storages, as text; nothing of Optuna is imported for it."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote, unquote

SQLITE, JOURNAL = "sqlite:///", "journal:///"
"""What the URLs of a SQLite file and of a journal begin with."""
_PASSWORD = re.compile(r"(://[^:/@\s]*):[^@/\s]*@")


def sqlite_url(path: Path) -> str:
    """The storage URL of a SQLite file, whatever its name.

    >>> sqlite_url(Path("runs/is it 50%?/study.db"))
    'sqlite:///runs/is it 50%25%3F/study.db'
    """
    return SQLITE + quote(str(path), safe="/ ")


def file_of(url: str) -> Path | None:
    """The file that a storage lies in; None for a server."""
    if url.startswith(JOURNAL):
        return Path(url.removeprefix(JOURNAL))
    if url.startswith(SQLITE):
        return Path(unquote(url.removeprefix(SQLITE).partition("?")[0]))
    return None


def absolute_url(url: str) -> str:
    """The same storage from any directory."""
    for prefix in (SQLITE, JOURNAL):
        if url.startswith(prefix):
            return prefix + str(Path(url.removeprefix(prefix)).absolute())
    return url


def without_password(text: str) -> str:
    """A URL, or a text with URLs, as it may be shown and stored.

    >>> without_password("postgresql://me:secret@host/db")
    'postgresql://me:***@host/db'
    """
    return _PASSWORD.sub(r"\1:***@", text)
