"""The benchmark's slice of real CIFAR-10 photographs."""

from __future__ import annotations

import importlib.util
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hybrid_nas.data.npz import NpzDataset
from hybrid_nas.errors import InputError

_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script() -> types.ModuleType:
    path = _ROOT / "benchmarks" / "make_cifar_slice.py"
    spec = importlib.util.spec_from_file_location("make_cifar_slice", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def source(script: types.ModuleType) -> Path:
    folder: Path = script.SOURCE
    if not (folder / "train_00.webp").is_file():
        pytest.skip(f"the CIFAR-10 mosaics are not at {folder}")
    return folder


def test_slice_opens_as_a_data_set(script: types.ModuleType, source: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "slice.npz", **script.make_slice(source, 400, 300, 16))
    dataset = NpzDataset(tmp_path / "slice.npz")
    assert dataset.image_shape == (16, 16, 3)
    assert dataset.classes[:3] == ("airplane", "automobile", "bird")
    assert len(dataset.split("train")) == 400 and len(dataset.split("test")) == 5000


def test_tiles_are_in_original_order(script: types.ModuleType, source: Path) -> None:
    """Image 5007 is in the second mosaic, first row, eighth column."""
    images, labels = script.read_mosaics(source, "train")
    with Image.open(source / "train_01.webp") as mosaic:
        tile = np.asarray(mosaic.convert("RGB"))[:32, 7 * 32 : 8 * 32]
    assert np.array_equal(images[5007], tile)
    assert labels[5007] == int((source / "train_labels.txt").read_text().split()[5007])


def test_more_images_than_there_are_is_refused(script: types.ModuleType, source: Path) -> None:
    with pytest.raises(InputError, match="together at most 30000"):
        script.make_slice(source, 29_000, 2_000, 32)
