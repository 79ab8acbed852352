"""From a board's timer ticks to cycles or instructions, checked by ``CAL``."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hybrid_nas.errors import HybridNasError
from hybrid_nas.profiling.protocol import Calibrate, Calibrated, Failure
from hybrid_nas.profiling.session import Session

_SHORT = 10_000
_LONG = 2_010_000
_MOST_INSTRUCTIONS = 100_000_000
_TRIES = 3
_CLOCK_TRIES = 4
_CLOCK_TOLERANCE = 0.05
_COUNT_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Scale:
    """What a tick is.

    Attributes:
        units: cycles or instructions in a tick.
        seconds: of waiting that a tick takes; for time-outs only.
        ticks_per_instruction: of the calibration's instructions.
        warning: what looks wrong with the clock, in words; None where nothing does.
    """

    units: float
    seconds: float
    ticks_per_instruction: float
    warning: str | None = None


def board_scale(session: Session, check_s: float) -> Scale:
    """Ticks to cycles of the core's clock; the timer is compared with this machine's clock.

    Args:
        session: with a real board.
        check_s: how long to compare; 0 does not. Half a second resolves a per cent over USB.
    """
    hello = session.hello
    short = _calibrate(session, _SHORT)
    per_instruction = short.ticks / _SHORT
    warning = None
    if check_s > 0:
        wanted = check_s * hello.timer_hz / per_instruction
        thousands = max(2 * _SHORT, min(wanted, _MOST_INSTRUCTIONS)) // 1000
        for _ in range(_CLOCK_TRIES):  # a busy machine notices an answer late, not always
            long = _calibrate(session, int(thousands) * 1000, check_s)
            per_instruction = long.ticks / long.instructions
            said, took = (long.ticks - short.ticks) / hello.timer_hz, long.seconds - short.seconds
            if long.repeated or abs(said / took - 1) <= _CLOCK_TOLERANCE:
                warning = None
                break
            warning = (
                f"{hello.board}: its timer ({hello.timer}, {hello.timer_hz} Hz) says {said:.3f} s "
                f"where {took:.3f} s passed; latencies in ms will be wrong by that factor: check "
                "the firmware's clock settings"
            )
    scale = hello.clock_hz / hello.timer_hz
    return Scale(scale, 1 / hello.timer_hz, per_instruction, warning)


def emulated_scale(session: Session) -> Scale:
    """Ticks to instructions of an emulator in which an instruction takes 2^n virtual ns.

    The slope between two calibrations is rounded to the nearest such n, so that the scale has no
    error of measurement and two sessions give the same rows.

    Raises:
        HybridNasError: the timer does not count instructions.
    """
    short, long = _calibrate(session, _SHORT), _calibrate(session, _LONG)
    slope = (long.ticks - short.ticks) / (_LONG - _SHORT)
    if slope <= 0:
        raise HybridNasError(
            "the emulated board's timer stands still: is the firmware's image old?"
        )
    tick_ns = 1e9 / session.hello.timer_hz
    exact = 2.0 ** round(math.log2(slope * tick_ns)) / tick_ns
    if abs(slope / exact - 1) > _COUNT_TOLERANCE:
        raise HybridNasError(
            f"the emulator does not count instructions ({slope:.5f} ticks in one, {exact:.5f} "
            "expected): it must run with -icount and a fixed shift"
        )
    return Scale(1 / exact, long.seconds / long.ticks, exact)


@dataclass(frozen=True)
class _Calibration:
    instructions: int
    ticks: int
    seconds: float
    repeated: bool


def _calibrate(session: Session, instructions: int, predicted_s: float = 0.0) -> _Calibration:
    """Timed at the first attempt where that works: a repeated line spoils this machine's time."""
    for attempt in range(_TRIES):
        reply = session.ask(Calibrate(instructions), Calibrated, predicted_s)
        answer = reply.answer
        if isinstance(answer, Failure):
            raise HybridNasError(f"the board cannot calibrate: {answer.code} {answer.detail}")
        if answer.ticks == 0:
            raise HybridNasError(f"the board's timer {session.hello.timer} stands still")
        if reply.attempts == 1 or attempt == _TRIES - 1:
            return _Calibration(instructions, answer.ticks, reply.seconds, reply.attempts > 1)
    raise AssertionError("the last try returns")
