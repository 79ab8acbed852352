"""Sizes, times and shares as people write them, and back.

Sizes follow the chips' data sheets: ``320KB`` is 320 * 1024 bytes and ``1MB`` is 1024 * 1024.
``KiB``, ``kB`` and ``K`` mean the same as ``KB`` (published SRAM tables print kB for 1024 bytes),
and the case of letters does not matter, but for ``Kb``, ``Mb`` and ``Gb``: they are refused,
because a data sheet's "8 Mb flash" counts bits.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import NoReturn

from hybrid_nas.errors import InputError

KIB = 1024
MIB = 1024**2
GIB = 1024**3

_NUMBER = r"[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30}"  # bounded: no overflow of a float
_QUANTITY = re.compile(rf"({_NUMBER})\s*([^\s0-9.]*)", re.ASCII)
_DURATION = re.compile(
    rf"(?:({_NUMBER})\s*h)?\s*(?:({_NUMBER})\s*m(?:in)?)?\s*(?:({_NUMBER})\s*s)?", re.ASCII
)
_BIT_UNITS = {"Kb", "Mb", "Gb"}
_BYTES_PER_UNIT = {
    **dict.fromkeys(("", "b"), 1),
    **dict.fromkeys(("k", "kb", "kib"), KIB),
    **dict.fromkeys(("m", "mb", "mib"), MIB),
    **dict.fromkeys(("g", "gb", "gib"), GIB),
}
_MS_PER_UNIT = {"": Fraction(1), "us": Fraction(1, 1000), "ms": Fraction(1), "s": Fraction(1000)}
_EXAMPLES = {
    "size": "320KB, 1.5MB or 327680 (bytes)",
    "time": "1400ms, 1.4s or 1400 (milliseconds)",
    "duration": "5m, 90s, 1h30m or 300 (seconds)",
    "coverage": "0.7 or 70%",
}


def parse_bytes(text: str | int, *, allow_zero: bool = False) -> int:
    """A number of bytes from text such as ``320KB``; an integer is checked and given back.

    A fraction of a byte is dropped, so that a limit is never read larger than it was written.
    Raises `InputError` for anything else, and for 0 unless `allow_zero`.

    >>> parse_bytes("320KB"), parse_bytes("1.5 MiB"), parse_bytes("4096")
    (327680, 1572864, 4096)
    """
    if isinstance(text, int) and not isinstance(text, bool):
        return int(_at_least_zero(text, text, "size", allow_zero))
    number, unit = _quantity(text, "size")
    if unit in _BIT_UNITS:
        _refuse(text, "size", f"{unit} counts bits; {unit[0]}B counts bytes")
    factor = _BYTES_PER_UNIT.get(unit.lower())
    if factor is None:
        _refuse(text, "size", f"{unit!r} is no unit of size")
    return int(_at_least_zero(math.floor(number * factor), text, "size", allow_zero))


def parse_ms(text: str | float, *, allow_zero: bool = False) -> float:
    """Milliseconds from text such as ``1400ms``, ``1.4s``, ``250us`` or a plain number.

    Raises `InputError` for anything else, and for 0 unless `allow_zero`.

    >>> parse_ms("1.4s"), parse_ms("1400")
    (1400.0, 1400.0)
    """
    if _is_number(text):
        return _at_least_zero(float(text), text, "time", allow_zero)
    number, unit = _quantity(text, "time")
    factor = _MS_PER_UNIT.get(unit.lower())
    if factor is None:
        _refuse(text, "time", f"{unit!r} is no unit of time")
    return _at_least_zero(float(number * factor), text, "time", allow_zero)


def parse_duration_s(text: str | float) -> float:
    """Seconds from text such as ``5m``, ``90s``, ``1h30m`` or a plain number of seconds.

    Raises `InputError` for anything else, and for 0.

    >>> parse_duration_s("1h30m"), parse_duration_s("90")
    (5400.0, 90.0)
    """
    plain = str(text).strip()  # of more than float() strips
    if _is_number(text) or re.fullmatch(_NUMBER, plain, re.ASCII):
        return _at_least_zero(float(plain), text, "duration", allow_zero=False)
    match = _DURATION.fullmatch(plain.lower())
    if match is None or not any(match.groups()):
        _refuse(text, "duration")
    hours, minutes, seconds = (Fraction(part or "0") for part in match.groups())
    duration_s = float(3600 * hours + 60 * minutes + seconds)
    return _at_least_zero(duration_s, text, "duration", allow_zero=False)


def parse_coverage(text: str | float) -> float:
    """A coverage, in (0, 1], from ``0.7`` or ``70%``. Raises `InputError` for anything else.

    >>> parse_coverage("0.7"), parse_coverage("70%")
    (0.7, 0.7)
    """
    if _is_number(text):
        coverage = float(text)
    else:
        number, unit = _quantity(text, "coverage")
        if unit not in ("", "%"):
            _refuse(text, "coverage", f"{unit!r} is no unit of a share")
        coverage = float(number / 100 if unit else number)
    if not 0.0 < coverage <= 1.0:
        _refuse(text, "coverage", "it must be above 0 and at most 1")
    return coverage


def format_bytes(size_bytes: int) -> str:
    """A size to read, to at most one decimal, in the units that `parse_bytes` reads.

    >>> format_bytes(327680), format_bytes(1048576), format_bytes(1500), format_bytes(99)
    ('320 KB', '1 MB', '1.5 KB', '99 B')
    """
    magnitude = abs(size_bytes)
    for factor, unit in ((GIB, "GB"), (MIB, "MB"), (KIB, "KB")):
        # What would round to a full larger unit is printed in it: 1 MB, not 1024 KB.
        if magnitude >= factor - factor // KIB // 20:
            return f"{_one_decimal(size_bytes / factor)} {unit}"
    return f"{size_bytes} B"


def describe_bytes(size_bytes: int) -> str:
    """A size with its exact byte count, to show how a size was understood.

    >>> describe_bytes(327680)
    '320 KB (327,680 bytes)'
    """
    return f"{format_bytes(size_bytes)} ({size_bytes:,} bytes)"


def format_ms(time_ms: float) -> str:
    """A time to read: three significant digits below 1 s, whole milliseconds up to 10 s, then s.

    >>> format_ms(0.2514), format_ms(201.7), format_ms(2000.0), format_ms(12345.0)
    ('0.251 ms', '202 ms', '2000 ms', '12.3 s')
    """
    if abs(time_ms) >= 9999.5:
        return f"{_one_decimal(time_ms / 1000)} s"
    if abs(time_ms) >= 100:
        return f"{time_ms:.0f} ms"
    return f"{time_ms:.3g} ms"


def _quantity(text: str | float, what: str) -> tuple[Fraction, str]:
    match = _QUANTITY.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        _refuse(text, what)
    unit = match[2].replace("\N{MICRO SIGN}", "u").replace("\N{GREEK SMALL LETTER MU}", "u")
    return Fraction(match[1]), unit


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _at_least_zero(value: float, text: str | float, what: str, allow_zero: bool) -> float:
    if not math.isfinite(value) or value < 0 or (value == 0 and not allow_zero):
        _refuse(text, what, f"it must be {'0 or more' if allow_zero else 'above 0'}")
    return value


def _one_decimal(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _refuse(text: object, what: str, reason: str = "") -> NoReturn:
    why = f" ({reason})" if reason else ""
    raise InputError(f"{str(text)!r} is not a {what}{why}: write it like {_EXAMPLES[what]}")
