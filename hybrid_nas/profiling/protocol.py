"""The lines of ``hnas/1`` (``docs/protocol.md``): requests to a board, and what its answers say.

Requests turn into lines, lines into answers. Nothing here waits, retries or knows a device.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from hybrid_nas.errors import HybridNasError
from hybrid_nas.spaces.opspec import ACTIVATIONS, OP_KINDS, OpSpec

VERSION = "hnas/1"
MAX_LINE = 240
"""Bytes of a line, its check included, the newline not."""
MAX_ID = 65535
MAX_REPS = 8
MAX_OPS = 256
"""Operators of a network."""
NO_OFFSET = -1
"""In a `Place`: the operator has no second operand."""

_CHECK_DIGITS = 8


class GarbledError(ValueError):
    """A line that is not a whole, undamaged line of the protocol."""


class VersionError(HybridNasError):
    """The board answers, in another version of the protocol."""


# --- lines ---------------------------------------------------------------------------------------


def encode_line(payload: str) -> bytes:
    """The line that carries a payload, with its check and the newline.

    >>> encode_line("HELLO")
    b'HELLO*82E53AE6\\n'
    """
    data = payload.encode("ascii")
    return b"%s*%08X\n" % (data, zlib.crc32(data))


def decode_line(line: bytes) -> str:
    """The payload of a line without its newline; a carriage return at its end is ignored.

    Raises:
        GarbledError: too long, not ASCII, or the check is wrong.
    """
    line = line.removesuffix(b"\r")
    payload, star, check = line.rpartition(b"*")
    if len(line) > MAX_LINE or not star or len(check) != _CHECK_DIGITS or not payload.isascii():
        raise GarbledError(f"not a line of {VERSION}: {line[:MAX_LINE]!r}")
    if check != b"%08X" % zlib.crc32(payload):
        raise GarbledError(f"wrong check: {line!r}")
    return payload.decode("ascii")


# --- operators -----------------------------------------------------------------------------------


def op_words(op: OpSpec) -> str:
    """The nine words of an operator: kind h w cin cout kernel stride padding activation.

    >>> op_words(OpSpec("conv", 96, 96, 3, 16, kernel=3, stride=2, padding=1, activation="relu6"))
    'conv 96 96 3 16 3 2 1 relu6'
    """
    sizes = (op.h, op.w, op.cin, op.cout, op.kernel, op.stride, op.padding)
    return " ".join((op.op, *map(str, sizes), op.activation))


def op_from_words(words: Sequence[str]) -> OpSpec:
    """The operator of nine words; the inverse of `op_words` for int8 operators with a bias.

    Raises:
        GarbledError: not nine words of an operator.
    """
    if len(words) != 9:
        raise GarbledError(f"an operator has 9 words, not {len(words)}")
    kind = next((k for k in OP_KINDS if k == words[0]), None)
    activation = next((a for a in ACTIVATIONS if a == words[8]), None)
    if kind is None or activation is None:
        raise GarbledError(f"unknown kind or activation: {words[0]} {words[8]}")
    h, w, cin, cout, kernel, stride, padding = map(_number, words[1:8])
    residual = int(kind == "add")  # `OpSpec.shape` of an addition
    return OpSpec(kind, h, w, cin, cout, kernel, stride, padding, activation, residual=residual)


# --- requests ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Greet:
    """``HELLO``: who are you? The one request without an id."""

    def payload(self, number: int) -> str:
        """The line's payload; `number` is the attempt's id."""
        return "HELLO"


@dataclass(frozen=True)
class Calibrate:
    """``CAL``: time exactly that many instructions, a multiple of 1000."""

    instructions: int

    def payload(self, number: int) -> str:
        """The line's payload; `number` is the attempt's id."""
        return f"CAL {number} {self.instructions}"


@dataclass(frozen=True)
class Run:
    """``RUN``: time one operator, 1 to 8 times after one run that is not counted."""

    op: OpSpec
    reps: int

    def payload(self, number: int) -> str:
        """The line's payload; `number` is the attempt's id."""
        return f"RUN {number} {op_words(self.op)} {self.reps}"


@dataclass(frozen=True)
class Begin:
    """``NET``: a list of that many operators follows."""

    count: int

    def payload(self, number: int) -> str:
        """The line's payload; `number` is the attempt's id."""
        return f"NET {number} {self.count}"


@dataclass(frozen=True)
class Place:
    """``NOP``: an operator of the list, and where in the arena its operands and output are.

    Attributes:
        index: place in the list, from 0.
        source, target, second: offsets in bytes of input, output and second operand (or
            `NO_OFFSET`).
        op: the operator.
    """

    index: int
    source: int
    target: int
    second: int
    op: OpSpec

    def payload(self, number: int) -> str:
        """The line's payload; `number` is the attempt's id."""
        offsets = f"{self.source} {self.target} {self.second}"
        return f"NOP {number} {self.index} {offsets} {op_words(self.op)}"


@dataclass(frozen=True)
class RunNetwork:
    """``NETRUN``: time the list of `count` operators, 1 to 8 times after one uncounted run."""

    count: int
    reps: int

    def payload(self, number: int) -> str:
        """The line's payload; `number` is the attempt's id."""
        return f"NETRUN {number} {self.count} {self.reps}"


Request = Greet | Calibrate | Run | Begin | Place | RunNetwork

# --- answers -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hello:
    """Who the board is, and what it has.

    Attributes:
        board, core: ids, such as ``stm32f746`` and ``cortex-m7``.
        timer, timer_hz: what counts the ticks, and how many there are in a second.
        clock_hz: of the core.
        arena_bytes, weight_bytes: room for tensors and for weights.
        placement, cache, kernels: parts of a table's identity; `kernels` has name, version and
            build.
    """

    board: str
    core: str
    timer: str
    timer_hz: int
    clock_hz: int
    arena_bytes: int
    weight_bytes: int
    placement: str
    cache: str
    kernels: str


@dataclass(frozen=True)
class Calibrated:
    """``C``: ticks that `instructions` instructions took."""

    number: int
    instructions: int
    ticks: int


@dataclass(frozen=True)
class Accepted:
    """``A``: a list was begun, or its operator `value` placed."""

    number: int
    value: int


@dataclass(frozen=True)
class Result:
    """``R``: ticks of each run, and the CRC-32 of the output."""

    number: int
    ticks: tuple[int, ...]
    crc: int


@dataclass(frozen=True)
class Failure:
    """``E``: the board cannot do it; `number` is 0 where it could not read the request."""

    number: int
    code: str
    detail: str


Answer = Hello | Calibrated | Accepted | Result | Failure
ANSWERS: tuple[type, ...] = get_args(Answer)


def parse_answer(payload: str) -> Answer:
    """What a board's payload says.

    Raises:
        GarbledError: not an answer of the protocol.
        VersionError: a ``HELLO`` of another version.
    """
    match payload.split(" "):
        case ["HELLO", version, *_] if version != VERSION:
            raise VersionError(
                f"the board speaks {version}, this program {VERSION}: flash the firmware of this "
                "version (docs/firmware.md)"
            )
        case ["HELLO", _, board, core, timer, hz, clock, arena, weights, place, cache, kernels]:
            numbers = (_number(hz, 1), _number(clock, 1), _number(arena), _number(weights))
            return Hello(board, core, timer, *numbers, place, cache, kernels)
        case ["C", number, instructions, ticks]:
            return Calibrated(_number(number), _number(instructions), _number(ticks))
        case ["A", number, value]:
            return Accepted(_number(number), _number(value))
        case ["R", number, reps, *ticks, crc] if 1 <= len(ticks) == _number(reps) <= MAX_REPS:
            return Result(_number(number), tuple(map(_number, ticks)), _hexadecimal(crc))
        case ["E", number, code, *detail]:
            return Failure(_number(number), code, " ".join(detail))
    raise GarbledError(f"not an answer: {payload!r}")


def _number(word: str, least: int = 0) -> int:
    if not word.isdecimal() or len(word) > 20 or int(word) < least:
        raise GarbledError(f"not a number of at least {least}: {word[:40]!r}")
    return int(word)


def _hexadecimal(word: str) -> int:
    if len(word) != _CHECK_DIGITS or set(word) - set("0123456789ABCDEFabcdef"):
        raise GarbledError(f"not a CRC: {word[:40]!r}")
    return int(word, 16)
