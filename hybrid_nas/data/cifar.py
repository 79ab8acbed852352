"""CIFAR-10 and CIFAR-100 in their binary version (Krizhevsky, 2009).

A file is a row of records: one label byte (CIFAR-100: coarse, then fine), then 1024 red, 1024 green
and 1024 blue bytes of a 32x32 image, row by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybrid_nas.data.resize import check_image_size, resize_images
from hybrid_nas.data.splitting import PoolName
from hybrid_nas.data.stored import ArrayPixels, Pool, StoredDataset, number_groups
from hybrid_nas.errors import InputError
from hybrid_nas.typing import ByteArray, IntArray

_SIDE = 32
_PIXEL_BYTES = 3 * _SIDE * _SIDE
_RECORDS_PER_BATCH = 10_000
_CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


@dataclass(frozen=True)
class _Version:
    """What tells CIFAR-10 and CIFAR-100 apart."""

    title: str
    train_glob: str
    train_files: int
    test_file: str
    label_bytes: int
    n_classes: int
    names_file: str
    archive: str

    @property
    def record_bytes(self) -> int:
        return self.label_bytes + _PIXEL_BYTES


_CIFAR10 = _Version(
    "CIFAR-10", "data_batch_*.bin", 5, "test_batch.bin", 1, 10, "batches.meta.txt",
    "cifar-10-binary.tar.gz",
)  # fmt: skip
_CIFAR100 = _Version(
    "CIFAR-100", "train.bin", 1, "test.bin", 2, 100, "fine_label_names.txt",
    "cifar-100-binary.tar.gz",
)  # fmt: skip
_VERSIONS = (_CIFAR10, _CIFAR100)
_BINARY_FOLDERS = ("cifar-10-batches-bin", "cifar-100-binary")
_PICKLED_FOLDERS = ("cifar-10-batches-py", "cifar-100-python")
_PICKLED_ARCHIVES = ("cifar-10-python.tar.gz", "cifar-100-python.tar.gz")


class CifarDataset(StoredDataset):
    """A CIFAR folder; train is ``data_batch_*.bin`` in order, test is ``test_batch.bin``.

    The splits between the two are held out of train. CIFAR-100 is read with its 100 fine labels.

    Args:
        root: the folder with the ``.bin`` files, or the one that the archive was unpacked in.
        image_size: (height, width) to resize to; 32x32 by default.
        seed: of the splits.
        flip: mirror training images at random.

    Raises:
        InputError: if the folder is the pickled version, or a file is missing or truncated.
    """

    def __init__(
        self,
        root: Path,
        *,
        image_size: tuple[int, int] | None = None,
        seed: int = 0,
        flip: bool = True,
    ) -> None:
        refuse_pickled_cifar(root)
        folder, version = _find(root)
        notes: list[str] = []
        train_files = _train_files(folder, version)
        if len(train_files) < version.train_files:
            notes.append(
                f"{folder.name} has {len(train_files)} of the {version.train_files} training files"
            )
        files: dict[PoolName, list[Path]] = {
            "train": train_files,
            "test": [folder / version.test_file],
        }
        pools: dict[PoolName, Pool] = {}
        read = {pool: _read(paths, version, notes) for pool, paths in files.items()}
        numbers, names = number_groups({}, {pool: len(x[1]) for pool, x in read.items()})
        size = check_image_size(image_size or (_SIDE, _SIDE))
        for pool, (images, labels) in read.items():
            pools[pool] = Pool(ArrayPixels(resize_images(images, size)), labels, numbers[pool])
        super().__init__(
            source=root,
            classes=_class_names(folder, version),
            image_shape=(*size, 3),
            pools=pools,
            seed=seed,
            flip=flip,
            warnings=notes,
            group_names=names,
        )


def is_cifar(root: Path) -> bool:
    """Whether a folder is CIFAR's binary version, or holds a folder that is."""
    return any(
        (folder / version.test_file).is_file() or any(folder.glob(version.train_glob))
        for folder in (root, *(root / name for name in _BINARY_FOLDERS))
        for version in _VERSIONS
    )


def refuse_pickled_cifar(path: Path) -> None:
    """Raise an InputError that names the mend if `path` is CIFAR's pickled version.

    Pickled files run code when they are opened, so they are not read at all.
    """
    is_100 = all((path / name).is_file() for name in ("train", "test", "meta"))
    named = {path.name, path.parent.name} & {*_PICKLED_FOLDERS, *_PICKLED_ARCHIVES}
    inside = {name for name in _PICKLED_FOLDERS if (path / name).is_dir()}
    pickled = is_100 or bool(named or inside) or (path / "data_batch_1").is_file()
    if pickled and not is_cifar(path):
        is_100 = is_100 or any("100" in name for name in named | inside)
        archive = (_CIFAR100 if is_100 else _CIFAR10).archive
        raise InputError(
            f"{path} is the pickled version of CIFAR, which is not read because pickle runs code: "
            f"unpack the binary version ({archive}) and give its folder"
        )


def _find(root: Path) -> tuple[Path, _Version]:
    for folder in (root, *(root / name for name in _BINARY_FOLDERS)):
        for version in _VERSIONS:
            if (folder / version.test_file).is_file() or any(folder.glob(version.train_glob)):
                return folder, version
    raise InputError(
        f"{root} is not CIFAR's binary version: expected data_batch_1.bin .. data_batch_5.bin and "
        "test_batch.bin, or train.bin and test.bin"
    )


def _train_files(folder: Path, version: _Version) -> list[Path]:
    files = sorted(folder.glob(version.train_glob))
    if not files:
        raise InputError(
            f"{folder} has no {version.train_glob}: unpack {version.archive} again, all of it"
        )
    if not (folder / version.test_file).is_file():
        raise InputError(
            f"{folder} lacks {version.test_file}: unpack {version.archive} again, all of it"
        )
    return files


def _read(paths: list[Path], version: _Version, notes: list[str]) -> tuple[ByteArray, IntArray]:
    """Images (n, 32, 32, 3) and labels of some files, one after the other."""
    images: list[ByteArray] = []
    labels: list[IntArray] = []
    for path in paths:
        content = np.fromfile(path, np.uint8)
        count, rest = divmod(len(content), version.record_bytes)
        if rest or not count:
            raise InputError(
                f"{path} is truncated or not {version.title} binary: {len(content)} bytes are no "
                f"whole number of {version.record_bytes}-byte records; unpack {version.archive} "
                "again"
            )
        if version is _CIFAR10 and count != _RECORDS_PER_BATCH:
            notes.append(f"{path.name} has {count} records, not the usual {_RECORDS_PER_BATCH}")
        records = content.reshape(count, version.record_bytes)
        label = records[:, version.label_bytes - 1].astype(np.int64)
        if label.max() >= version.n_classes:
            at = int(np.argmax(label >= version.n_classes))
            raise InputError(
                f"{path} is not {version.title} binary: record {at} has the label {label[at]}, "
                f"expected 0 .. {version.n_classes - 1}"
            )
        planes = records[:, version.label_bytes :].reshape(count, 3, _SIDE, _SIDE)
        images.append(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)))
        labels.append(label)
    return np.concatenate(images), np.concatenate(labels)


def _class_names(folder: Path, version: _Version) -> tuple[str, ...]:
    """Names from the folder's own list if it is whole, else the known ones or numbers."""
    listed = folder / version.names_file
    if listed.is_file():
        text = listed.read_text(encoding="utf-8", errors="replace")
        names = tuple(line.strip() for line in text.splitlines() if line.strip())
        if len(set(names)) == len(names) == version.n_classes:
            return names
    if version is _CIFAR10:
        return _CIFAR10_CLASSES
    return tuple(str(k) for k in range(version.n_classes))
