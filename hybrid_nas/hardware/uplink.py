"""The image that a hybrid keeps in memory until its router has decided.

When the router says *send*, the image must still be there. ``--uplink-image`` says what is kept:

* ``none``: nothing (the network alone);
* ``input``: the network's own input tensor stays live to the end;
* ``WxHxC``: another picture of that size, one byte per value, beside the input;
* ``jpeg:SIZE``: a compressed picture of at most that size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hybrid_nas.errors import InputError
from hybrid_nas.units import parse_bytes

_SHAPE = re.compile(r"(\d{1,5})x(\d{1,5})x(\d{1,3})")


@dataclass(frozen=True)
class UplinkImage:
    """What is held live: the input tensor (``holds_input``), or ``extra_bytes`` beside it.

    Example:
        >>> UplinkImage.parse("320x240x2").extra_bytes
        153600
        >>> UplinkImage.parse("input")
        UplinkImage(text='input', holds_input=True, extra_bytes=0)
    """

    text: str = "none"
    holds_input: bool = False
    extra_bytes: int = 0

    @classmethod
    def parse(cls, text: str) -> UplinkImage:
        """Read ``none``, ``input``, ``WxHxC`` or ``jpeg:SIZE``.

        Raises:
            InputError: anything else.
        """
        word = text.strip().lower()
        if word == "none":
            return cls(word)
        if word == "input":
            return cls(word, holds_input=True)
        if word.startswith("jpeg:"):
            return cls(word, extra_bytes=parse_bytes(text.strip()[len("jpeg:") :]))
        match = _SHAPE.fullmatch(word)
        if match is None or "0" in match.groups():
            raise InputError(
                f"uplink image {text!r} must be none, input, WIDTHxHEIGHTxCHANNELS (160x120x2) or "
                "jpeg:SIZE (jpeg:12KB)"
            )
        width, height, channels = map(int, match.groups())
        return cls(word, extra_bytes=width * height * channels)

    def __str__(self) -> str:
        """The text that `parse` reads."""
        return self.text


NO_UPLINK = UplinkImage()
