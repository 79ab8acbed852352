"""Images without labels, from which a supernet can learn what a teacher says of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybrid_nas.data.augment import augment, epoch_order
from hybrid_nas.data.image_files import DEEP_BITS, SUFFIXES, Decoding, FilePixels
from hybrid_nas.data.resize import resize_images
from hybrid_nas.data.stored import ArrayPixels, PixelSource
from hybrid_nas.errors import InputError
from hybrid_nas.files import sha256_of_file
from hybrid_nas.npz import load_arrays
from hybrid_nas.typing import ByteArray

DEFAULT_SHARE = 0.5
"""Share of every batch that is unlabelled, where there are such images."""
_BLOCK = 1024


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

    def check_readable(self) -> None:
        """Read all images, so that a broken file is found before long work.

        Raises:
            InputError: naming the first that cannot be read.
        """
        for start in range(0, self.count, _BLOCK):
            self.pixels.take(np.arange(start, min(start + _BLOCK, self.count)))

    def copies_of(self, digests: Collection[bytes]) -> int:
        """How many of the images have one of these digests (`StoredDataset.held_out_digests`)."""
        return sum(digest in digests for digest in self.pixels.digests())

    def draw(self, n: int, seed: int) -> ByteArray:
        """`n` shifted images, each equally often: uint8, (n, height, width, channels)."""
        rng = np.random.default_rng((seed, 1))
        picked = self.pixels.take(epoch_order(self.count, n, rng))
        return augment(picked, rng, flip=self.flip)


def open_unlabelled(
    spec: str,
    image_shape: tuple[int, int, int],
    *,
    flip: bool = False,
    deep_bits: int = DEEP_BITS,
) -> UnlabelledImages:
    """Read unlabelled images and bring them to the size of the labelled ones.

    Args:
        spec: a folder, searched with all its subfolders (links are followed, hidden files and
            folders left out), or an ``.npz`` file with the one array ``images`` (or just one array,
            whatever its name): uint8, (n, h, w) or (n, h, w, c).
        image_shape: (height, width, channels) of the labelled images.
        flip: mirror them at random.
        deep_bits: of 16-bit grey files, as for the labelled ones.

    Raises:
        InputError: nothing there, or not such images.
    """
    path = Path(spec).expanduser()
    if path.is_dir():
        pixels, count = _from_folder(path, image_shape, deep_bits)
    elif path.is_file() and path.suffix.lower() == ".npz":
        pixels, count = _from_npz(path, image_shape)
    else:
        raise InputError(
            f"no unlabelled images at {spec!r}: expected a folder of images or an .npz file"
        )
    return UnlabelledImages(pixels, count, flip)


def _files_below(root: Path) -> Iterator[Path]:
    """Image files at any depth, each folder once, however many links lead to it."""
    seen = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        place = os.path.realpath(folder)
        folders[:] = [name for name in folders if name[0] != "."] if place not in seen else []
        if place not in seen:
            paths = [Path(folder, name) for name in names if name[0] != "."]
            yield from (p for p in paths if p.suffix.lower() in SUFFIXES and p.is_file())
        seen.add(place)


def _from_folder(
    root: Path, image_shape: tuple[int, int, int], deep_bits: int
) -> tuple[PixelSource, int]:
    paths = sorted(_files_below(root))
    if not paths:
        raise InputError(
            f"{root} has no images: expected files that end in {', '.join(SUFFIXES)}, at any depth"
        )
    digest, each = hashlib.sha256(), []
    for path in paths:
        own = sha256_of_file(path)
        each.append(bytes.fromhex(own))
        digest.update(f"{path.relative_to(root).as_posix()}\0{own}\n".encode())
    height, width, channels = image_shape
    decoding = Decoding((height, width), channels, deep_bits)
    return FilePixels(tuple(paths), decoding, digest.hexdigest(), tuple(each)), len(paths)


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
