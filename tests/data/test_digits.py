"""The bundled task: deterministic, honest splits, and beyond a linear classifier."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from hybrid_nas.data.dataset import SPLITS
from hybrid_nas.data.digits import (
    DIGITS_PER_SPLIT,
    RENDERINGS_PER_DIGIT,
    DigitsDataset,
    Rendering,
)

_SMALL = Rendering(image_size=24)


@pytest.fixture(scope="module")
def digits() -> DigitsDataset:
    return DigitsDataset()


def test_source_digits_are_disjoint_between_splits(digits: DigitsDataset) -> None:
    sources = [digits.sources(name) for name in SPLITS]
    together = np.concatenate(sources)
    assert len(np.unique(together)) == len(together) <= 1797
    assert [len(part) for part in sources] == [DIGITS_PER_SPLIT[name] for name in SPLITS]


def test_groups_are_the_source_digits_each_rendered_equally_often() -> None:
    dataset = DigitsDataset(_SMALL)
    images = dataset.split("fit")
    groups, counts = np.unique(images.groups, return_counts=True)
    assert np.array_equal(groups, np.sort(dataset.sources("fit")))
    assert set(counts.tolist()) == {RENDERINGS_PER_DIGIT["fit"]}


def test_labels_are_those_of_the_scans_and_cover_all_classes() -> None:
    from sklearn.datasets import load_digits

    target = load_digits().target
    dataset = DigitsDataset(_SMALL)
    for name in ("fit", "threshold", "score"):
        images = dataset.split(name)
        assert np.array_equal(images.labels, target[images.groups])
        assert len(np.unique(images.labels)) == 10


def test_images_have_the_stated_size_and_use_their_range(digits: DigitsDataset) -> None:
    images = digits.fresh("fit", 64, seed=0)
    assert images.images.shape == (64, 64, 64, 3) == (64, *digits.image_shape)
    assert images.images.dtype == np.uint8
    assert images.images.min() < 20 and images.images.max() > 235
    spread = images.images.reshape(64, -1).std(axis=1)
    assert spread.min() > 3  # no image is blank


def test_renderings_are_the_same_in_another_process() -> None:
    code = (
        "import hashlib\n"
        "from hybrid_nas.data.digits import DigitsDataset\n"
        "images = DigitsDataset().fresh('score', 20, 3).images\n"
        "print(hashlib.sha256(images.tobytes()).hexdigest())"
    )
    here = hashlib.sha256(DigitsDataset().fresh("score", 20, 3).images.tobytes()).hexdigest()
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


def test_fresh_renderings_differ_by_seed_and_from_the_split() -> None:
    dataset = DigitsDataset(_SMALL)
    one, two = dataset.fresh("test", 250, seed=11), dataset.fresh("test", 250, seed=12)
    assert np.array_equal(one.groups, two.groups)
    same = (one.images == two.images).reshape(250, -1).all(axis=1)
    assert not same.any()


def test_first_training_images_are_new_renderings_of_the_train_splits_digits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few = {"train": 1, "fit": 1, "threshold": 1, "score": 1, "test": 1}
    monkeypatch.setattr("hybrid_nas.data.digits.RENDERINGS_PER_DIGIT", few)
    dataset = DigitsDataset(_SMALL)
    stored = dataset.split("train")
    drawn = dataset.training_images(len(stored), seed=0)
    assert np.array_equal(drawn.groups, stored.groups)
    assert not (drawn.images == stored.images).reshape(len(stored), -1).all(axis=1).any()


def test_another_look_has_another_fingerprint(digits: DigitsDataset) -> None:
    assert DigitsDataset(Rendering(noise=0.08)).fingerprint != digits.fingerprint


def test_a_linear_classifier_on_pixels_stays_below_45_percent(digits: DigitsDataset) -> None:
    """Ridge regression of one-hot labels on 16x16 block means, the penalty chosen for the test.

    Means of 4x4 blocks are linear in the pixels and less noisy, and choosing the penalty with a
    look at the answers favours the classifier: both make the bound stricter.
    """

    def blocks(n: int, split: str) -> tuple[np.ndarray, np.ndarray]:
        images = digits.fresh(split, n, seed=1)  # type: ignore[arg-type]
        means = images.images.reshape(n, 16, 4, 16, 4, 3).mean(axis=(2, 4)).reshape(n, -1) / 255
        return np.hstack([means - 0.5, np.ones((n, 1))]), images.labels

    train, test = blocks(3000, "train"), blocks(750, "test")
    assert _best_linear_accuracy(*train, *test) < 0.45


def test_that_linear_classifier_reads_the_plain_scans() -> None:
    """So that its failure on the renderings says something about them."""
    from sklearn.datasets import load_digits

    scans, labels = load_digits(return_X_y=True)
    x = np.hstack([scans / 16 - 0.5, np.ones((len(scans), 1))])
    assert _best_linear_accuracy(x[:1200], labels[:1200], x[1200:], labels[1200:]) > 0.85


def _best_linear_accuracy(
    x: np.ndarray, labels: np.ndarray, x_test: np.ndarray, test_labels: np.ndarray
) -> float:
    gram, target = x.T @ x, x.T @ np.eye(10)[labels]
    accuracies = []
    for penalty in (1.0, 10.0, 100.0, 1000.0):
        weights = np.linalg.solve(gram + penalty * np.eye(len(gram)), target)
        accuracies.append(float(((x_test @ weights).argmax(axis=1) == test_labels).mean()))
    return max(accuracies)
