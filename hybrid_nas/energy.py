"""Energies, powers and batteries as people write them, and how long a charge lasts."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hybrid_nas.errors import InputError

_NUMBER = r"([0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})"
_ENERGY = re.compile(rf"{_NUMBER}\s*(uJ|mJ|J)")
_POWER = re.compile(rf"{_NUMBER}\s*(nW|uW|mW|W)")
_CHARGE = re.compile(rf"{_NUMBER}\s*(mAh|Ah)\s*@\s*{_NUMBER}\s*V")
_CAPACITY = re.compile(rf"{_NUMBER}\s*(mWh|Wh)")
_FACTORS = {"n": 1e-6, "u": 1e-3, "m": 1.0, "": 1e3}
"""Thousandths of a unit, by the prefix of the unit."""

DAY_S = 86_400
HOUR_S = 3_600


def parse_mj(text: str) -> float:
    """Millijoules from text such as ``5mJ`` or ``0.2J``; `InputError` for anything else, and 0.

    >>> parse_mj("5mJ"), parse_mj("0.2 J")
    (5.0, 200.0)
    """
    match = _ENERGY.fullmatch(_plain(text))
    value = 0.0 if match is None else float(match[1]) * _FACTORS[match[2][:-1]]
    if not value > 0:
        raise InputError(f"energy {text!r} must be above 0 and have a unit: 5mJ, 200uJ or 0.1J")
    return value


def parse_mw(text: str) -> float:
    """Milliwatts from text such as ``50uW``; `InputError` for anything else.

    >>> parse_mw("50uW")
    0.05
    """
    match = _POWER.fullmatch(_plain(text))
    if match is None:
        raise InputError(f"power {text!r} must have a unit: 50uW, 1.5mW or 0.1W")
    return float(match[1]) * _FACTORS[match[2][:-1]]


def _plain(text: str) -> str:
    """Without spaces around; both letters that look like a mu as u."""
    return text.strip().replace("\N{MICRO SIGN}", "u").replace("\N{GREEK SMALL LETTER MU}", "u")


@dataclass(frozen=True)
class Battery:
    """A battery by its energy; ageing, self-discharge and the converter's losses are not counted.

    >>> Battery.parse("1000mAh@3.7V").energy_mj
    13320000.0
    """

    energy_mj: float

    @classmethod
    def parse(cls, text: str) -> Battery:
        """Read ``1000mAh@3.7V`` or ``3.7Wh``.

        Raises:
            InputError: anything else, and an empty battery.
        """
        word = text.strip()
        if match := _CHARGE.fullmatch(word):
            mwh = float(match[1]) * _FACTORS[match[2][:-2]] * float(match[3])
        elif match := _CAPACITY.fullmatch(word):
            mwh = float(match[1]) * _FACTORS[match[2][:-2]]
        else:
            mwh = 0.0
        if not mwh > 0:
            raise InputError(f"battery {text!r} must be like 1000mAh@3.7V or 3.7Wh, and not empty")
        return cls(mwh * HOUR_S)

    def days(self, per_day: float, inference_mj: float, sleep_mw: float = 0.0) -> float:
        """Days that a charge lasts.

        Args:
            per_day: inputs a day.
            inference_mj: mean energy of one, queries included.
            sleep_mw: power all the time beside them.
        """
        return self.energy_mj / (per_day * inference_mj + sleep_mw * DAY_S)
