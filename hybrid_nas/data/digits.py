"""The bundled task: handwritten digits on coloured, cluttered ground, rendered deterministically.

The handwriting is real: scikit-learn's 1797 scans of 8x8 (Alpaydin & Kaynak, "Optical Recognition
of Handwritten Digits", UCI, 1998). Each source digit belongs to exactly one split and is rendered
several times under a random affine warp, colours of either polarity, quarter-digit clutter, uneven
light and pixel noise. The source digit is the group: renderings of one digit are not independent.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import lru_cache

import numpy as np

from hybrid_nas.data.dataset import SPLITS, Dataset, ImageSet, Split
from hybrid_nas.typing import ByteArray, Float32Array, FloatArray, IntArray

_SOURCE_SIZE = 8


@dataclass(frozen=True)
class Rendering:
    """How a source digit becomes an image. Lengths are shares of the image, angles radians.

    The ranges were tuned on training and fit digits alone, so that weak networks stay clearly below
    strong ones.
    """

    image_size: int = 64
    digit_size: tuple[float, float] = (0.25, 0.6)
    rotation: float = 0.5
    shear: float = 0.25
    clutter_max: int = 6
    clutter_size: tuple[float, float] = (0.25, 0.5)
    clutter_strength: tuple[float, float] = (0.4, 0.9)
    contrast: tuple[float, float] = (0.25, 0.8)
    channel_contrast: tuple[float, float] = (0.5, 1.0)
    illumination: float = 0.08
    noise: float = 0.1


LOOKS = {
    "digits": Rendering(),
    "digits-medium": Rendering(
        digit_size=(0.3, 0.7), clutter_max=4, contrast=(0.3, 0.85), noise=0.07
    ),
    "digits-easy": Rendering(
        digit_size=(0.5, 0.95), clutter_max=3, contrast=(0.35, 0.85), noise=0.07
    ),
}
"""Named looks. Networks that know nothing yet learn from the easy one first, then harder ones."""

RENDERINGS_PER_DIGIT: dict[Split, int] = {
    "train": 20,
    "fit": 6,
    "threshold": 6,
    "score": 6,
    "test": 10,
}
DIGITS_PER_SPLIT: dict[Split, int] = {
    "train": 1097,
    "fit": 150,
    "threshold": 100,
    "score": 200,
    "test": 250,
}
_SPLIT_SEED = 20231
_RENDER_BLOCK = 256
_WARP_BLOCK = 16  # images whose coordinates stay in a core's cache


@lru_cache(maxsize=1)
def _source_digits() -> tuple[Float32Array, IntArray]:
    """All scans in [0, 1], shape (1797, 8, 8), and their labels."""
    from sklearn.datasets import load_digits

    scans, labels = load_digits(return_X_y=True)
    images = (scans / 16.0).reshape(-1, _SOURCE_SIZE, _SOURCE_SIZE).astype(np.float32)
    return images, labels.astype(np.int64)


def _bilinear(
    padded: Float32Array, index: IntArray, x: Float32Array, y: Float32Array
) -> Float32Array:
    """Sample ``padded[index[i]]`` at pixel coordinates (x, y), zero outside.

    `padded` is (m, s, s), with zeros of one pixel before and two behind, which coordinates do not
    count; `index` (n,), `x` and `y` (n, h, w); the result is (n, h, w).
    """
    size = padded.shape[-1]
    x = np.clip(x + 1, 0, size - 2)
    y = np.clip(y + 1, 0, size - 2)
    x0, y0 = np.floor(x).astype(np.int32), np.floor(y).astype(np.int32)
    fx, fy = x - x0, y - y0
    flat = padded.reshape(-1)
    at = (index[:, None, None] * size + y0) * size + x0
    top = flat.take(at) * (1 - fx) + flat.take(at + 1) * fx
    bottom = flat.take(at + size) * (1 - fx) + flat.take(at + size + 1) * fx
    sampled: Float32Array = (top * (1 - fy) + bottom * fy).astype(np.float32)
    return sampled


def _warp(
    source: Float32Array,
    index: IntArray,
    size: FloatArray,
    centre: FloatArray,
    rotation: FloatArray,
    shear: FloatArray,
    pixels: int,
) -> Float32Array:
    """Place one digit in each of n square images: (n, pixels, pixels) coverage in [0, 1].

    `size` is the digit's share of the image, `centre` (n, 2) its place in [0, 1].
    """
    axis = (np.arange(pixels, dtype=np.float32) + 0.5) / pixels
    dx = axis[None, None, :] - centre[:, 0].astype(np.float32)[:, None, None]
    dy = axis[None, :, None] - centre[:, 1].astype(np.float32)[:, None, None]
    cos, sin = np.cos(rotation), np.sin(rotation)
    scale = source.shape[-1] / size
    # image -> source: rotate back, shear, scale
    wide = (scale * (cos + shear * sin)), (scale * (sin - shear * cos)), -scale * sin, scale * cos
    a, b, c, d = (v.astype(np.float32)[:, None, None] for v in wide)
    middle = np.float32((source.shape[-1] - 1) / 2)
    padded = np.pad(source, ((0, 0), (1, 2), (1, 2)))
    placed = np.empty((len(index), pixels, pixels), np.float32)
    for start in range(0, len(index), _WARP_BLOCK):
        k = slice(start, start + _WARP_BLOCK)
        x, y = a[k] * dx[k] + b[k] * dy[k] + middle, c[k] * dx[k] + d[k] * dy[k] + middle
        placed[k] = _bilinear(padded, index[k], x, y)
    return placed


def _upsample(grid: Float32Array, pixels: int) -> Float32Array:
    """Bilinear upsampling of (n, s, s) to (n, pixels, pixels)."""
    axis = np.linspace(0, grid.shape[-1] - 1, pixels)
    low = np.minimum(axis.astype(int), grid.shape[-1] - 2)
    weight = np.zeros((pixels, grid.shape[-1]), np.float32)
    weight[np.arange(pixels), low] = 1 - (axis - low)
    weight[np.arange(pixels), low + 1] += axis - low
    upsampled: Float32Array = np.einsum("pi,nij,qj->npq", weight, grid, weight, optimize=True)
    return upsampled


def render(
    digits: IntArray, rng: np.random.Generator, clutter_pool: IntArray, look: Rendering
) -> ByteArray:
    """Render source digits as uint8 images of shape (n, size, size, 3).

    Args:
        digits: index of the source scan of each image.
        rng: every random choice comes from it.
        clutter_pool: scans that clutter fragments may be cut from (of the same split).
        look: ranges of the random choices.
    """
    scans, _ = _source_digits()
    n, pixels = len(digits), look.image_size
    size = rng.uniform(*look.digit_size, n)
    slack = np.maximum(0.0, 1 - size)[:, None]
    centre = 0.5 + slack * rng.uniform(-0.5, 0.5, (n, 2))
    ink = _warp(
        scans,
        digits,
        size,
        centre,
        rng.uniform(-look.rotation, look.rotation, n),
        rng.uniform(-look.shear, look.shear, n),
        pixels,
    )
    clutter = np.zeros_like(ink)
    quarters = scans.reshape(-1, 2, 4, 2, 4).transpose(0, 1, 3, 2, 4).reshape(-1, 4, 4)
    count = rng.integers(0, look.clutter_max + 1, n)
    for k in range(look.clutter_max):
        fragment = rng.choice(clutter_pool, n) * 4 + rng.integers(0, 4, n)
        fragment_size, place = rng.uniform(*look.clutter_size, n), rng.uniform(0, 1, (n, 2))
        turn, strength = rng.uniform(-np.pi, np.pi, n), rng.uniform(*look.clutter_strength, n)
        some = np.flatnonzero(count > k)  # all were drawn for, so that what is drawn stays the same
        layer = _warp(
            quarters,
            fragment[some],
            fragment_size[some],
            place[some],
            turn[some],
            np.zeros(len(some)),
            pixels,
        )
        layer *= strength[some].astype(np.float32)[:, None, None]
        clutter[some] = np.maximum(clutter[some], layer)
    ink = np.maximum(ink, clutter * (1 - ink))
    contrast = rng.uniform(*look.contrast, (n, 1)) * rng.uniform(*look.channel_contrast, (n, 3))
    sign = rng.choice((-1.0, 1.0), (n, 1))
    contrast = contrast * sign
    # the ground leaves room for the ink on its side of the scale
    room = 1 - np.abs(contrast)
    ground = rng.uniform(0, 1, (n, 3)) * room + np.where(contrast < 0, -contrast, 0.0)
    light = _upsample(
        rng.uniform(-look.illumination, look.illumination, (n, 6, 6)).astype(np.float32), pixels
    )
    noise_level = rng.uniform(0, look.noise, (n, 1, 1, 1)).astype(np.float32)
    image = ground.astype(np.float32)[:, None, None, :] + light[..., None]
    image += ink[..., None] * contrast.astype(np.float32)[:, None, None, :]
    image += noise_level * rng.standard_normal(image.shape, dtype=np.float32)
    pixels_out: ByteArray = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
    return pixels_out


def _look_name(look: Rendering) -> str:
    """The name under which a look is listed, at any image size; ``digits-custom`` if it is not."""
    for name, listed in LOOKS.items():
        if replace(look, image_size=listed.image_size) == listed:
            return name
    return "digits-custom"


class DigitsDataset(Dataset):
    """The bundled data set; `seed` draws other renderings of the same pools of source digits."""

    def __init__(self, look: Rendering | None = None, seed: int = 0) -> None:
        self.look = look or Rendering()
        self.seed = seed
        self.name = _look_name(self.look)
        self.classes = tuple(str(d) for d in range(10))
        self.image_shape = (self.look.image_size, self.look.image_size, 3)
        recipe = {
            "look": asdict(self.look),
            "seed": seed,
            "digits": DIGITS_PER_SPLIT,
            "renderings": RENDERINGS_PER_DIGIT,
            "split_seed": _SPLIT_SEED,
            "version": 1,
        }
        self.fingerprint = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
        self._cache: dict[Split, ImageSet] = {}

    def sources(self, name: Split) -> IntArray:
        """Source digits of a split: disjoint between splits, each split with all classes."""
        order = np.random.default_rng(_SPLIT_SEED).permutation(len(_source_digits()[1]))
        edges = np.cumsum([0] + [DIGITS_PER_SPLIT[s] for s in SPLITS])
        k = SPLITS.index(name)
        return order[edges[k] : edges[k + 1]]

    def split(self, name: Split) -> ImageSet:
        """The renderings of one split; the same on every call."""
        if name not in self._cache:
            n = DIGITS_PER_SPLIT[name] * RENDERINGS_PER_DIGIT[name]
            self._cache[name] = self.fresh(name, n, self.seed)
        return self._cache[name]

    def training_images(self, n: int, seed: int) -> ImageSet:
        """`n` new renderings of training digits: there is no end of them."""
        return self.fresh("train", n, seed + 1)

    def fresh(self, name: Split, n: int, seed: int) -> ImageSet:
        """`n` renderings of a split's digits with a seed of one's own, all digits equally often."""
        sources = self.sources(name)
        labels = _source_digits()[1]
        picked = np.resize(sources, n)
        blocks = [np.zeros((0, *self.image_shape), np.uint8)]
        for start in range(0, n, _RENDER_BLOCK):
            rng = np.random.default_rng((SPLITS.index(name), seed, start))
            blocks.append(render(picked[start : start + _RENDER_BLOCK], rng, sources, self.look))
        return ImageSet(np.concatenate(blocks), labels[picked], picked)
