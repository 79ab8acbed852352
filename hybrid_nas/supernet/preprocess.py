"""From stored uint8 images to what a network reads.

Resizing averages (antialiased bilinear) and rounds to whole grey levels, because a device resizes
into a byte buffer; then ``(x / 255 - 0.5) / 0.5``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hybrid_nas.typing import ByteArray

MEAN = 0.5
STD = 0.5


def resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """uint8 (n, c, h, w) to uint8 (n, c, *size)."""
    if tuple(images.shape[2:]) == size:
        return images
    scaled = torch.nn.functional.interpolate(
        images.float(), size=size, mode="bilinear", antialias=True, align_corners=False
    )
    return scaled.round_().clamp_(0, 255).to(torch.uint8)


def scale(images: Tensor) -> Tensor:
    """uint8 (n, c, h, w) to float32 in [-1, 1], laid out in memory as the images are."""
    return images.to(torch.float32).mul_(1 / (255 * STD)).sub_(MEAN / STD)


def normalise(images: Tensor) -> Tensor:
    """uint8 (n, c, h, w) to float32 in [-1, 1], channels last in memory."""
    return scale(images).contiguous(memory_format=torch.channels_last)


def to_tensor(images: ByteArray) -> Tensor:
    """uint8 NumPy (n, h, w, c) to uint8 tensor (n, c, h, w), without a copy."""
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def prepare(images: ByteArray, size: tuple[int, int]) -> Tensor:
    """Stored images to network input of the given (height, width)."""
    return normalise(resize(to_tensor(images), size))
