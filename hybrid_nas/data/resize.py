"""Resizing whole batches of uint8 images at once."""

from __future__ import annotations

import re

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.typing import ByteArray, Float32Array

MAX_SIDE = 1024
_BLOCK = 256


def parse_image_size(text: str) -> tuple[int, int]:
    """Read ``HxW`` (or one number for a square) as (height, width).

    Example:
        >>> parse_image_size("48x64"), parse_image_size("96")
        ((48, 64), (96, 96))
    """
    match = re.fullmatch(r"(\d+)(?:[xX](\d+))?", text.strip())
    if match is None:
        raise InputError(f"image size {text!r} is not HxW with whole numbers, for example 64x48")
    height = int(match[1])
    return check_image_size((height, int(match[2]) if match[2] else height))


def check_image_size(size: tuple[int, int]) -> tuple[int, int]:
    """`size` as it is, or an InputError when a side is not in 1 .. 1024."""
    if not all(1 <= side <= MAX_SIDE for side in size):
        raise InputError(
            f"image size {size[0]}x{size[1]} (height x width) is out of range: each side must be "
            f"in 1 .. {MAX_SIDE} pixels"
        )
    return size


def resize_images(images: ByteArray, size: tuple[int, int]) -> ByteArray:
    """Resize (n, h, w, c) images to (height, width) by a triangle filter.

    Linear interpolation when enlarging; when shrinking, the filter widens with the scale so that
    every source pixel counts (antialiasing), as Pillow's ``BILINEAR`` does. The aspect ratio is not
    kept.
    """
    n, height, width, channels = images.shape
    if (height, width) == size:
        return images
    rows, columns = _filter(height, size[0]), _filter(width, size[1])
    out = np.empty((n, *size, channels), np.uint8)
    for start in range(0, n, _BLOCK):
        block = images[start : start + _BLOCK].astype(np.float32)
        tall = rows @ block.reshape(len(block), height, width * channels)
        wide = columns @ tall.reshape(-1, width, channels)
        out[start : start + _BLOCK] = (np.clip(wide, 0, 255) + 0.5).reshape(-1, *size, channels)
    return out


def _filter(source: int, target: int) -> Float32Array:
    """Weights (target, source) of the triangle filter; each row sums to one."""
    scale = source / target
    reach = max(scale, 1.0)
    centre = (np.arange(target) + 0.5) * scale
    distance = np.abs(np.arange(source)[None, :] + 0.5 - centre[:, None]) / reach
    weights = np.maximum(0.0, 1 - distance)
    normalised: Float32Array = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return normalised
