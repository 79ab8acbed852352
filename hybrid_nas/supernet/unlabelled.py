"""Images without labels, from which a supernet can learn what a teacher says of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybrid_nas.data.augment import augment, epoch_order
from hybrid_nas.data.image_files import SUFFIXES, Decoding, FilePixels
from hybrid_nas.data.resize import resize_images
from hybrid_nas.data.stored import ArrayPixels, PixelSource
from hybrid_nas.errors import InputError
from hybrid_nas.files import sha256_of_file
from hybrid_nas.npz import load_arrays
from hybrid_nas.typing import ByteArray

DEFAULT_SHARE = 0.5
"""Share of every batch that is unlabelled, where there are such images."""


@dataclass(frozen=True)
class UnlabelledImages:
    """Images to mix into the training batches.

    Attributes:
        pixels: where they come from, at the size of the labelled ones.
        count: how many there are.
        flip: mirror them at random.
    """

    pixels: PixelSource
    count: int
    flip: bool = False

    @property
    def fingerprint(self) -> str:
        """Hex digest that changes when any image changes."""
        return self.pixels.digest()

    def draw(self, n: int, seed: int) -> ByteArray:
        """`n` shifted images, each equally often: uint8, (n, height, width, channels)."""
        rng = np.random.default_rng((seed, 1))
        picked = self.pixels.take(epoch_order(self.count, n, rng))
        return augment(picked, rng, flip=self.flip)


def open_unlabelled(
    spec: str, image_shape: tuple[int, int, int], *, flip: bool = False
) -> UnlabelledImages:
    """Read unlabelled images and bring them to the size of the labelled ones.

    Args:
        spec: a folder, searched with all its subfolders, or an ``.npz`` file with the one array
            ``images`` (or just one array, whatever its name): uint8, (n, h, w) or (n, h, w, c).
        image_shape: (height, width, channels) of the labelled images.
        flip: mirror them at random.

    Raises:
        InputError: nothing there, or not such images.
    """
    path = Path(spec).expanduser()
    if path.is_dir():
        pixels, count = _from_folder(path, image_shape)
    elif path.is_file() and path.suffix.lower() == ".npz":
        pixels, count = _from_npz(path, image_shape)
    else:
        raise InputError(
            f"no unlabelled images at {spec!r}: expected a folder of images or an .npz file"
        )
    return UnlabelledImages(pixels, count, flip)


def _from_folder(root: Path, image_shape: tuple[int, int, int]) -> tuple[PixelSource, int]:
    paths = sorted(
        path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    if not paths:
        raise InputError(
            f"{root} has no images: expected files that end in {', '.join(SUFFIXES)}, at any depth"
        )
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.relative_to(root).as_posix()}\0{sha256_of_file(path)}\n".encode())
    height, width, channels = image_shape
    return FilePixels(tuple(paths), Decoding((height, width), channels), digest.hexdigest()), len(
        paths
    )


def _from_npz(path: Path, image_shape: tuple[int, int, int]) -> tuple[PixelSource, int]:
    arrays = load_arrays(path)
    key = "images" if "images" in arrays else next(iter(arrays), "")
    if not key or (key != "images" and len(arrays) > 1):
        raise InputError(
            f"{path} must hold the array images (got {', '.join(sorted(arrays)) or 'none'})"
        )
    images = arrays[key][..., None] if arrays[key].ndim == 3 else arrays[key]
    if images.ndim != 4 or images.dtype != np.uint8 or 0 in images.shape:
        raise InputError(
            f"{path}: {key} must be uint8 of shape (n, height, width) or (n, height, width, "
            f"channels), got {arrays[key].dtype} {arrays[key].shape}"
        )
    if images.shape[3] != image_shape[2]:
        raise InputError(
            f"{path}: {key} has {images.shape[3]} channels, the labelled images have "
            f"{image_shape[2]}"
        )
    return ArrayPixels(resize_images(images, image_shape[:2])), len(images)
