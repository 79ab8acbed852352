"""Data sets whose images exist already, in files or arrays, as opposed to being rendered.

Readers (`folder`, `npz`, `cifar`) turn what the user gave into `Pool`s; `StoredDataset` divides
them into splits and serves them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from hybrid_nas.data.augment import augment, epoch_order
from hybrid_nas.data.dataset import Dataset, ImageSet, Split
from hybrid_nas.data.splitting import Part, PoolLabels, PoolName, plan_splits
from hybrid_nas.errors import InputError
from hybrid_nas.typing import ByteArray, IntArray

_BLOCK = 1024


class PixelSource(Protocol):
    """Where a pool's images come from."""

    def take(self, index: IntArray) -> ByteArray:
        """The images at `index`: uint8, (len(index), height, width, channels)."""

    def digest(self) -> str:
        """Hex digest that changes when any image changes."""

    def digests(self) -> Sequence[bytes]:
        """A digest of each image; equal ones mean equal images."""


@dataclass(frozen=True)
class ArrayPixels:
    """Images that lie in memory as one uint8 array (n, height, width, channels)."""

    images: ByteArray

    def take(self, index: IntArray) -> ByteArray:
        """The images at `index`; a copy, unless it is all of them in order."""
        if len(index) == len(self.images) and np.array_equal(index, np.arange(len(index))):
            return self.images
        return self.images[index]

    def digest(self) -> str:
        """Hex SHA-256 of the shape and the bytes."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        return digest.hexdigest()

    def digests(self) -> Sequence[bytes]:
        """Of each image's bytes."""
        images = np.ascontiguousarray(self.images)
        return [hashlib.blake2b(image.data, digest_size=16).digest() for image in images]


@dataclass(frozen=True)
class Pool:
    """The images that the user gave under one name, in the user's order."""

    pixels: PixelSource
    labels: IntArray
    groups: IntArray


class StoredDataset(Dataset):
    """A data set made of pools.

    Args:
        source: the file or folder it comes from; its last part is the data set's name.
        classes: class names.
        image_shape: (height, width, channels) that every pool's pixels have.
        pools: at least ``train``.
        seed: of the splits.
        flip: mirror training images at random.
        warnings: what the reader found worth saying.
        group_names: names of the group numbers, for messages.

    Raises:
        InputError: if the pools cannot be divided.

    Attributes:
        warnings: what the user should know about the data: small splits, things assumed.
        pool_sizes: number of images of each pool.
    """

    def __init__(
        self,
        *,
        source: Path,
        classes: Sequence[str],
        image_shape: tuple[int, int, int],
        pools: Mapping[PoolName, Pool],
        seed: int,
        flip: bool,
        warnings: Sequence[str] = (),
        group_names: Sequence[str] | None = None,
    ) -> None:
        self.name = source.resolve().name
        self.classes = tuple(classes)
        self.image_shape = image_shape
        self.flip = flip
        self._pools = dict(pools)
        self.pool_sizes = {key: len(pool.labels) for key, pool in pools.items()}
        try:
            plan = plan_splits(
                {key: PoolLabels(pool.labels, pool.groups) for key, pool in pools.items()},
                seed,
                classes=self.classes,
                group_names=group_names,
            )
        except InputError as error:
            raise InputError(f"{source}: {error}") from error
        self._parts = plan.parts
        copies = _note_on_copies(self._pools, self._parts)
        self.warnings: tuple[str, ...] = (*warnings, *plan.warnings, *copies)
        self.fingerprint = self._fingerprint()
        self._cache: dict[Split, ImageSet] = {}

    def part(self, name: Split) -> Part:
        """Which images of which pool form a split."""
        return self._parts[name]

    def labels(self, name: Split) -> IntArray:
        """The labels of one split, without touching its images."""
        part = self._parts[name]
        return self._pools[part.pool].labels[part.index]

    def split(self, name: Split) -> ImageSet:
        """The images of one split in the pool's order; the same object on every call."""
        if name not in self._cache:
            part = self._parts[name]
            self._cache[name] = self._take(part.pool, part.index)
        return self._cache[name]

    def check_readable(self, names: Sequence[Split]) -> None:
        """Read all images of some splits, a few at a time.

        Raises:
            InputError: naming the first that cannot be read.
        """
        for name in names:
            part = self._parts[name]
            for start in range(0, len(part.index), _BLOCK):
                self._pools[part.pool].pixels.take(part.index[start : start + _BLOCK])

    def held_out_digests(self) -> set[bytes]:
        """Digests of all images outside ``train``, as `PixelSource.digests` gives them."""
        digests = {key: pool.pixels.digests() for key, pool in self._pools.items()}
        parts = [part for name, part in self._parts.items() if name != "train"]
        return {digests[part.pool][k] for part in parts for k in part.index.tolist()}

    def training_images(self, n: int, seed: int) -> ImageSet:
        """`n` shifted (and mirrored, if `flip`) training images, each equally often."""
        rng = np.random.default_rng(seed)
        part = self._parts["train"]
        picked = self._take(part.pool, part.index[epoch_order(len(part.index), n, rng)])
        return ImageSet(augment(picked.images, rng, flip=self.flip), picked.labels, picked.groups)

    def _take(self, pool_name: PoolName, index: IntArray) -> ImageSet:
        pool = self._pools[pool_name]
        return ImageSet(pool.pixels.take(index), pool.labels[index], pool.groups[index])

    def _fingerprint(self) -> str:
        content = {
            "classes": self.classes,
            "image_shape": self.image_shape,
            "flip": self.flip,
            "pools": {
                key: [pool.pixels.digest(), _digest(pool.labels), _digest(pool.groups)]
                for key, pool in self._pools.items()
            },
            "splits": {key: [part.pool, _digest(part.index)] for key, part in self._parts.items()},
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def number_groups(
    named: Mapping[PoolName, Sequence[str] | None], sizes: Mapping[PoolName, int]
) -> tuple[dict[PoolName, IntArray], list[str]]:
    """Number the source groups of all pools in one sequence.

    Args:
        named: a group name for each image of a pool, or None where each image is its own group.
        sizes: number of images of each pool.

    Returns:
        Group numbers per pool, and the name that belongs to each number.
    """
    names: list[str] = []
    number_of: dict[str, int] = {}
    numbers: dict[PoolName, IntArray] = {}
    for pool, size in sizes.items():
        own = named.get(pool)
        if own is None:
            numbers[pool] = np.arange(len(names), len(names) + size)
            names += [f"{pool} image {k}" for k in range(size)]
            continue
        for name in own:
            if name not in number_of:
                number_of[name] = len(names)
                names.append(name)
        numbers[pool] = np.array([number_of[name] for name in own], np.int64)
    return numbers, names


def _note_on_copies(pools: Mapping[PoolName, Pool], parts: Mapping[Split, Part]) -> list[str]:
    """Says how many images outside ``train`` another split has as well, if there are any."""
    digests = {key: pool.pixels.digests() for key, pool in pools.items()}
    splits_of: dict[bytes, set[Split]] = {}
    for name, part in parts.items():
        for k in part.index.tolist():
            splits_of.setdefault(digests[part.pool][k], set()).add(name)
    copies = [
        (name, part.pool, k)
        for name, part in parts.items()
        if name != "train"
        for k in part.index.tolist()
        if len(splits_of[digests[part.pool][k]]) > 1
    ]
    if not copies:
        return []
    name, pool, k = copies[0]
    images = sum(len(part.index) for key, part in parts.items() if key != "train")
    return [
        f"{len(copies)} of the {images} images outside the train split are in another split too, "
        f"byte for byte (the first is image {k} of {pool}, in {name}): accuracies there are too "
        "good; leave the copies out, or give all copies of an image one group"
    ]


def _digest(values: IntArray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values, dtype="<i8").tobytes()).hexdigest()
