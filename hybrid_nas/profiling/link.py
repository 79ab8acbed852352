"""Lines of bytes to and from a device: a serial port, a ``socket://host:port``, an open socket.

Whatever goes wrong below (an unplugged cable, a killed emulator, a pseudo-terminal without modem
lines) comes out as one exception, `LinkError`.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import serial
from serial.tools import list_ports

from hybrid_nas.errors import HybridNasError, InputError

_FAILURES: tuple[type[Exception], ...] = (OSError, serial.SerialException)
with suppress(ImportError):  # Windows has no termios
    import termios

    _FAILURES = (*_FAILURES, termios.error)  # which is not an OSError

BAUD = 115200
WRITE_TIMEOUT_S = 2.0
_BLOCK = 4096
_LONGEST_LINE = 1024  # what comes without a newline, boot messages say, is cut here
_POLL_S = 0.001  # ports that cannot be waited for are asked this often


class LinkError(HybridNasError):
    """The other end cannot be read or written any more."""


class Link(ABC):
    """A two-way stream of lines; subclasses move bytes.

    Attributes:
        name: where it leads, for messages.
    """

    name: str

    def __init__(self) -> None:
        self._pending = b""

    def send(self, data: bytes) -> None:
        """Write it all.

        Raises:
            LinkError: it cannot be written.
        """
        with _translated(self.name):
            self._write(data)

    def receive(self, deadline: float) -> bytes | None:
        """The next line without its newline; None when none is complete by `deadline`.

        Args:
            deadline: in seconds of `time.monotonic`. Lines that are already there are given out
                also after it.

        Raises:
            LinkError: it cannot be read.
        """
        while True:
            line, newline, rest = self._pending.partition(b"\n")
            if newline or len(line) > _LONGEST_LINE:
                self._pending = rest
                return line
            wait = deadline - time.monotonic()
            with _translated(self.name):
                data = self._read(max(wait, 0.0))
            if not data and wait <= 0:
                return None
            self._pending += data

    def interrupt(self) -> None:
        """Ask for a reset of the device where the line has a way to (a break); input is dropped.

        Raises:
            LinkError: it cannot be written.
        """
        with _translated(self.name):
            self._interrupt()
        self._pending = b""

    def close(self) -> None:
        """Let it go; may be called twice, never raises."""
        with suppress(*_FAILURES):
            self._close()

    @abstractmethod
    def _write(self, data: bytes) -> None: ...

    @abstractmethod
    def _read(self, wait: float) -> bytes:
        """What is there, after at most `wait` seconds of nothing."""

    def _interrupt(self) -> None:
        return

    @abstractmethod
    def _close(self) -> None: ...


class PortLink(Link):
    """A serial port by its path, or any URL that pyserial knows."""

    def __init__(self, address: str, baud: int = BAUD) -> None:
        """Open it.

        Raises:
            LinkError: there is no such port, it is in use, or may not be used.
        """
        super().__init__()
        self.name = address
        with _translated(address):
            try:
                self._port: serial.Serial = serial.serial_for_url(
                    address,
                    baudrate=baud,
                    timeout=0,
                    write_timeout=WRITE_TIMEOUT_S,
                    exclusive=True,  # a second program would take half of the answers
                )
            except ValueError as error:  # an unknown URL scheme
                raise InputError(
                    f"{address} is no serial port: {error}; give a device such as /dev/ttyACM0, "
                    "or socket://HOST:PORT"
                ) from error
        try:
            self._can_select = os.name == "posix" and self._port.fileno() >= 0
        except (AttributeError, OSError):  # rfc2217://, loop:// and their like
            self._can_select = False

    def _write(self, data: bytes) -> None:
        self._port.write(data)

    def _read(self, wait: float) -> bytes:
        if self._can_select:
            select.select([self._port], [], [], wait)
        else:
            end = time.monotonic() + wait
            while not self._port.in_waiting and time.monotonic() < end:
                time.sleep(_POLL_S)
        return bytes(self._port.read(_BLOCK))

    def _interrupt(self) -> None:
        self._port.send_break(0.01)  # debug probes of Nucleo and Discovery boards reset on it
        self._port.reset_input_buffer()

    def _close(self) -> None:
        self._port.close()


class SocketLink(Link):
    """A connected stream socket, which it then owns; `write_s` is how long a line may wait."""

    def __init__(
        self, connection: socket.socket, name: str, write_s: float = WRITE_TIMEOUT_S
    ) -> None:
        super().__init__()
        self.name = name
        self._socket = connection
        self._socket.settimeout(write_s)

    def _write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def _read(self, wait: float) -> bytes:
        if not select.select([self._socket], [], [], wait)[0]:
            return b""
        data = self._socket.recv(_BLOCK)
        if not data:
            raise ConnectionResetError(errno.ECONNRESET, "closed by the other end")
        return data

    def _close(self) -> None:
        self._socket.close()


def open_port(address: str, baud: int = BAUD) -> PortLink:
    """The port that a user named, for the first time.

    Raises:
        InputError: it cannot be opened; the message lists the ports that there are.
    """
    try:
        return PortLink(address, baud)
    except LinkError as error:
        reason = str(error)
    if "Permission denied" in reason:
        mend = "add yourself to the group that owns it (Debian: adduser $USER dialout; log in anew)"
    elif "://" in address:
        mend = "is the server there?"
    else:
        ports = ", ".join(sorted(port.device for port in list_ports.comports()))
        mend = f"ports here: {ports}" if ports else "no serial port here: is the board plugged in?"
    raise InputError(f"{reason}; {mend}")


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except _FAILURES as error:
        # SerialException and socket errors are OSErrors; termios.error is (errno, message).
        detail = error.args[-1] if error.args else type(error).__name__
        raise LinkError(f"{name}: {detail}") from error
