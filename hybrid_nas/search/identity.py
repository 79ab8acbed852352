"""Who scores a trial: a process of a machine, told apart from every other one."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

_PROC = Path("/proc")


@dataclass(frozen=True)
class Identity:
    """A worker process.

    Attributes:
        host: the machine's name, for people.
        machine: tells machines, their boots and their containers apart: process numbers mean the
            same where this is the same.
        pid: process number there.
        started: when the process began, in the kernel's ticks; numbers are used again.
        since: when it joined, ISO 8601, UTC.
    """

    host: str
    machine: str
    pid: int
    started: str
    since: str

    @classmethod
    def here(cls) -> Identity:
        """This process."""
        pid = os.getpid()
        since = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(socket.gethostname(), _machine(), pid, _started(pid) or "", since)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Identity:
        """Inverse of `to_dict`."""
        return cls(**plain)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @property
    def is_gone(self) -> bool:
        """Whether the process is known to have ended; of other machines nothing is known."""
        return self.machine == _machine() and _started(self.pid) != self.started


@cache
def _machine() -> str:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{(_PROC / 'self/ns/pid').stat().st_ino}"
    except OSError:
        return f"{uuid.getnode():x}"


def _started(pid: int) -> str | None:
    """When a process began; None if there is none (a dead one that nobody waited for is none)."""
    if not (_PROC / "self/stat").exists():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            pass
        return ""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    state, *fields = text.rpartition(")")[2].split()  # the name before may hold anything
    return None if state in "ZX" else fields[18]
