"""The quantisation scheme: TFLite's, as microcontroller runtimes expect it.

int8 activations with one scale and zero point per tensor; int8 weights, symmetric, with one scale
per output channel; int32 biases (Jacob et al., CVPR 2018; the TFLite 8-bit quantisation
specification). ``real = scale * (q - zero)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

Q_MIN, Q_MAX = -128, 127
WEIGHT_MAX = 127
"""Weights stay within -127..127, so that their negative exists."""
_SMALLEST_SCALE = 1e-8


@dataclass(frozen=True)
class Affine:
    """Scale and zero point of one activation tensor."""

    scale: float
    zero: int

    @classmethod
    def of_range(cls, low: float, high: float) -> Affine:
        """The scheme that covers [low, high], widened to hold 0 exactly.

        >>> Affine.of_range(0.0, 6.0).zero
        -128
        """
        low, high = min(low, 0.0), max(high, 0.0)
        scale = max((high - low) / (Q_MAX - Q_MIN), _SMALLEST_SCALE)
        return cls(scale, min(Q_MAX, max(Q_MIN, round(Q_MIN - low / scale))))

    def fake(self, x: Tensor) -> Tensor:
        """`x` rounded to what int8 can say; the gradient passes where nothing is clamped."""
        faked: Tensor = torch.fake_quantize_per_tensor_affine(
            x, self.scale, self.zero, Q_MIN, Q_MAX
        )
        return faked

    def quantise(self, x: Tensor) -> Tensor:
        """`x` as int8."""
        return torch.clamp(torch.round(x / self.scale) + self.zero, Q_MIN, Q_MAX).to(torch.int8)


IMAGE = Affine(2 / 255, 0)
"""Of the network's input: grey level u becomes the int8 u - 128, without arithmetic on the device.

Preprocessing gives (2u - 255) / 255, half a step above 2 (u - 128) / 255. Networks are therefore
quantised and trained on the latter, by rounding down.
"""


def image_as_int8_sees_it(image: Tensor) -> Tensor:
    """Preprocessed images (multiples of 2/255, offset by half a step) as the int8 input says it."""
    return (torch.floor(image / IMAGE.scale + 0.25)) * IMAGE.scale


def weight_scales(weight: Tensor) -> Tensor:
    """Scale of each output channel, float32 (cout,), for weights (cout, ...)."""
    return weight.detach().flatten(1).abs().amax(1).clamp_min(_SMALLEST_SCALE) / WEIGHT_MAX


def fake_weight(weight: Tensor) -> Tensor:
    """Weights rounded to int8 per output channel; the gradient passes."""
    scales = weight_scales(weight)
    zeros = torch.zeros(len(scales), dtype=torch.int32, device=weight.device)
    faked: Tensor = torch.fake_quantize_per_channel_affine(
        weight, scales, zeros, 0, -WEIGHT_MAX, WEIGHT_MAX
    )
    return faked
