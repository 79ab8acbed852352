"""Training augmentation of stored images: shifted crops and mirroring, a batch at a time."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from hybrid_nas.typing import ByteArray, IntArray

_BLOCK = 1024  # bounds the memory of the padded copies


def augment(images: ByteArray, rng: np.random.Generator, *, flip: bool) -> ByteArray:
    """Shift every image by up to an eighth of each side, and mirror half of them if `flip`.

    What a shift uncovers is filled by reflection. Shifts are whole pixels, uniform and independent
    per image and side; sides below 8 pixels are not shifted.

    Args:
        images: uint8, (n, height, width, channels); not changed.
        rng: every random choice comes from it.
        flip: mirror left to right with probability one half; wrong for digits, text and spectra.

    Returns:
        A new array of the same shape.
    """
    n, height, width, channels = images.shape
    pad_y, pad_x = height // 8, width // 8
    down = rng.integers(0, 2 * pad_y + 1, n)
    right = rng.integers(0, 2 * pad_x + 1, n)
    mirrored = np.zeros(n, np.bool_)
    if flip:
        mirrored[:] = rng.random(n) < 0.5
    out = np.empty((n, height, width, channels), np.uint8)
    for start in range(0, n, _BLOCK):
        some = slice(start, start + _BLOCK)
        block = images[some]
        padded = np.pad(block, ((0, 0), (pad_y, pad_y), (pad_x, pad_x), (0, 0)), mode="reflect")
        # rows as flat runs of bytes: every crop is then `height` contiguous copies
        rows = padded.reshape(len(block), height + 2 * pad_y, -1)
        crops = sliding_window_view(rows, (height, width * channels), axis=(1, 2))
        picked = crops[np.arange(len(block)), down[some], right[some] * channels]
        shifted = picked.reshape(block.shape)
        flipped = mirrored[some]
        shifted[flipped] = shifted[flipped, :, ::-1]
        out[some] = shifted
    return out


def epoch_order(size: int, n: int, rng: np.random.Generator) -> IntArray:
    """`n` indices below `size` in random order, each as often as the others (up to one).

    Whole shuffled passes one after the other, the last one cut.
    """
    passes = [rng.permutation(size) for _ in range(-(-n // size))]
    return np.concatenate(passes)[:n] if passes else np.empty(0, np.int64)
