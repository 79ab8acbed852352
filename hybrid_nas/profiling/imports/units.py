"""Ticks, cycles and times of a log in the one unit of a table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from hybrid_nas.errors import InputError
from hybrid_nas.profiling.imports.attach import Timed
from hybrid_nas.profiling.imports.log import Facts, Unit

_SLACK = 0.02
_FREQUENCY = re.compile(r"([\d_]+(?:\.\d+)?(?:e\d+)?) ?([kMG]?)(?:Hz)?", re.I)


def parse_hz(text: object) -> int:
    """A frequency such as ``216MHz``, ``25e6`` or ``400000000``, in hertz.

    Raises:
        InputError: it is none, or not above 0.

    >>> parse_hz("216MHz"), parse_hz("32768"), parse_hz("1.5 MHz")
    (216000000, 32768, 1500000)
    """
    match = _FREQUENCY.fullmatch(str(text).strip())
    factor = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
    value = float(match[1].replace("_", "")) * factor[match[2].lower()] if match else 0.0
    if not 1 <= value <= 1e12:
        raise InputError(f"{str(text)!r} is not a frequency: write it like 216MHz or 216000000")
    return round(value)


def table_unit(units: Sequence[Unit], tick_hz: float | None, clock_hz: int | None) -> Unit:
    """The unit of the table: the log's own; ticks become cycles, or ms at another frequency."""
    distinct = set(units)
    if distinct == {"ticks"}:
        return "cycles" if tick_hz is None or tick_hz == clock_hz else "ms"
    return next(iter(distinct)) if len(distinct) == 1 else "ms"


def ms_per(unit: Unit, tick_hz: float | None, clock_hz: int | None) -> float:
    """Milliseconds of one `unit`.

    Raises:
        InputError: the frequency that it needs is not known, or it is a count of instructions.
    """
    if unit in ("ms", "us"):
        return 1.0 if unit == "ms" else 1e-3
    if unit == "instructions":
        raise InputError("instructions are no time: they cannot stand beside other units")
    rate = (tick_hz or clock_hz) if unit == "ticks" else clock_hz
    if rate is None:
        raise InputError(f"the log counts {unit}: give --clock-hz, the frequency of the core")
    return 1e3 / rate


def check_tick_rate(facts: Facts, tick_hz: float | None, clock_hz: int | None, name: str) -> None:
    """Compare the frequency with what the log prints in ticks and milliseconds side by side.

    Raises:
        InputError: they contradict each other.
    """
    rate = tick_hz or clock_hz
    if facts.tick_range_hz is None or rate is None:
        return
    low, high, line = facts.tick_range_hz
    if not low * (1 - _SLACK) <= rate <= high * (1 + _SLACK):
        raise InputError(
            f"{name}: line {line} gives ticks and milliseconds of a timer of {low / 1e6:.4g} to "
            f"{high / 1e6:.4g} MHz, not of {rate / 1e6:.4g} MHz: give --tick-hz, or the right "
            "--clock-hz"
        )


def convert(timed: Sequence[Timed], scale: float) -> tuple[Timed, ...]:
    """The operators with values and spreads multiplied by `scale`."""
    return tuple(
        replace(
            one,
            values=tuple(value * scale for value in one.values),
            row=replace(one.row, spread=None if one.row.spread is None else one.row.spread * scale),
        )
        for one in timed
    )
