"""Optuna's journal file, made to survive a kill at any moment.

Optuna's own lock is a file that a killed process leaves behind, and everybody else waits half a
minute for it; a lock of the kernel's ends with its process. And a line that was cut short by a kill
would make the file unreadable with the next line that follows: it is taken away before that.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO, Any

from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock


class KernelLock(BaseJournalFileLock):
    """``flock`` on a file beside the journal."""

    def __init__(self, journal: Path) -> None:
        self._path = journal.with_name(f".{journal.name}.lock")
        self._stream: IO[bytes] | None = None

    def acquire(self) -> bool:
        """Wait for the lock and take it."""
        stream = self._path.open("wb")
        fcntl.flock(stream, fcntl.LOCK_EX)
        self._stream = stream
        return True

    def release(self) -> None:
        """Let others have it."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


class JournalFile(JournalFileBackend):
    """A journal in a file; see the module's text."""

    def __init__(self, path: str) -> None:
        self._journal = Path(path)
        self._journal.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(path, KernelLock(self._journal))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append one line for each entry."""
        with self._journal.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            whole = not size or (stream.seek(size - 1), stream.read(1))[1] == b"\n"
        if not whole:
            self._drop_half_line()
        super().append_logs(logs)

    def _drop_half_line(self) -> None:
        self._lock.acquire()  # whoever is writing this line is done then, or dead
        try:
            data = self._journal.read_bytes()
            if not data.endswith(b"\n"):
                os.truncate(self._journal, data.rfind(b"\n") + 1)
        finally:
            self._lock.release()
