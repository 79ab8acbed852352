"""A board that runs the verifying program, asked over a line (``docs/verify.md``).

Every request may be sent again: an answer carries the number of the request, and nothing that is
asked changes what the next answer says, but for PUT, which may be repeated too. Images are sent in
pieces, and their check is compared before anything is run on them.
"""

from __future__ import annotations

import struct
import time
import zlib
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hybrid_nas.errors import HybridNasError
from hybrid_nas.profiling.backend import DeviceLostError
from hybrid_nas.profiling.link import Link, LinkError
from hybrid_nas.profiling.protocol import GarbledError, decode_line, encode_line
from hybrid_nas.quantise.int8_kernels import Int8Array
from hybrid_nas.typing import ByteArray

VERSION = "hnas-verify/1"
PIECE = 156
"""Bytes of an image in one line: 208 characters of base64."""

_HELLO_TRIES, _HELLO_S = 50, 0.3  # on a busy machine QEMU takes seconds to start
_SHORT_S, _RUN_S = 3.0, 120.0
_ATTEMPTS = 5
_IMAGE_TRIES = 4
_TOGETHER = 50  # pieces that are sent without an answer: what buffers of lines hold
_BYTES_PER_S = 1000  # of an image; emulated lines on a busy machine are slower than real ones
_NUMBERS = 65535
_SCORES_PER_LINE, _OPS_PER_LINE = 100, 10


@dataclass(frozen=True)
class Greeting:
    """Who the board is and what it runs.

    Attributes:
        board, core, timer: words.
        traced: whether the network tells of each operator.
        build: hash of the program.
        timer_hz, clock_hz: frequencies.
        image_bytes, classes, ops: sizes of the network.
    """

    board: str
    core: str
    timer: str
    traced: bool
    build: str
    timer_hz: int
    clock_hz: int
    image_bytes: int
    classes: int
    ops: int


@dataclass(frozen=True, eq=False)
class Inference:
    """One run.

    Attributes:
        ticks: of the whole.
        class_index, sent, send_score: as in ``hnas_result``.
        scores: int8 (classes,).
    """

    ticks: int
    class_index: int
    sent: bool
    send_score: np.float32
    scores: Int8Array


@dataclass(frozen=True)
class OpTrace:
    """What an operator took, and the CRC-32 of its output."""

    ticks: int
    crc: int


@dataclass(frozen=True)
class MemoryUse:
    """Bytes of memory that were written, of painted ones; see ``measure.h``.

    Attributes:
        arena_bytes, arena_touched, arena_high: size of the arena, bytes of it that were written,
            and the last of them plus one.
        stack_bytes, stack_high: what was painted, and how deep it was written.
        data_bytes, bss_bytes: variables, by the linker's symbols; the arena is among them.
    """

    arena_bytes: int
    arena_touched: int
    arena_high: int
    stack_bytes: int
    stack_high: int
    data_bytes: int
    bss_bytes: int

    @property
    def variables_bytes(self) -> int:
        """Variables beside the arena."""
        return self.data_bytes + self.bss_bytes - self.arena_bytes

    @property
    def total(self) -> int:
        """SRAM that was used: the arena as far as it was written, variables, stack."""
        return self.arena_high + self.variables_bytes + self.stack_high


class Device:
    """A board on the other end of a link, which it then owns.

    Attributes:
        greeting: what it said of itself.

    Raises:
        DeviceLostError: nothing answers, or something else than the verifying program.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._number = 0
        self._image = 0  # check of what was loaded
        try:
            self.greeting = self._greeted()
        except BaseException:
            self.close()
            raise

    def load(self, image: ByteArray) -> None:
        """Send an image, uint8 (h, w, c).

        Raises:
            HybridNasError: it never arrives whole.
            DeviceLostError: the board no longer answers.
        """
        data = image.tobytes()
        if len(data) != self.greeting.image_bytes:
            raise HybridNasError(
                f"the board's network reads {self.greeting.image_bytes} bytes, the image has "
                f"{len(data)}: flash the program of this pair"
            )
        pieces = [
            (start, b64encode(data[start : start + PIECE]).decode())
            for start in range(0, len(data), PIECE)
        ]
        for attempt in range(_IMAGE_TRIES):
            for number, (start, text) in enumerate(pieces, start=1):
                if attempt:
                    self._ask("PUT", start, text, answer="A")
                    continue
                self._send(f"PUT 0 {start} {text}")  # nothing is answered
                if number % _TOGETHER == 0:
                    self._sum()
            self._image = self._sum()
            if self._image == zlib.crc32(data):
                return
        raise HybridNasError(f"{self._link.name}: the image arrives damaged every time")

    def _sum(self) -> int:
        """Check of the image that the board has, once it has read all pieces."""
        arrives_s = _SHORT_S + _TOGETHER * PIECE / _BYTES_PER_S
        return self._numbers("SUM", answer="A", timeout=arrives_s)[0]

    def run(self) -> Inference:
        """Run the network on the image that was loaded.

        Raises:
            HybridNasError: it reports an error.
            DeviceLostError: the board no longer answers.
        """
        status, ticks, index, sent, bits = self._run(traced=False)
        if status != 0:
            raise HybridNasError(f"hnas_run() returns {_signed(status)} on the board")
        text = "".join(
            self._ask("OUT", first, answer="S")[0]
            for first in range(0, self.greeting.classes, _SCORES_PER_LINE)
        )
        score = np.float32(struct.unpack("<f", struct.pack("<I", bits))[0])
        scores: Int8Array = np.frombuffer(bytes.fromhex(text), np.int8)
        return Inference(ticks, _signed(index), bool(sent), score, scores)

    def _run(self, *, traced: bool) -> list[int]:
        *numbers, image = self._numbers("RUN", int(traced), answer="R", timeout=_RUN_S)
        if image != self._image:
            raise DeviceLostError(f"{self._link.name}: the board was reset, its image is lost")
        return numbers

    def trace(self) -> tuple[OpTrace, ...]:
        """Run it again, with a look at each operator.

        Raises:
            HybridNasError: the program was built without.
            DeviceLostError: the board no longer answers.
        """
        if not self.greeting.traced:
            raise HybridNasError(f"{self.greeting.build} does not tell of single operators")
        self._run(traced=True)
        found: list[OpTrace] = []
        while len(found) < self.greeting.ops:
            numbers = self._numbers("OPS", len(found), answer="O")
            pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
            expected = min(_OPS_PER_LINE, self.greeting.ops - len(found))
            if len(pairs) != expected:
                raise HybridNasError(f"the board tells of {len(pairs)} operators, not {expected}")
            found += [OpTrace(ticks, crc) for ticks, crc in pairs]
        return tuple(found)

    def output(self, op: int, size: int) -> Int8Array | None:
        """Output of one operator of a traced program, int8 (size,); None where it has no room."""
        copied = self._numbers("TAP", op, answer="A", timeout=_RUN_S)[0]
        if copied != size:
            return None
        text = "".join(
            self._ask("GET", at, answer="S")[0] for at in range(0, size, _SCORES_PER_LINE)
        )
        found: Int8Array = np.frombuffer(bytes.fromhex(text), np.int8)
        return found

    def memory(self) -> MemoryUse:
        """Run it twice over painted memory."""
        return MemoryUse(*self._numbers("MEM", answer="M", timeout=2 * _RUN_S))

    def close(self) -> None:
        """Let the link go; may be called twice."""
        self._link.close()

    # --- lines --------------------------------------------------------------------------------

    def _numbers(
        self, name: str, *words: object, answer: str, timeout: float = _SHORT_S
    ) -> list[int]:
        return [int(word, 16) for word in self._ask(name, *words, answer=answer, timeout=timeout)]

    def _ask(self, name: str, *words: object, answer: str, timeout: float = _SHORT_S) -> list[str]:
        """Words of the answer, without its name and number."""
        sent: set[str] = set()
        try:
            for _ in range(_ATTEMPTS):
                self._number = self._number % _NUMBERS + 1
                sent.add(f"{self._number:08X}")
                line = " ".join(map(str, (name, self._number, *words)))
                self._send(line)
                found = self._await(answer, sent, timeout)
                if found is not None:
                    return found
        except LinkError as error:
            raise DeviceLostError(f"the board is gone when asked for {name}: {error}") from error
        raise DeviceLostError(f"{self._link.name}: no answer to {name}, asked {_ATTEMPTS} times")

    def _send(self, payload: str) -> None:
        """Send a line.

        Raises:
            DeviceLostError: the link is broken.
        """
        try:
            self._link.send(encode_line(payload))
        except LinkError as error:
            raise DeviceLostError(f"the board is gone: {error}") from error

    def _await(self, answer: str, sent: set[str], timeout: float) -> list[str] | None:
        """None where the request, or the answer, was damaged or lost."""
        deadline = time.monotonic() + timeout
        while (line := self._link.receive(deadline)) is not None:
            try:
                name, *words = decode_line(line).split(" ")
            except GarbledError:
                return None
            if name == answer and words and words[0] in sent:
                return words[1:]
            if name == "E" and words[:1] != ["00000000"] and words[0] in sent:
                raise HybridNasError(f"the board refuses: {' '.join(words[1:])}")
            if name == "E" and words[1:] == ["CKSUM"]:
                return None
        return None

    def _greeted(self) -> Greeting:
        try:
            for _ in range(_HELLO_TRIES):
                self._link.send(encode_line("HELLO"))
                found = self._hello(time.monotonic() + _HELLO_S)
                if found is not None:
                    self._drain()
                    return found
        except LinkError as error:
            raise DeviceLostError(str(error)) from error
        raise DeviceLostError(
            f"{self._link.name}: nothing answers; is the verifying program of this pair on the "
            "board, and no other program on the port?"
        )

    def _hello(self, deadline: float) -> Greeting | None:
        while (line := self._link.receive(deadline)) is not None:
            try:
                words = decode_line(line).split(" ")
            except GarbledError:
                continue
            if words[0] == "HELLO":
                return _greeting(words[1:])
        return None

    def _drain(self) -> None:
        """Let the answers to earlier greetings pass."""
        deadline = time.monotonic() + _HELLO_S
        while self._link.receive(deadline) is not None and time.monotonic() < deadline:
            pass


def _greeting(words: Sequence[str]) -> Greeting:
    if len(words) != 11 or words[0] != VERSION:
        said = words[0] if words else "nothing"
        raise DeviceLostError(
            f"the board speaks {said}, this program {VERSION}: flash what `verify` builds"
        )
    board, core, timer, traced, build = words[1:6]
    timer_hz, clock_hz, image_bytes, classes, ops = (int(word, 16) for word in words[6:])
    return Greeting(
        board, core, timer, traced == "traced", build, timer_hz, clock_hz, image_bytes, classes, ops
    )


def _signed(number: int) -> int:
    """The int32 with these bits."""
    return number - (1 << 32) if number >> 31 else number
