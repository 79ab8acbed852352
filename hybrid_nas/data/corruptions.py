"""Images as a worn lens, dusk or a cheap sensor gives them, and images of nothing that is known.

Five of the corruptions of ImageNet-C (Hendrycks & Dietterich, "Benchmarking Neural Network
Robustness to Common Corruptions and Perturbations", ICLR 2019) with its constants for severities 1
to 5, written anew on arrays. The blur has the constants of that paper's CIFAR-10-C, whose pixels of
32 grow with the image here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from hybrid_nas.errors import InputError
from hybrid_nas.typing import ByteArray, FloatArray

SEVERITIES = (1, 2, 3, 4, 5)
_REFERENCE_SIDE = 32
_BLOCK = 256  # images at a time: floats take eight times the memory

Corruption = Callable[[FloatArray, int, np.random.Generator], FloatArray]


def corrupt(images: ByteArray, name: str, severity: int, *, seed: int = 0) -> ByteArray:
    """`images`, uint8 (n, h, w, c), with one of `CORRUPTIONS`; the same for the same seed.

    Raises:
        InputError: for another name, or a severity outside 1 .. 5.
    """
    if name not in CORRUPTIONS:
        raise InputError(f"no corruption {name!r}: expected one of {', '.join(CORRUPTIONS)}")
    _check_severity(severity)
    random = np.random.default_rng((seed, list(CORRUPTIONS).index(name), severity))
    change = CORRUPTIONS[name]
    return _by_block(images, lambda block: change(block, severity, random))


def unknown_images(images: ByteArray, name: str, *, seed: int = 0) -> ByteArray:
    """As many images of no known class, uint8 of the same shape; one of `UNKNOWN`.

    Raises:
        InputError: for another name.
    """
    if name not in UNKNOWN:
        raise InputError(f"no unknown images {name!r}: expected one of {', '.join(UNKNOWN)}")
    random = np.random.default_rng((seed, list(UNKNOWN).index(name)))
    make = UNKNOWN[name]
    return _by_block(images, lambda block: make(block, random))


def _check_severity(severity: int) -> None:
    if severity not in SEVERITIES:
        raise InputError(f"severity {severity} is out of range: expected 1 (weak) to 5 (strong)")


def _by_block(images: ByteArray, change: Callable[[FloatArray], FloatArray]) -> ByteArray:
    """Apply a function on shares of white, float64 (n, h, w, c); round and clip."""
    changed = np.empty_like(images)
    for start in range(0, len(images), _BLOCK):
        block = images[start : start + _BLOCK].astype(np.float64) / 255.0
        found = np.clip(change(block), 0.0, 1.0)
        changed[start : start + _BLOCK] = np.rint(255.0 * found).astype(np.uint8)
    return changed


def _gaussian_noise(images: FloatArray, severity: int, random: np.random.Generator) -> FloatArray:
    """Independent normal noise on each value."""
    deviation = (0.08, 0.12, 0.18, 0.26, 0.38)[severity - 1]
    return images + random.normal(scale=deviation, size=images.shape)


def _blur(images: FloatArray, severity: int, random: np.random.Generator) -> FloatArray:
    """A Gaussian blur; edges are continued with the outermost pixel."""
    side = max(images.shape[1:3])
    sigma = (0.4, 0.6, 0.7, 0.8, 1.0)[severity - 1] * side / _REFERENCE_SIDE
    radius = max(1, int(np.ceil(4.0 * sigma)))
    blurred: FloatArray = gaussian_filter(images, sigma, mode="nearest", radius=radius, axes=(1, 2))
    return blurred


def _contrast(images: FloatArray, severity: int, random: np.random.Generator) -> FloatArray:
    """Distances from each image's mean, by channel, made smaller."""
    factor = (0.4, 0.3, 0.2, 0.1, 0.05)[severity - 1]
    mean = images.mean(axis=(1, 2), keepdims=True)
    flatter: FloatArray = mean + factor * (images - mean)
    return flatter


def _brightness(images: FloatArray, severity: int, random: np.random.Generator) -> FloatArray:
    """A constant added to HSV's value, the largest channel; hue and saturation stay."""
    value = images.max(axis=3, keepdims=True)
    brighter = np.minimum(1.0, value + (0.1, 0.2, 0.3, 0.4, 0.5)[severity - 1])
    ratio = np.divide(brighter, value, out=np.zeros_like(value), where=value > 0)
    changed: FloatArray = np.where(value > 0, images * ratio, brighter)
    return changed


def _pixelate(images: FloatArray, severity: int, random: np.random.Generator) -> FloatArray:
    """Down to a coarser grid by box averages and up again by repetition."""
    share = (0.6, 0.5, 0.4, 0.3, 0.25)[severity - 1]
    for axis in (1, 2):
        side = images.shape[axis]
        coarse = _box_weights(side, max(1, int(side * share)))
        nearest = ((np.arange(side) + 0.5) * len(coarse) / side).astype(np.int64)
        images = np.moveaxis(np.moveaxis(images, axis, -1) @ coarse[nearest].T, -1, axis)
    return images


def _box_weights(side: int, cells: int) -> FloatArray:
    """Shares (cells, side) that pixels have in cells of equal width."""
    edges = np.linspace(0.0, side, cells + 1)
    left, right = np.maximum(edges[:-1, None], np.arange(side)), edges[1:, None]
    overlap = np.clip(np.minimum(right, np.arange(side) + 1.0) - left, 0.0, None)
    weights: FloatArray = overlap / overlap.sum(axis=1, keepdims=True)
    return weights


def _uniform_noise(images: FloatArray, random: np.random.Generator) -> FloatArray:
    """Each value drawn evenly from black to white."""
    return random.random(images.shape)


def _scrambled(images: FloatArray, random: np.random.Generator) -> FloatArray:
    """Textures: random phases on each image's own amplitude spectrum, alike in all channels.

    What they have in common with the images is the second-order statistics and, but for clipping,
    the mean colour; no shape survives. The phases are those of white noise, so that the inverse is
    real.
    """
    n, height, width, _ = images.shape
    noise = np.fft.fft2(random.normal(size=(n, height, width)), axes=(1, 2))
    turn: np.ndarray[Any, np.dtype[np.complex128]] = noise / np.abs(noise)
    turn[:, 0, 0] = 1.0  # the mean stays
    spectrum = np.fft.fft2(images, axes=(1, 2)) * turn[..., None]
    texture: FloatArray = np.fft.ifft2(spectrum, axes=(1, 2)).real
    return texture


CORRUPTIONS: dict[str, Corruption] = {
    "gaussian-noise": _gaussian_noise,
    "blur": _blur,
    "contrast": _contrast,
    "brightness": _brightness,
    "pixelate": _pixelate,
}
"""Corruptions by name."""

UNKNOWN: dict[str, Callable[[FloatArray, np.random.Generator], FloatArray]] = {
    "uniform-noise": _uniform_noise,
    "textures": _scrambled,
}
"""Images of no known class by name; textures are made from the images given."""
