"""What every data set promises, run against each kind of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hybrid_nas.data.dataset import SPLITS, Dataset
from hybrid_nas.data.digits import DigitsDataset, Rendering
from hybrid_nas.data.sources import open_dataset

Reopen = Callable[[int], Dataset]


class DatasetContract:
    """Subclasses give `reopen`: a function of the seed that opens the same data again."""

    @pytest.fixture
    def reopen(self, request: pytest.FixtureRequest) -> Reopen:
        raise AssertionError("a subclass gives this")

    def test_splits_have_the_stated_shape_and_labels(self, reopen: Reopen) -> None:
        dataset = reopen(0)
        assert dataset.name and len(dataset.classes) >= 2 and len(dataset.fingerprint) == 64
        for name in SPLITS:
            images = dataset.split(name)
            assert len(images) > 0
            assert images.images.shape[1:] == dataset.image_shape
            assert images.images.dtype == np.uint8
            assert images.labels.min() >= 0 and images.labels.max() < len(dataset.classes)
            assert images.labels.dtype == images.groups.dtype == np.int64

    def test_no_group_is_in_two_splits(self, reopen: Reopen) -> None:
        dataset = reopen(0)
        seen: set[int] = set()
        for name in SPLITS:
            groups = set(dataset.split(name).groups.tolist())
            assert not groups & seen
            seen |= groups

    def test_opening_again_gives_the_same(self, reopen: Reopen) -> None:
        first, second = reopen(0), reopen(0)
        assert first.fingerprint == second.fingerprint
        for name in SPLITS:
            one, two = first.split(name), second.split(name)
            assert first.split(name) is one
            assert np.array_equal(one.images, two.images)
            assert np.array_equal(one.labels, two.labels)
            assert np.array_equal(one.groups, two.groups)

    def test_another_seed_has_another_fingerprint(self, reopen: Reopen) -> None:
        assert reopen(0).fingerprint != reopen(1).fingerprint

    def test_training_images_are_seeded_and_of_training_groups(self, reopen: Reopen) -> None:
        dataset = reopen(0)
        before = dataset.split("train").images.copy()
        n = 70
        drawn = dataset.training_images(n, seed=5)
        assert drawn.images.shape == (n, *dataset.image_shape)
        assert set(drawn.groups.tolist()) <= set(dataset.split("train").groups.tolist())
        again = dataset.training_images(n, seed=5)
        assert np.array_equal(drawn.images, again.images)
        assert np.array_equal(drawn.labels, again.labels)
        assert not np.array_equal(drawn.images, dataset.training_images(n, seed=6).images)
        assert np.array_equal(dataset.split("train").images, before)


class TestDigits(DatasetContract):
    @pytest.fixture
    def reopen(self, monkeypatch: pytest.MonkeyPatch) -> Reopen:
        few = {"train": 1, "fit": 1, "threshold": 1, "score": 1, "test": 1}
        monkeypatch.setattr("hybrid_nas.data.digits.RENDERINGS_PER_DIGIT", few)
        return lambda seed: DigitsDataset(Rendering(image_size=16), seed=seed)


class TestFolder(DatasetContract):
    @pytest.fixture
    def reopen(self, make_folder: Callable[..., Path]) -> Reopen:
        root = make_folder()
        return lambda seed: open_dataset(str(root), seed=seed)


class TestFolderWithGroups(DatasetContract):
    @pytest.fixture
    def reopen(self, make_folder: Callable[..., Path]) -> Reopen:
        root = make_folder({"train": 40})
        return lambda seed: open_dataset(str(root), group=r"_(\d+)", seed=seed)


class TestNpz(DatasetContract):
    @pytest.fixture
    def reopen(self, npz_arrays: dict[str, np.ndarray], write_npz: Callable[..., Path]) -> Reopen:
        path = write_npz(npz_arrays)
        return lambda seed: open_dataset(str(path), seed=seed)


class TestNpzOfOnePool(DatasetContract):
    @pytest.fixture
    def reopen(self, npz_arrays: dict[str, np.ndarray], write_npz: Callable[..., Path]) -> Reopen:
        single = {"images": "x_val", "labels": "y_val", "groups": "groups_val"}
        path = write_npz({key: npz_arrays[old] for key, old in single.items()})
        return lambda seed: open_dataset(str(path), seed=seed)


class TestNpzOfFloatFeatures(DatasetContract):
    @pytest.fixture
    def reopen(self, write_npz: Callable[..., Path]) -> Reopen:
        rng = np.random.default_rng(3)
        arrays = {"images": rng.normal(size=(90, 49, 10)), "labels": np.arange(90) % 4}
        path = write_npz(arrays)
        return lambda seed: open_dataset(str(path), seed=seed)


class TestCifar(DatasetContract):
    @pytest.fixture
    def reopen(self, make_cifar: Callable[..., Path]) -> Reopen:
        root = make_cifar()
        return lambda seed: open_dataset(str(root), seed=seed)


class TestCifar100(DatasetContract):
    @pytest.fixture
    def reopen(self, make_cifar: Callable[..., Path]) -> Reopen:
        root = make_cifar(200, train=("train.bin",), test="test.bin", classes=100, name="hundred")
        return lambda seed: open_dataset(str(root), seed=seed)
