"""How bytes become the float input of a model that was trained elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybrid_nas.errors import InputError


@dataclass(frozen=True)
class Normalisation:
    """``(x / 255 - mean) / std``, with one value for all channels, or one per channel.

    The default maps 0 .. 255 to -1 .. 1.
    """

    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)

    def __post_init__(self) -> None:
        values = (*self.mean, *self.std)
        if not self.mean or not self.std or not all(np.isfinite(values)) or min(self.std) <= 0:
            raise InputError(
                f"normalisation by mean {self.mean} and std {self.std} is impossible: expected "
                "finite numbers, and std above zero"
            )

    def check_channels(self, channels: int) -> None:
        """Raise an InputError unless there is one value, or one per channel."""
        for title, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, channels):
                raise InputError(
                    f"{title} has {len(values)} values: expected one, or one for each of the "
                    f"model's {channels} input channels"
                )


HALF = "half"
NAMED = {
    HALF: Normalisation(),
    "imagenet": Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "unit": Normalisation((0.0,), (1.0,)),
}
"""``half`` gives -1 .. 1, ``unit`` 0 .. 1; ``imagenet`` is what torchvision's models are trained
with (https://docs.pytorch.org/vision/stable/models.html)."""


def parse_normalisation(text: str) -> Normalisation:
    """A normalisation by its name, or by numbers: ``MEAN/STD``, each one or one per channel.

    Raises:
        InputError: for a text that is neither.

    >>> parse_normalisation("0.1307/0.3081")
    Normalisation(mean=(0.1307,), std=(0.3081,))
    """
    word = text.strip()
    if word in NAMED:
        return NAMED[word]
    mean, _, std = word.partition("/")
    try:
        return Normalisation(_numbers(mean), _numbers(std))
    except ValueError as error:
        raise InputError(
            f"normalisation {text!r} is none: expected {', '.join(NAMED)}, or MEAN/STD in shares "
            "of 255, e.g. 0.1307/0.3081 or 0.49,0.48,0.45/0.25,0.24,0.26"
        ) from error


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(number) for number in text.split(","))
