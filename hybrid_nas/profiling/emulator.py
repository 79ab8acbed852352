"""Emulated boards: QEMU's Arm machines, counting instructions instead of time.

With ``-icount shift=N`` an instruction takes 2^N virtual nanoseconds, and the timers of the machine
count exactly that. QEMU has no caches, wait states or dual issue: what comes out is a count of
instructions, the same on every run, and becomes a latency only after scaling.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.profiling.backend import DeviceLostError
from hybrid_nas.profiling.board import BoardBackend
from hybrid_nas.profiling.images import Image, find_image
from hybrid_nas.profiling.link import Link, LinkError, SocketLink
from hybrid_nas.profiling.session import Patience

QEMU = "qemu-system-arm"


# The shell stands between so that the emulator ends with this process, however that dies: the
# shell's standard input then ends too. The line is QEMU's standard output; the shell lets its own
# copy go, so that the line breaks when QEMU crashes.
_GUARD = '"$@" </dev/null & exec >/dev/null; read -r _; kill -9 $!'

_WRITE_S = 60.0  # on a busy machine QEMU reads seldom; when it ends, the line breaks at once
_PATIENCE = Patience(hello_tries=25)  # on a busy machine QEMU takes seconds to start


class Emulator:
    """One QEMU process; `start` (again) gives a fresh board and the link to it.

    Args:
        image: the firmware, and the machine that it is for.

    Attributes:
        complaint: what a closed emulator said was wrong, or nothing.

    Raises:
        InputError: QEMU is not installed.
    """

    def __init__(self, image: Image) -> None:
        self.complaint = ""
        program = shutil.which(QEMU)
        if program is None:
            raise InputError(
                f"{image.board} needs QEMU, and there is no {QEMU} here: install it "
                f"(Debian, Ubuntu: apt install {QEMU}; macOS: brew install qemu)"
            )
        if os.name != "posix":
            raise InputError(f"{image.board}: emulated boards run on Linux and macOS")
        self._image = image
        self._program = program
        self._guard: subprocess.Popen[bytes] | None = None

    def start(self) -> Link:
        """Start it, or kill it and start it again.

        Raises:
            LinkError: it cannot be started.
        """
        self.close()
        ours, theirs = socket.socketpair()
        try:
            self._guard = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, "sh", *self._command()],
                stdin=subprocess.PIPE,
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for this process, which then ends it
            )
        except OSError as error:
            ours.close()
            raise LinkError(
                f"{self._image.board}: cannot start {self._program}: {error}"
            ) from error
        finally:
            theirs.close()
        return SocketLink(ours, self._image.board, _WRITE_S)

    def close(self) -> None:
        """Kill it; may be called twice."""
        guard, self._guard = self._guard, None
        if guard is None or guard.stderr is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(guard.pid, signal.SIGKILL)
        with guard, suppress(OSError):
            said = guard.stderr.read().decode(errors="replace").splitlines()
            self.complaint = next((line for line in said if "warning:" not in line), "")

    def _command(self) -> list[str]:
        image = self._image
        return [
            self._program,
            *("-machine", image.machine),
            *("-nodefaults", "-display", "none", "-monitor", "none"),
            *("-icount", f"shift={image.icount_shift}"),
            *("-chardev", "socket,id=line,fd=1"),
            *("-serial", "chardev:line"),
            *("-kernel", str(image.path)),
        ]


class EmulatedBoard(BoardBackend):
    """An emulated board, started for as long as this object is open.

    Args:
        board: its id, one of `images`.
        image: firmware to run instead of the one that comes with the package.
        settings: of `BoardBackend`.

    Raises:
        InputError: no such board, or QEMU is not installed.
        DeviceLostError: QEMU does not run the firmware.
    """

    def __init__(self, board: str, image: Image | None = None, **settings: Any) -> None:
        self._emulator = Emulator(image or find_image(board))
        try:
            patience = settings.pop("patience", None) or _PATIENCE
            super().__init__(self._emulator.start, emulated=True, patience=patience, **settings)
        except DeviceLostError as error:
            self._emulator.close()
            raise DeviceLostError(f"{error} ({self._emulator.complaint or QEMU})") from error
        except BaseException:
            self._emulator.close()
            raise

    def close(self) -> None:
        """Let the link go and kill the emulator; may be called twice."""
        super().close()
        self._emulator.close()


def open_emulator(board: str, **settings: Any) -> EmulatedBoard:
    """The emulated board of that id, running; see `EmulatedBoard`."""
    return EmulatedBoard(board, **settings)
