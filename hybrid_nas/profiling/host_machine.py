"""What this computer's processor is called, and how fast its clock is."""

from __future__ import annotations

import platform
import re
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_HIGHEST_KHZ = Path("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")
UNKNOWN_HZ = 1_000_000_000


def core_name(cpuinfo: Path = _CPUINFO) -> str:
    """Model name of the processor, or its architecture where the system does not say."""
    name = re.search(r"^model name\s*:\s*(.+)$", _text(cpuinfo), re.MULTILINE)
    return " ".join((name[1] if name else platform.processor() or platform.machine()).split())


def clock_hz(cpuinfo: Path = _CPUINFO, highest_khz: Path = _HIGHEST_KHZ) -> int:
    """The highest clock, else the present one to 100 MHz, else 1 GHz.

    Times are in microseconds, so that this is only a part of the name of the machine; it must be
    the same tomorrow, which the present clock of a processor that saves power is not.
    """
    highest = _text(highest_khz).strip()
    if highest.isdigit() and int(highest):
        return int(highest) * 1000
    present = re.search(r"^cpu MHz\s*:\s*([\d.]+)$", _text(cpuinfo), re.MULTILINE)
    return max(round(float(present[1]) / 100), 1) * 100_000_000 if present else UNKNOWN_HZ


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
