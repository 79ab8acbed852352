"""Links over pseudo-terminals, TCP and socket pairs: lines, deadlines, one exception."""

from __future__ import annotations

import os
import socket
import time
import tty
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import pytest

from hybrid_nas.errors import InputError
from hybrid_nas.profiling.link import Link, LinkError, PortLink, SocketLink, open_port


@dataclass
class Far:
    """The other end of a link."""

    link: Link
    descriptor: int

    def write(self, data: bytes) -> None:
        os.write(self.descriptor, data)

    def read(self) -> bytes:
        return os.read(self.descriptor, 100)


@contextmanager
def terminal() -> Iterator[Far]:
    master, slave = os.openpty()
    tty.setraw(slave)
    link = PortLink(os.ttyname(slave))
    os.close(slave)
    with closing(link):
        far = Far(link, master)
        yield far
        if far.descriptor >= 0:
            os.close(master)


@contextmanager
def tcp() -> Iterator[Far]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = open_port(f"socket://127.0.0.1:{server.getsockname()[1]}")
        yield from _with_socket(link, server.accept()[0])


@contextmanager
def pair() -> Iterator[Far]:
    ours, theirs = socket.socketpair()
    yield from _with_socket(SocketLink(ours, "pair"), theirs)


def _with_socket(link: Link, far: socket.socket) -> Iterator[Far]:
    with closing(link), far:
        end = Far(link, far.fileno())
        yield end
        if end.descriptor < 0:
            far.detach()


ENDS = pytest.mark.parametrize("ends", [terminal, tcp, pair])


def soon() -> float:
    return time.monotonic() + 5.0


@ENDS
def test_lines_come_whole_and_in_order(ends) -> None:
    with ends() as far:
        far.write(b"one\ntwo\nth")
        assert far.link.receive(soon()) == b"one"
        assert far.link.receive(time.monotonic() - 1) == b"two"  # it was there already
        assert far.link.receive(time.monotonic() + 0.01) is None
        far.write(b"ree\r\n\n")
        assert far.link.receive(soon()) == b"three\r"
        assert far.link.receive(soon()) == b""


@ENDS
def test_what_is_sent_arrives(ends) -> None:
    with ends() as far:
        far.link.send(b"HELLO*82E53AE6\n")
        assert far.read() == b"HELLO*82E53AE6\n"


@ENDS
def test_silence_ends_at_the_deadline(ends) -> None:
    with ends() as far:
        begun = time.monotonic()
        assert far.link.receive(begun + 0.05) is None
        assert time.monotonic() - begun >= 0.05


@ENDS
def test_the_far_end_going_away_is_a_link_error(ends) -> None:
    with ends() as far:
        far.write(b"last\n")
        if ends is not terminal:  # the line is kept; a terminal drops it
            assert far.link.receive(soon()) == b"last"
        os.close(far.descriptor)
        far.descriptor = -1
        with pytest.raises(LinkError):
            while True:
                far.link.send(b"x" * 1000)
                far.link.receive(time.monotonic())
        far.link.close()
        far.link.close()


@ENDS
def test_noise_without_newlines_does_not_pile_up(ends) -> None:
    with ends() as far:
        for _ in range(5):
            far.write(b"\xff" * 1000)
            far.link.receive(time.monotonic() + 0.02)
        far.write(b"\nline\n")
        lines = []
        while (line := far.link.receive(time.monotonic() + 0.05)) is not None:
            lines.append(line)
        assert lines[-1] == b"line"
        assert sum(map(len, lines)) < 5000


def test_an_interrupt_drops_old_input_and_works_without_modem_lines() -> None:
    with terminal() as far:
        far.write(b"old\nol")
        assert far.link.receive(soon()) == b"old"
        far.link.interrupt()
        far.write(b"new\n")
        assert far.link.receive(soon()) == b"new"


def test_a_port_is_ours_alone() -> None:
    with terminal() as far, pytest.raises(LinkError, match=r"lock|busy|temporarily"):
        PortLink(far.link.name)


def test_ports_that_cannot_be_waited_for_are_polled() -> None:
    with closing(PortLink("loop://")) as link:
        link.send(b"echo\n")
        assert link.receive(soon()) == b"echo"
        assert link.receive(time.monotonic() + 0.01) is None


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/dev/no-such-port", "No such file.*(ports here|plugged in)"),
        ("socket://127.0.0.1:1", "refused.*is the server there"),
        ("carrier-pigeon://x", "no serial port.*/dev/ttyACM0"),
        ("/dev/null", "/dev/null"),
    ],
)
def test_a_wrong_address_is_the_users_mistake(address: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        open_port(address)
