"""Augmentation against a slow loop, and resizing against Pillow."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hybrid_nas.data.augment import augment, epoch_order
from hybrid_nas.data.resize import check_image_size, parse_image_size, resize_images
from hybrid_nas.errors import InputError


@pytest.mark.parametrize("shape", [(40, 32, 32, 3), (30, 16, 9, 1), (20, 49, 10, 2), (5, 4, 3, 1)])
@pytest.mark.parametrize("flip", [False, True])
def test_every_image_is_a_shift_or_mirror_of_its_own_source(
    shape: tuple[int, ...], flip: bool
) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    out = augment(images, np.random.default_rng(1), flip=flip)
    pad_y, pad_x = shape[1] // 8, shape[2] // 8
    seen = set()
    for image, changed in zip(images, out, strict=True):
        padded = np.pad(image, ((pad_y, pad_y), (pad_x, pad_x), (0, 0)), mode="reflect")
        found = [
            (y, x, mirrored)
            for y in range(2 * pad_y + 1)
            for x in range(2 * pad_x + 1)
            for mirrored in ((False, True) if flip else (False,))
            if np.array_equal(
                padded[y : y + shape[1], x : x + shape[2]][:, :: -1 if mirrored else 1], changed
            )
        ]
        assert found
        seen.add(found[0])
    assert len(seen) > 5 or pad_y == 0
    if flip:
        assert {mirrored for _, _, mirrored in seen} == {False, True}


def test_shifts_are_uniform_and_half_of_the_images_are_mirrored() -> None:
    """A single bright pixel tells where its image went."""
    images = np.zeros((4000, 16, 16, 1), np.uint8)
    images[:, 7, 5] = 255
    out = augment(images, np.random.default_rng(0), flip=True)
    _, rows, columns = np.nonzero(out[..., 0])
    assert np.bincount(rows, minlength=16)[5:10] == pytest.approx(800, abs=110)
    assert (columns < 8).mean() == pytest.approx(0.5, abs=0.04)


def test_images_given_are_left_as_they_are() -> None:
    images = np.random.default_rng(0).integers(0, 256, (10, 8, 8, 3), dtype=np.uint8)
    before = images.copy()
    augment(images, np.random.default_rng(0), flip=True)
    assert np.array_equal(images, before)


def test_an_epoch_takes_each_index_equally_often() -> None:
    order = epoch_order(7, 24, np.random.default_rng(0))
    counts = np.bincount(order, minlength=7)
    assert len(order) == 24 and counts.min() == 3 and counts.max() == 4
    assert np.array_equal(np.sort(order[:7]), np.arange(7))
    assert len(epoch_order(7, 0, np.random.default_rng(0))) == 0


@pytest.mark.parametrize("size", [(32, 32), (20, 31), (7, 5), (50, 70), (33, 12)])
@pytest.mark.parametrize("channels", [1, 3])
def test_resizing_equals_pillows_bilinear_within_its_rounding(
    size: tuple[int, int], channels: int
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, channels), dtype=np.uint8)
    ours = resize_images(images, size)
    for image, resized in zip(images, ours, strict=True):
        picture = Image.fromarray(image[..., 0] if channels == 1 else image)
        theirs = np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR))
        difference = resized.astype(int) - theirs.reshape(*size, channels)
        assert np.abs(difference).max() <= 1


def test_constant_images_stay_constant() -> None:
    images = np.full((2, 9, 13, 3), 201, np.uint8)
    assert (resize_images(images, (31, 4)) == 201).all()


def test_image_sizes_are_read_or_refused() -> None:
    assert parse_image_size("48x64") == (48, 64)
    assert parse_image_size(" 96 ") == (96, 96)
    for text in ("", "x", "48x", "4.5x3", "-3x3", "0x5", "5000", "48x48x3"):
        with pytest.raises(InputError, match="image size"):
            parse_image_size(text)
    with pytest.raises(InputError, match="out of range"):
        check_image_size((0, 5))
