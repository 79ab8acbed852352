"""Numbers as people read them; what is not known is a dash."""

from __future__ import annotations

import unicodedata

from hybrid_nas.report.front import Front, Limits, Pair
from hybrid_nas.report.result import Result
from hybrid_nas.units import format_bytes, format_ms

DASH = "–"
_METHODS = {
    "router": "router",
    "entropy": "entropy",
    "msp": "max softmax",
    "margin": "margin",
    "oracle": "oracle",
}
_LATENCY_WORDS = {
    "measured": "Measured: the sum over operators that were timed on this board.",
    "emulated": "Emulated: from instruction counts of an emulated core, not from a clock.",
    "predicted": "Predicted: fitted to a latency table, where operators were not timed themselves.",
}


def percent(share: float | None, digits: int = 1) -> str:
    """A share as a percentage: ``93.1 %``."""
    return DASH if share is None else f"{100 * share:.{digits}f} %"


def accuracy(result: Result) -> str:
    """An accuracy with one standard error: ``93.1 % ± 0.6``."""
    if result.accuracy is None or result.stderr is None:
        return percent(result.accuracy)
    return f"{percent(result.accuracy)} ± {100 * result.stderr:.1f}"


def bare_accuracy(result: Result) -> str:
    """The same for columns that have the unit in their heading: ``93.1 ± 0.6``."""
    return accuracy(result).replace(" %", "")


def scaled(value: float | None, unit: float = 1.0) -> str:
    """`value` in `unit`, for such columns: to one decimal, two below 10 and none from 1000 on.

    >>> scaled(327_680, 1024), scaled(8_790_000, 1e6), scaled(2000.4)
    ('320.0', '8.79', '2000')
    """
    if value is None:
        return DASH
    number = value / unit
    if abs(number) >= 999.95:
        return f"{number:.0f}"
    return f"{number:.1f}" if abs(number) >= 9.995 else f"{number:.2f}"


def significant(value: float | None) -> str:
    """`value` to three significant digits, for such columns: ``0.0123``, ``24.2``, ``1467``.

    >>> significant(0.01234), significant(24.21), significant(1467.2)
    ('0.0123', '24.2', '1467')
    """
    if value is None:
        return DASH
    return f"{value:.0f}" if abs(value) >= 99.95 else f"{value:.3g}"


def energy(energy_mj: float | None) -> str:
    """An energy: ``24.2 mJ``."""
    return DASH if energy_mj is None else f"{significant(energy_mj)} mJ"


def points(difference: float | None) -> str:
    """A difference of two shares in percentage points, with its sign: ``+1.1``."""
    if difference is None:
        return DASH
    text = f"{100 * difference:+.1f}"
    return "0.0" if text in ("-0.0", "+0.0") else text.replace("-", "\N{MINUS SIGN}")


def coverage(key: str | float) -> str:
    """A coverage, or its key, as a percentage: ``70 %``. A key that is no number stays as it is."""
    try:
        return f"{round(100 * float(key), 6):g} %"
    except ValueError:
        return str(key)


def count(value: float | None) -> str:
    """A number of things to three digits: ``12.8 M``, ``740 k``."""
    if value is None:
        return DASH
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * factor:
            scaled = value / factor
            return f"{scaled:.0f} {unit}" if scaled >= 99.95 else f"{scaled:#.3g} {unit}"
    return f"{value:g}"


def size(size_bytes: int | None) -> str:
    """A size: ``308 KB``."""
    return DASH if size_bytes is None else format_bytes(size_bytes)


def time(time_ms: float | None) -> str:
    """A time: ``640 ms``."""
    return DASH if time_ms is None else format_ms(time_ms)


def method(name: str) -> str:
    """A routing method in words."""
    return _METHODS.get(name, name)


def latency_kind(word: str) -> str:
    """What ``measured``, ``emulated`` or ``predicted`` means."""
    return _LATENCY_WORDS.get(word, f"Called {word!r} by the run.")


def network(pair: Pair) -> str:
    """Input size and width of a pair's base: ``56 px, w 0.5``."""
    parts = []
    if pair.base.resolution is not None:
        parts.append(f"{pair.base.resolution} px")
    if pair.base.width is not None:
        parts.append(f"w {pair.base.width:g}")
    return ", ".join(parts) or DASH


def fit(used: int | None, limit: int | None) -> str:
    """How a size stands to its limit: ``308 KB of 320 KB (12 KB to spare)``."""
    if used is None or limit is None:
        return size(used)
    spare = limit - used
    rest = f"{format_bytes(spare)} to spare" if spare >= 0 else f"{format_bytes(-spare)} too much"
    return f"{format_bytes(used)} of {format_bytes(limit)} ({rest})"


def question(front: Front) -> str:
    """What the run was asked for: ``at 70 % coverage``, ``at a mean latency of at most 1 s``."""
    asked = front.question
    if asked.max_loss is not None:
        return f"at most {100 * asked.max_loss:g} points below the cloud alone"
    budgets = []
    if asked.mean_latency_ms is not None:
        budgets.append(f"a mean latency of at most {format_ms(asked.mean_latency_ms)}")
    if asked.mean_energy_mj is not None:
        budgets.append(f"a mean energy of at most {energy(asked.mean_energy_mj)}")
    return f"at {' and '.join(budgets) or coverage(front.target) + ' coverage'}"


def limits(allowed: Limits) -> str:
    """The limits in words: ``320 KB of SRAM, 1 MB of flash``."""
    parts = []
    if allowed.sram_bytes is not None:
        parts.append(f"{format_bytes(allowed.sram_bytes)} of SRAM")
    if allowed.flash_bytes is not None:
        parts.append(f"{format_bytes(allowed.flash_bytes)} of flash")
    if allowed.latency_ms is not None:
        parts.append(f"{format_ms(allowed.latency_ms)} on the device")
    return ", ".join(parts) or "no limits"


def printable(text: str, longest: int = 60) -> str:
    """`text` without control characters, cut to a length that a plot's label has room for."""
    clean = "".join(" " if unicodedata.category(c)[0] == "C" else c for c in text)
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"
