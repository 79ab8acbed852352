"""A conversation with a board: every request is answered once, or the board is given up.

Lines get lost and damaged, boards reset, cables come out. A request is therefore sent again, under
a new id, until an answer to one of its attempts arrives; when none does, the connection is made
anew. A board works through requests in order: once it has answered ``HELLO``, nothing older comes.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

from hybrid_nas.errors import HybridNasError
from hybrid_nas.profiling import protocol
from hybrid_nas.profiling.backend import DeviceLostError
from hybrid_nas.profiling.link import Link, LinkError
from hybrid_nas.profiling.protocol import (
    Accepted,
    Answer,
    Calibrated,
    Failure,
    GarbledError,
    Greet,
    Hello,
    Request,
    Result,
)

A = TypeVar("A", Calibrated, Accepted, Result)
Connect = Callable[[], Link]

_REOPEN_POLL_S = 0.1


@dataclass(frozen=True)
class Patience:
    """How long to wait for what, in seconds, and how often to try again.

    Attributes:
        hello_s, hello_tries: of ``HELLO``; a board that has just started misses the first ones.
        floor_s, ceiling_s: least and longest time-out of any other request.
        factor: time-out of a request, in multiples of the time that it is predicted to take.
        garbled_s: after a damaged line, an answer comes within this time, or the line was it.
        attempts: of one request on one connection. A damaged newline costs two.
        restarts: connections made anew for one request.
        reopen_s: a port that has gone (unplugged, a board that starts again) is awaited so long.
    """

    hello_s: float = 0.2
    hello_tries: int = 10
    floor_s: float = 1.0
    ceiling_s: float = 600.0
    factor: float = 10.0
    garbled_s: float = 0.2
    attempts: int = 4
    restarts: int = 3
    reopen_s: float = 5.0

    def timeout(self, predicted_s: float) -> float:
        """Seconds to wait for what is predicted to take `predicted_s`."""
        return max(self.floor_s, min(self.factor * predicted_s, self.ceiling_s))


class NoAnswerError(HybridNasError):
    """The board is there, also after it was started again, but never answers this one request."""


@dataclass(frozen=True)
class Reply(Generic[A]):
    """An answer or the board's refusal; seconds since the first of so many attempts."""

    answer: A | Failure
    seconds: float
    attempts: int


@dataclass
class _Asking(Generic[A]):
    """A request under way, and the ids of its attempts so far."""

    request: Request
    kind: type[A]
    timeout: float
    meanwhile: Callable[[], object] | None
    numbers: list[int] = field(default_factory=list)

    def answered_by(self, answer: Answer) -> bool:
        return isinstance(answer, (self.kind, Failure)) and answer.number in self.numbers

    def use_the_wait(self) -> None:
        work, self.meanwhile = self.meanwhile, None
        if work is not None:
            work()


class _Unheard(Enum):
    """What is heard instead of an answer."""

    SILENCE = 0
    DAMAGED = 1


_SILENCE, _DAMAGED = _Unheard.SILENCE, _Unheard.DAMAGED


class Session:
    """A board that is talked to.

    Args:
        connect: opens the link, and starts the device again where it can.
        patience: time-outs.

    Attributes:
        hello: what the board said of itself; after a restart it must say the same.
        restarts: how often the connection was made anew.

    Raises:
        DeviceLostError: there is no link, or nothing answers on it.
    """

    def __init__(self, connect: Connect, patience: Patience) -> None:
        self._connect = connect
        self.patience = patience
        self.restarts = 0
        self._number = secrets.randbelow(protocol.MAX_ID)
        self._link: Link | None = None
        try:
            self._link, self.hello = self._greeted(connect())
        except LinkError:  # it may still be busy with what an earlier program asked
            try:
                self._link, self.hello = self._greeted(self._reopen(), interrupt=True)
            except LinkError as error:
                raise DeviceLostError(
                    f"{error}; is the profiling firmware on the board, and no other program on "
                    "the port?"
                ) from error

    def ask(
        self,
        request: Request,
        kind: type[A],
        predicted_s: float = 0.0,
        meanwhile: Callable[[], object] | None = None,
    ) -> Reply[A]:
        """Send a request until it is answered.

        Args:
            request: what to ask.
            kind: class of the answer.
            predicted_s: how long the board is likely to take.
            meanwhile: called once, after the request was first sent: work that need not wait.

        Raises:
            NoAnswerError: the board answers ``HELLO``, but not this.
            DeviceLostError: it does not answer at all, or another board does.
        """
        timeout = self.patience.timeout(predicted_s)
        begun = time.monotonic()
        asking = _Asking(request, kind, timeout, meanwhile)
        tried = 0
        for _ in range(self.patience.restarts + 1):
            sent = len(asking.numbers)
            with suppress(LinkError):
                answer = self._ask_once(self._link or self._restart(), asking)
                if answer is not None:
                    return Reply(answer, time.monotonic() - begun, len(asking.numbers))
            tried += len(asking.numbers) > sent
            self.close()
        try:
            self._restart()
        except LinkError as error:
            raise DeviceLostError(
                f"{error}, also after {self.patience.restarts} restarts"
            ) from error
        if tried <= self.patience.restarts:
            raise DeviceLostError("the board answers HELLO now and then, and nothing else")
        raise NoAnswerError(f"no answer within {timeout:.3g} s, tried {len(asking.numbers)} times")

    def close(self) -> None:
        """Let the link go; may be called twice."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def _ask_once(self, link: Link, asking: _Asking[A]) -> A | Failure | None:
        """The answer to a request, sent as often as `Patience.attempts` says on one connection.

        Raises:
            LinkError: the line broke, or the board does not even answer ``HELLO`` any more.
        """
        for _ in range(self.patience.attempts):
            self._number = self._number % protocol.MAX_ID + 1
            asking.numbers.append(self._number)
            link.send(protocol.encode_line(asking.request.payload(self._number)))
            asking.use_the_wait()
            heard = self._await(link, asking.answered_by, asking.timeout)
            if heard is _SILENCE:  # is the line or the board to blame?
                heard = self._await_hello(link, asking.answered_by)
            if isinstance(heard, (asking.kind, Failure)):
                return heard
        return None

    def _await(
        self, link: Link, wanted: Callable[[Answer], bool], timeout: float
    ) -> Answer | _Unheard:
        """The first answer that is wanted; or what was heard instead."""
        deadline = time.monotonic() + timeout
        unheard = _SILENCE
        while (line := link.receive(deadline)) is not None:
            answer = _parsed(line)
            if answer is None:
                unheard = _DAMAGED
                deadline = min(deadline, time.monotonic() + self.patience.garbled_s)
            elif wanted(answer):
                return answer
            elif isinstance(answer, Failure) and answer.number == 0:
                return _DAMAGED  # the request was
        return unheard

    def _await_hello(self, link: Link, wanted: Callable[[Answer], bool]) -> Answer:
        """Greet the board until it answers, be it with something else that is wanted.

        Raises:
            LinkError: it does not.
        """
        for attempt in range(self.patience.hello_tries):
            link.send(protocol.encode_line(Greet().payload(0)))
            heard = self._await(
                link, lambda a: isinstance(a, Hello) or wanted(a), self.patience.hello_s
            )
            if not isinstance(heard, _Unheard):
                if attempt:
                    self._drain(link)
                return heard
        raise LinkError(f"{link.name}: no answer to HELLO")

    def _restart(self) -> Link:
        """Connect again; the new link, on which the same board has answered.

        Raises:
            LinkError: it opened, but nobody answers.
            DeviceLostError: it cannot be opened any more, or another board answers.
        """
        self.close()
        link, hello = self._greeted(self._reopen(), interrupt=True)
        if hello != self.hello:
            link.close()
            raise DeviceLostError(
                f"{link.name}: another board or firmware answers now ({hello.board}, "
                f"{hello.kernels}; before: {self.hello.board}, {self.hello.kernels})"
            )
        self._link = link
        self.restarts += 1
        return link

    def _reopen(self) -> Link:
        end = time.monotonic() + self.patience.reopen_s
        while True:
            try:
                return self._connect()
            except LinkError as error:
                if time.monotonic() > end:
                    raise DeviceLostError(f"the board is gone: {error}") from error
            time.sleep(min(_REOPEN_POLL_S, self.patience.reopen_s))

    def _greeted(self, link: Link, interrupt: bool = False) -> tuple[Link, Hello]:
        """The link and what the board on it says of itself; the link is closed if it fails."""
        try:
            if interrupt:
                link.interrupt()
            hello = self._await_hello(link, lambda answer: False)
        except BaseException:
            link.close()
            raise
        assert isinstance(hello, Hello)
        return link, hello

    def _drain(self, link: Link) -> None:
        """Let the answers to earlier ``HELLO`` pass: some boards cannot listen while they talk."""
        deadline = time.monotonic() + self.patience.hello_s
        while time.monotonic() < deadline and link.receive(deadline) is not None:
            pass


def _parsed(line: bytes) -> Answer | None:
    try:
        return protocol.parse_answer(protocol.decode_line(line))
    except GarbledError:
        return None
