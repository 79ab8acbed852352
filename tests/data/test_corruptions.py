"""Corruptions against closed forms; unknown images against their spectra."""

from __future__ import annotations

import colorsys

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from hybrid_nas.data.corruptions import (
    CORRUPTIONS,
    SEVERITIES,
    UNKNOWN,
    corrupt,
    unknown_images,
)
from hybrid_nas.errors import InputError

Images = npt.NDArray[np.uint8]


@pytest.fixture
def images() -> Images:
    """Colour images with structure of a few pixels, away from black and white."""
    noise = np.random.default_rng(0).normal(size=(6, 24, 32, 3))
    smooth = gaussian_filter(noise, (0, 1.5, 1.5, 0))
    return np.clip(125 + 25 * smooth / smooth.std(), 50, 200).astype(np.uint8)


@given(
    st.sampled_from(sorted(CORRUPTIONS)),
    st.sampled_from(SEVERITIES),
    st.sampled_from([1, 3]),
    st.integers(0, 5),
)
def test_same_seed_same_images(name: str, severity: int, channels: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (3, 9, 12, channels)).astype(np.uint8)
    given_images = images.copy()
    changed = corrupt(images, name, severity, seed=seed)
    assert changed.dtype == np.uint8 and changed.shape == images.shape
    assert np.array_equal(changed, corrupt(images, name, severity, seed=seed))
    assert np.array_equal(images, given_images)


@pytest.mark.parametrize("name", sorted(CORRUPTIONS))
def test_stronger_changes_more(images: Images, name: str) -> None:
    changes = [
        float(np.abs(corrupt(images, name, severity).astype(float) - images).mean())
        for severity in SEVERITIES
    ]
    assert changes[0] > 0
    assert changes == sorted(changes)


def test_noise_has_the_published_deviation() -> None:
    grey = np.full((40, 32, 32, 3), 128, np.uint8)
    noise = corrupt(grey, "gaussian-noise", 1).astype(float) / 255.0
    assert noise.std() == pytest.approx(0.08, rel=0.02)
    assert noise.mean() == pytest.approx(128 / 255, abs=0.002)
    assert not np.array_equal(
        corrupt(grey, "gaussian-noise", 1, seed=1), corrupt(grey, "gaussian-noise", 1, seed=2)
    )


def test_a_blurred_pixel_is_the_weighted_mean_of_those_around_it(images: Images) -> None:
    reach = np.arange(-8, 9)
    taps = np.exp(-0.5 * (reach / 0.8) ** 2)  # of 32 pixels
    weights = np.outer(taps, taps) / taps.sum() ** 2
    blurred = corrupt(images, "blur", 4).astype(float)
    for y, x in ((0, 0), (5, 31), (16, 16)):
        rows, columns = np.clip(y + reach, 0, 23), np.clip(x + reach, 0, 31)
        around = images[:, rows[:, None], columns].astype(float)
        expected = np.einsum("ij,nijc->nc", weights, around)
        assert np.abs(blurred[:, y, x] - expected).max() < 1.0


def test_contrast_shrinks_the_deviation_about_the_mean(images: Images) -> None:
    changed = corrupt(images, "contrast", 1).astype(float)
    assert changed.mean(axis=(1, 2)) == pytest.approx(images.mean(axis=(1, 2)), abs=0.5)
    assert changed.std() < images.std()
    one = images[0, ..., 0]
    assert changed[0, ..., 0].std() == pytest.approx(0.4 * one.std(), rel=0.02)


def test_brightness_is_hsvs_value(images: Images) -> None:
    """Against the standard library's conversion there and back."""
    changed = corrupt(images[:1, :4, :4], "brightness", 2)
    for before, after in zip(images[0, :4, :4].reshape(-1, 3), changed.reshape(-1, 3), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*(before / 255.0))
        expected = colorsys.hsv_to_rgb(hue, saturation, min(1.0, value + 0.2))
        assert after == pytest.approx(255.0 * np.array(expected), abs=0.51)
    black = np.zeros((1, 2, 2, 3), np.uint8)
    assert (corrupt(black, "brightness", 5) == 128).all()


def test_pixelate_is_a_mean_over_boxes() -> None:
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (2, 20, 20, 1)).astype(np.uint8)
    changed = corrupt(images, "pixelate", 3)  # 0.4: cells of 2.5 pixels, so 5 pixels are two cells
    first = images[..., 0][:, :2, :2].astype(float)
    edge_row, edge_column = images[:, 2, :2, 0] / 2.0, images[:, :2, 2, 0] / 2.0
    corner = images[:, 2, 2, 0] / 4.0
    total = first.sum((1, 2)) + edge_row.sum(1) + edge_column.sum(1) + corner
    assert changed[:, 0, 0, 0] == pytest.approx(total / 6.25, abs=0.51)
    assert (changed[:, 0, 0] == changed[:, 1, 1]).all()


def test_textures_keep_spectrum_and_mean() -> None:
    random = np.random.default_rng(2)
    images = (128 + 12 * random.normal(size=(4, 16, 16, 3))).clip(0, 255).astype(np.uint8)
    textures = unknown_images(images, "textures")
    spectrum, found = (
        np.abs(np.fft.fft2(x.astype(float), axes=(1, 2))) for x in (images, textures)
    )
    assert np.abs(spectrum - found).max() < 0.05 * spectrum[:, 1:, 1:].max()
    assert textures.mean(axis=(1, 2)) == pytest.approx(images.mean(axis=(1, 2)), abs=0.5)
    assert np.abs(np.corrcoef(images.ravel(), textures.ravel())[0, 1]) < 0.1


def test_uniform_noise_is_even() -> None:
    noise = unknown_images(np.zeros((20, 16, 16, 3), np.uint8), "uniform-noise")
    assert noise.mean() == pytest.approx(127.5, abs=1.5)
    assert noise.std() == pytest.approx(255 / np.sqrt(12), rel=0.02)


def test_what_is_refused(images: Images) -> None:
    with pytest.raises(InputError, match=r"'rain'.*gaussian-noise"):
        corrupt(images, "rain", 1)
    with pytest.raises(InputError, match=r"severity 6"):
        corrupt(images, "blur", 6)
    with pytest.raises(InputError, match=r"'cats'.*textures"):
        unknown_images(images, "cats")
    assert set(UNKNOWN) == {"uniform-noise", "textures"}
