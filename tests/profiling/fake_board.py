"""A board in Python on a pseudo-terminal, written from ``docs/protocol.md`` alone.

Its ticks come from a formula, its outputs' CRCs from another, so that a test knows every row.
Faults are drawn from a seed, per line: what a bad cable, a slow board or a loose plug does.
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import select
import struct
import termios
import threading
import time
import tty
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hybrid_nas.spaces.opspec import OpSpec

KERNELS = "hnas-c-1.2-0123abcd"
TIMER_HZ = 25_000_000
TICKS_PER_INSTRUCTION = 3.2  # of 128 ns
WORK_BYTES = 8192
BOOT_TEXT = b"\r\n\x00\xffBoot ROM v2.1\r\nclock 216 MHz\r\nR 7 1 100 00000000*12345678\r\n"

Words = tuple[str, ...]


def op_instructions(words: Words) -> int:
    """What an operator of nine words takes, in instructions."""
    return 1000 + zlib.crc32(" ".join(words).encode()) % 1_000_000


def op_crc(words: Words) -> int:
    """CRC-32 of an operator's "output"."""
    return zlib.crc32(b"output of " + " ".join(words).encode())


def words_of(op: OpSpec) -> Words:
    """An operator's nine words, not by the program's own function."""
    sizes = (op.h, op.w, op.cin, op.cout, op.kernel, op.stride, op.padding)
    return (op.op, *(f"{size:d}" for size in sizes), op.activation)


def expected_crc(op: OpSpec) -> int:
    """What `BoardBackend` takes as ``expected_crc``."""
    return op_crc(words_of(op))


def expected_network_crc(ops: Sequence[OpSpec], weight_bytes: int) -> int:
    """What `BoardBackend` takes as ``expected_network_crc``."""
    return list_crc([words_of(op) for op in ops])


def list_crc(ops: Sequence[Words]) -> int:
    """CRC-32 of a network's "output"."""
    return zlib.crc32(repr([tuple(op) for op in ops]).encode())


@dataclass(frozen=True)
class Faults:
    """Probabilities per line, and when the board goes away for good.

    Attributes:
        corrupt: one bit of a line flips (newlines too), in requests and in answers.
        drop: a line is lost; half of the time only some of its bytes.
        delay, delay_s: the board is silent for so long before it answers.
        duplicate: an answer comes twice.
        reset: the board starts again, forgets its list and prints `BOOT_TEXT`.
        hang: it stays silent until the port is opened anew, which resets the board.
        unplug_after: requests after which the port vanishes; 0: never.
    """

    corrupt: float = 0.0
    drop: float = 0.0
    delay: float = 0.0
    delay_s: float = 0.05
    duplicate: float = 0.0
    reset: float = 0.0
    hang: float = 0.0
    unplug_after: int = 0


@dataclass(frozen=True)
class Profile:
    """What the board says of itself, and what it cannot do."""

    board: str = "fake"
    core: str = "cortex-m7"
    timer_hz: int = TIMER_HZ
    clock_hz: int = TIMER_HZ
    ticks_per_instruction: float = TICKS_PER_INSTRUCTION
    arena: int = 327_680
    weights: int = 262_144
    version: str = "hnas/1"
    kernels: str = KERNELS
    real_time: float = 0.0  # CAL takes so many seconds in a second of its timer
    wrong: frozenset[Words] = frozenset()  # computes these wrongly
    deadly: frozenset[Words] = frozenset()  # hangs in these
    jitter: tuple[int, ...] = (0,)  # added to the ticks of successive runs


class FakeBoard:
    """A thread that serves one pseudo-terminal; a context manager.

    Attributes:
        port: path of the pseudo-terminal.
        injected: how many faults of each kind were injected.
    """

    def __init__(self, profile: Profile | None = None, faults: Faults | None = None, seed: int = 0):
        self.profile = profile or Profile()
        self.faults = faults or Faults()
        self.injected: dict[str, int] = {}
        self.requests: list[str] = []
        self._random = random.Random(seed)
        self._list: list[Words | None] | None = None
        self._hung = False
        self._stop = threading.Event()
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.port = os.ttyname(slave)
        os.close(slave)
        os.set_blocking(self._master, False)
        # Packet mode: who opens a port flushes it, and the terminal tells this end so.
        fcntl.ioctl(self._master, termios.TIOCPKT, struct.pack("i", 1))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> FakeBoard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unplug it; may be called twice."""
        self._stop.set()
        self._thread.join()

    @property
    def unplugged(self) -> bool:
        """Whether the port is gone."""
        return self._stop.is_set()

    def mend(self) -> None:
        """From now on nothing goes wrong."""
        self.faults = Faults()

    # --- the line --------------------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            pending = b""
            while not self._stop.is_set():
                if not select.select([self._master], [], [], 0.005)[0]:
                    continue
                data = self._read()
                if data is None:  # nobody has it open
                    self._stop.wait(0.0005)
                elif data[0] & termios.TIOCPKT_FLUSHREAD:
                    pending, self._hung, self._list = b"", False, None
                elif data[0] == termios.TIOCPKT_DATA:
                    pending += data[1:]
                while b"\n" in pending and not self._stop.is_set():
                    line, _, pending = pending.partition(b"\n")
                    self._receive(line)
        finally:
            os.close(self._master)

    def _read(self) -> bytes | None:
        try:
            return os.read(self._master, 4096)
        except OSError as error:
            if error.errno == errno.EIO:
                return None
            if error.errno in (errno.EAGAIN, errno.EINTR):
                return bytes([termios.TIOCPKT_DATA])
            raise

    def _receive(self, line: bytes) -> None:
        line = self._damaged(line + b"\n")
        if self._happens("reset"):
            self._list = None
            self._write(BOOT_TEXT)
            return
        if self._happens("hang"):
            self._hung = True
        if self._hung or not line:
            return
        for part in line.split(b"\n"):  # a flipped bit can make a newline, or take one away
            if part:
                self._answer(part)

    def _answer(self, line: bytes) -> None:
        payload, star, check = line.rstrip(b"\r").rpartition(b"*")
        if not star or check != b"%08X" % zlib.crc32(payload):
            self._send("E 0 CKSUM")
            return
        self.requests.append(payload.decode())
        if 0 < self.faults.unplug_after <= len(self.requests):
            self._stop.set()
            return
        answer = self._handle(payload.decode().split(" "))
        if answer is not None:
            self._send(answer)

    def _send(self, payload: str) -> None:
        if self._happens("delay"):
            self._stop.wait(self.faults.delay_s)
        line = b"%s*%08X\n" % (payload.encode(), zlib.crc32(payload.encode()))
        for _ in range(2 if self._happens("duplicate") else 1):
            self._write(self._damaged(line))

    def _write(self, data: bytes) -> None:
        while data and not self._stop.is_set():
            try:
                data = data[os.write(self._master, data) :]
            except BlockingIOError:
                time.sleep(0.001)
            except OSError:
                return

    def _damaged(self, line: bytes) -> bytes:
        if self._happens("drop"):
            if self._random.random() < 0.5:
                return b""
            start = self._random.randrange(len(line))
            return line[:start] + line[start + self._random.randint(1, 8) :]
        if self._happens("corrupt"):
            place = self._random.randrange(len(line))
            flipped = line[place] ^ (1 << self._random.randrange(8))
            return line[:place] + bytes([flipped]) + line[place + 1 :]
        return line

    def _happens(self, fault: str) -> bool:
        happens = self._random.random() < getattr(self.faults, fault)
        if happens:
            self.injected[fault] = self.injected.get(fault, 0) + 1
        return happens

    # --- the firmware ----------------------------------------------------------------------------

    def _handle(self, words: list[str]) -> str | None:
        match words:
            case ["HELLO"]:
                p = self.profile
                return (
                    f"HELLO {p.version} {p.board} {p.core} systick {p.timer_hz} {p.clock_hz} "
                    f"{p.arena} {p.weights} sram none {p.kernels}"
                )
            case ["CAL", number, count]:
                ticks = round((int(count) + 12) * self.profile.ticks_per_instruction)
                time.sleep(self.profile.real_time * ticks / self.profile.timer_hz)
                return f"C {number} {count} {ticks}"
            case ["RUN", number, *op, reps] if len(op) == 9:
                return self._run(number, tuple(op), int(reps))
            case ["NET", number, count]:
                self._list = [None] * int(count)
                return f"A {number} {count}"
            case ["NOP", number, index, *rest] if len(rest) == 12:
                return self._place(number, int(index), list(map(int, rest[:3])), tuple(rest[3:]))
            case ["NETRUN", number, count, reps]:
                return self._run_list(number, int(count), int(reps))
        return f"E {words[1] if len(words) > 1 else 0} CMD {words[0]}"

    def _refusal(self, number: str, op: Words) -> str | None:
        if op[0] == "maxpool":
            return f"E {number} OP maxpool"
        needed = 12 * int(op[4])  # constants of each output channel
        if needed > WORK_BYTES:
            return f"E {number} NOMEM {needed} {WORK_BYTES} work"
        return None

    def _run(self, number: str, op: Words, reps: int) -> str | None:
        refusal = self._refusal(number, op)
        if refusal:
            return refusal
        if op in self.profile.deadly:
            self._hung = True
            return None
        crc = op_crc(op) ^ (op in self.profile.wrong)
        return f"R {number} {reps} {self._ticks(op_instructions(op), reps)} {crc:08X}"

    def _place(self, number: str, index: int, offsets: list[int], op: Words) -> str:
        if self._list is None or index >= len(self._list):
            return f"E {number} SEQ {index}"
        if any(
            offset % 4 or not -1 <= offset < self.profile.arena for offset in offsets if ~offset
        ):
            return f"E {number} ARGS offset"
        self._list[index] = op
        return self._refusal(number, op) or f"A {number} {index}"

    def _run_list(self, number: str, count: int, reps: int) -> str:
        ops = self._list
        if ops is None or len(ops) != count or None in ops:
            return f"E {number} SEQ"
        known = [op for op in ops if op is not None]
        total = sum(map(op_instructions, known))
        crc = list_crc(known) ^ any(op in self.profile.wrong for op in known)
        return f"R {number} {reps} {self._ticks(total, reps)} {crc:08X}"

    def _ticks(self, instructions: int, reps: int) -> str:
        ticks = round(instructions * self.profile.ticks_per_instruction)
        jitter = self.profile.jitter
        return " ".join(str(ticks + jitter[i % len(jitter)]) for i in range(reps))


def profile(**changes: object) -> Profile:
    """The default profile with changes."""
    return replace(Profile(), **changes)  # type: ignore[arg-type]
