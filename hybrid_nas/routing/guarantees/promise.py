"""What may be promised about a threshold, and how it is written: ``loss<=0.01@0.95``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from hybrid_nas.errors import InputError

KINDS = ("loss", "accuracy", "risk", "queries")
"""The figures that may be promised (`Promise`)."""

_AT_LEAST = ("accuracy",)
_NEED_CONFIDENCE = ("accuracy", "risk")
_SPEC = re.compile(r"\s*([A-Za-z-]+)\s*(<=|>=)\s*([^@\s]+)\s*(?:@\s*(\S+)\s*)?")
_EXAMPLES = "'loss<=0.01', 'queries<=0.3@0.95', 'accuracy>=0.95@0.95' or 'risk<=0.05@0.95'"


@dataclass(frozen=True)
class Promise:
    """A bound on a figure of further inputs, not yet calibrated.

    Args:
        kind: `loss`, the share of inputs that are kept and wrong where the cloud is right;
            `accuracy`, of the hybrid; `risk`, the share of wrong ones among the kept inputs, as an
            abstaining classifier is judged; `queries`, the share of inputs that are sent.
        level: the bound, in (0, 1): from below for `accuracy`, from above for the others.
        confidence: the probability, over the draw of the calibration data, that the bound holds;
            None bounds the expectation over that draw, for `loss` and `queries` alone.

    Raises:
        InputError: for an unknown kind, a number that is no share, or a missing confidence.
    """

    kind: str
    level: float
    confidence: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(
                f"{self.kind!r} cannot be promised: expected one of {', '.join(KINDS)}"
            )
        for what, share in (("level", self.level), ("confidence", self.confidence)):
            if share is not None and not 0.0 < share < 1.0:
                raise InputError(
                    f"{what} {share:g} of a promise about {self.kind} is out of range: expected a "
                    "share above 0 and below 1, such as 0.95"
                )
        if self.confidence is None and self.kind in _NEED_CONFIDENCE:
            raise InputError(
                f"a promise about {self.kind} holds with a confidence only, as it may rise and "
                f"fall with the threshold: write it like {self.text}@0.95"
            )

    @property
    def tolerance(self) -> float:
        """The bound as a share of inputs that may be lost: `level`, or 1 - `level` of accuracy."""
        return 1.0 - self.level if self.kind in _AT_LEAST else self.level

    @property
    def delta(self) -> float | None:
        """The probability with which it may fail; None in expectation."""
        return None if self.confidence is None else 1.0 - self.confidence

    @property
    def text(self) -> str:
        """The promise as `parse_promise` reads it."""
        sign = ">=" if self.kind in _AT_LEAST else "<="
        confidence = "" if self.confidence is None else f"@{self.confidence:g}"
        return f"{self.kind}{sign}{self.level:g}{confidence}"


def parse_promise(text: str) -> Promise:
    """A promise from text such as ``loss<=0.01``, ``queries<=30%@95%`` or ``accuracy>=0.95@0.95``.

    Raises:
        InputError: for anything else, naming what is wrong with it.

    >>> parse_promise("queries<=30%@95%")
    Promise(kind='queries', level=0.3, confidence=0.95)
    """
    match = _SPEC.fullmatch(text)
    if match is None:
        hint = ""
        if text.strip().lower() in KINDS:  # what is left where the shell takes > as a redirection
            hint = "; quote it, or the shell takes < and > for redirections"
        _refuse(text, f"expected one of {_EXAMPLES}{hint}")
    kind, sign = match[1].lower(), match[2]
    if kind not in KINDS:
        _refuse(text, f"{match[1]!r} is none of {', '.join(KINDS)}")
    expected = ">=" if kind in _AT_LEAST else "<="
    if sign != expected:
        bounded = "below" if kind in _AT_LEAST else "above"
        _refuse(text, f"{kind} is bounded from {bounded}: write {kind}{expected}{match[3]}")
    level = _share(text, match[3])
    confidence = None if match[4] is None else _share(text, match[4])
    try:
        return Promise(kind, level, confidence)
    except InputError as error:
        _refuse(text, str(error))


def _share(text: str, number: str) -> float:
    percent = number.endswith("%")
    try:
        value = float(number[:-1] if percent else number)
    except ValueError:
        _refuse(text, f"{number!r} is no share, such as 0.05 or 5%")
    return value / 100.0 if percent else value


def _refuse(text: str, why: str) -> NoReturn:
    raise InputError(f"{text!r} is no guarantee: {why}")
