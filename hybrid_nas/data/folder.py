"""Image folders: ``DIR/train/<class>/*.png``, ``val`` and optionally ``test`` beside ``train``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybrid_nas.data.folder_groups import group_names_by_csv, group_names_by_regex
from hybrid_nas.data.image_files import (
    SUFFIXES,
    Decoding,
    FilePixels,
    Headers,
    read_headers,
    upright_size,
)
from hybrid_nas.data.resize import check_image_size
from hybrid_nas.data.splitting import PoolName
from hybrid_nas.data.stored import Pool, StoredDataset, number_groups
from hybrid_nas.errors import InputError
from hybrid_nas.typing import IntArray

DEFAULT_LONG_SIDE = 96
"""Images are taken no larger than this unless the user names a size: small boards see little."""

_POOLS: tuple[PoolName, ...] = ("train", "val", "test")
_OTHER_NAMES: dict[str, PoolName] = {
    **dict.fromkeys(("valid", "validation", "dev"), "val"),
    "testing": "test",
    **{pool: pool for pool in _POOLS},  # with capitals
}


@dataclass(frozen=True)
class _Listing:
    """The image files of one pool, sorted by class and file name.

    `ignored` counts files with other endings in the class folders, and `stray` what else is not
    read: folders in them, links to nothing, and files beside them.
    """

    paths: tuple[Path, ...]
    labels: IntArray
    ignored: int
    stray: int


class FolderDataset(StoredDataset):
    """An image folder.

    Files that end in .png, .jpg, .jpeg, .bmp or .webp are images; the pool's order is by class
    name, then file name. Images stay grey when all are grey and are red-green-blue otherwise;
    transparent parts become white, and of 16-bit grey images the highest 8 of the bits are kept
    that the training images use. Both are noted.

    Args:
        root: holds ``train/<class>/``, and ``val`` and ``test`` of the same form. Without ``val``,
            validation images are held out of ``train``.
        image_size: (height, width); by default the first image's, at most 96 on its long side.
        group: regular expression searched in the file name; what it matches (its first bracket, if
            it has one) names the source group. By default ``groups.csv`` in `root` with the columns
            path, group says so; without it each image is its own group.
        seed: of the splits.
        flip: mirror training images at random.

    Raises:
        InputError: naming the path at fault.

    Attributes:
        paths: the files of each pool, in its order.
        deep_bits: how many bits the values of 16-bit files take.
    """

    def __init__(
        self,
        root: Path,
        *,
        image_size: tuple[int, int] | None = None,
        group: str | None = None,
        seed: int = 0,
        flip: bool = True,
    ) -> None:
        _refuse_missing_train(root)
        pools = [pool for pool in _POOLS if (root / pool).is_dir()]
        classes = _class_names(root / "train")
        listings = {pool: _list_images(root / pool, classes) for pool in pools}
        headers = {pool: read_headers(root, listing.paths) for pool, listing in listings.items()}
        notes = _notes_on_what_is_not_read(root, listings)
        sizes = frozenset[tuple[int, int]]().union(*(header.sizes for header in headers.values()))
        size = image_size or _default_size(listings["train"].paths[0], sizes, notes)
        size = check_image_size(size)
        channels = 1 if all(header.grey for header in headers.values()) else 3
        decoding = Decoding(size, channels, headers["train"].deep_bits)
        notes += _pixel_notes(headers, decoding)
        named = _group_names(root, {pool: x.paths for pool, x in listings.items()}, group, notes)
        numbers, group_names = number_groups(
            named, {pool: len(listing.paths) for pool, listing in listings.items()}
        )
        self.paths = {pool: listing.paths for pool, listing in listings.items()}
        self.deep_bits = decoding.deep_bits
        super().__init__(
            source=root,
            classes=classes,
            image_shape=(*size, channels),
            pools={
                pool: Pool(
                    FilePixels(listing.paths, decoding, headers[pool].digest, headers[pool].each),
                    listing.labels,
                    numbers[pool],
                )
                for pool, listing in listings.items()
            },
            seed=seed,
            flip=flip,
            warnings=notes,
            group_names=group_names,
        )


def _refuse_missing_train(root: Path) -> None:
    if not (root / "train").is_dir():
        raise InputError(
            f"{root} has no train folder: an image folder is laid out as train/<class>/*.png with "
            "val (and optionally test) beside train"
        )
    for entry in sorted(root.iterdir()):
        pool = _OTHER_NAMES.get(entry.name.casefold())
        if pool is not None and entry.is_dir() and not (root / pool).is_dir():
            raise InputError(f"{entry} is not understood: rename it to {root / pool}")


def _class_names(folder: Path) -> tuple[str, ...]:
    names = sorted(entry.name for entry in _visible(folder) if entry.is_dir())
    if len(names) < 2:
        got = f"only the class folder {names[0]}" if names else "no class folders"
        raise InputError(f"{folder} has {got}: expected at least two, one per class, with images")
    return tuple(names)


def _list_images(folder: Path, classes: tuple[str, ...]) -> _Listing:
    found = _class_names(folder)
    if found != classes:
        extra, lacking = sorted(set(found) - set(classes)), sorted(set(classes) - set(found))
        what = [f"lacks {', '.join(lacking[:5])}"] if lacking else []
        what += [f"also has {', '.join(extra[:5])}"] if extra else []
        raise InputError(
            f"{folder} has other classes than {folder.parent / 'train'}: it {' and '.join(what)}; "
            "every pool needs the same class folders"
        )
    paths: list[Path] = []
    labels: list[int] = []
    ignored, stray = 0, len(_visible(folder)) - len(classes)
    for label, name in enumerate(classes):
        entries = _visible(folder / name)
        files = [entry for entry in entries if entry.is_file()]
        stray += len(entries) - len(files)
        images = [file for file in files if file.suffix.lower() in SUFFIXES]
        if not images:
            raise InputError(
                f"{folder / name} has no images: expected files that end in {', '.join(SUFFIXES)}"
            )
        ignored += len(files) - len(images)
        paths += images
        labels += [label] * len(images)
    return _Listing(tuple(paths), np.array(labels, np.int64), ignored, stray)


def _visible(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.name[0] != ".")


def _notes_on_what_is_not_read(root: Path, listings: Mapping[PoolName, _Listing]) -> list[str]:
    notes = []
    for pool, listing in listings.items():
        if listing.ignored:
            notes.append(
                f"{pool}: {listing.ignored} files that do not end in {', '.join(SUFFIXES)} are "
                "ignored"
            )
        if listing.stray:
            notes.append(
                f"{pool}: {listing.stray} entries are ignored that are no files in a class folder "
                f"(folders in {pool}/<class>/, files in {pool}/, links to nothing)"
            )
    others = [entry.name for entry in _visible(root) if entry.is_dir()]
    others = [name for name in others if name.casefold() not in _POOLS]
    if others:
        notes.append(f"beside train only val and test are read, not {', '.join(others[:5])}")
    return notes


def _default_size(
    first: Path, sizes: frozenset[tuple[int, int]], notes: list[str]
) -> tuple[int, int]:
    """The first image's (height, width), capped; what that does to those of `sizes` is noted."""
    height, width = upright_size(first)
    shrink = min(1.0, DEFAULT_LONG_SIDE / max(height, width))
    size = (max(1, round(height * shrink)), max(1, round(width * shrink)))
    if shrink < 1 or len(sizes) > 1:
        capped = f", at most {DEFAULT_LONG_SIDE} on the long side" if shrink < 1 else ""
        notes.append(
            f"images are resized to {size[0]}x{size[1]} (height x width), the size of the first "
            f"one{capped}; --image-size HxW chooses another"
        )
    return size


def _pixel_notes(headers: Mapping[PoolName, Headers], decoding: Decoding) -> list[str]:
    notes = []
    transparent = sum(header.transparent for header in headers.values())
    if transparent:
        notes.append(f"files with transparency: {transparent}; transparent parts become white")
    if any(header.deepest > 255 for header in headers.values()):
        notes.append(
            f"16-bit images use {decoding.deep_bits} bits in train: the highest 8 of these are kept"
        )
    return notes


def _group_names(
    root: Path,
    paths: dict[PoolName, tuple[Path, ...]],
    pattern: str | None,
    notes: list[str],
) -> dict[PoolName, list[str] | None]:
    table = root / "groups.csv"
    if pattern is not None:
        if table.is_file():
            notes.append(f"{table.name} is not read, because a group expression is given")
        return {pool: group_names_by_regex(files, pattern) for pool, files in paths.items()}
    if table.is_file():
        return dict(group_names_by_csv(table, paths, notes))
    return dict.fromkeys(paths)
