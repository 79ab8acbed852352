"""Small data sets of every kind, written to a temporary folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FolderMaker = Callable[..., Path]


@pytest.fixture
def make_folder(tmp_path: Path) -> FolderMaker:
    """Write an image folder; the pixel value of each image depends on its class and number."""

    def make(
        per_class: dict[str, int] | None = None,
        *,
        classes: tuple[str, ...] = ("cat", "dog"),
        size: tuple[int, int] = (12, 16),
        mode: str = "RGB",
        suffix: str = ".png",
        name: str = "photos",
    ) -> Path:
        root = tmp_path / name
        rng = np.random.default_rng(0)
        for pool, count in (per_class or {"train": 6, "val": 12}).items():
            for kind in classes:
                folder = root / pool / kind
                folder.mkdir(parents=True)
                for k in range(count):
                    shape = size if mode == "L" else (*size, 3)
                    pixels = rng.integers(0, 256, shape, dtype=np.uint8)
                    image = Image.fromarray(pixels)
                    image.save(folder / f"user{k % 5}_{k:03}{suffix}")
        return root

    return make


@pytest.fixture
def npz_arrays() -> dict[str, np.ndarray]:
    """Arrays of a valid three-class .npz data set with groups in pairs."""
    rng = np.random.default_rng(1)
    arrays: dict[str, np.ndarray] = {}
    first_group = 0
    for pool, n in (("train", 60), ("val", 120), ("test", 48)):
        arrays[f"x_{pool}"] = rng.integers(0, 256, (n, 10, 9, 3), dtype=np.uint8)
        arrays[f"y_{pool}"] = np.arange(n) // 2 % 3
        arrays[f"groups_{pool}"] = first_group + np.arange(n) // 2
        first_group += n
    return arrays


@pytest.fixture
def write_npz(tmp_path: Path) -> Callable[..., Path]:
    """Write arrays to an .npz file and give its path."""

    def write(arrays: dict[str, np.ndarray], name: str = "data.npz") -> Path:
        path = tmp_path / name
        np.savez(path, **arrays)
        return path

    return write


@pytest.fixture
def make_cifar(tmp_path: Path) -> FolderMaker:
    """Write CIFAR's binary files with few records; labels go round the classes."""

    def make(
        records: int = 40,
        *,
        train: tuple[str, ...] = tuple(f"data_batch_{k}.bin" for k in range(1, 6)),
        test: str = "test_batch.bin",
        classes: int = 10,
        name: str = "cifar-10-batches-bin",
    ) -> Path:
        root = tmp_path / name
        root.mkdir()
        rng = np.random.default_rng(2)
        for file in (*train, test):
            label = (np.arange(records) % classes).astype(np.uint8)[:, None]
            coarse = label[:, : 0 if classes == 10 else 1] // 5
            pixels = rng.integers(0, 256, (records, 3072), dtype=np.uint8)
            np.hstack([coarse, label, pixels]).tofile(root / file)
        return root

    return make
