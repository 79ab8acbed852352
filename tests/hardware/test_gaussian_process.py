"""The Gaussian process against scikit-learn's, brute force and finite differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from hybrid_nas.hardware.gaussian_process import (
    GaussianProcess,
    Settings,
    fit_settings,
    negative_log_likelihood,
)
from hybrid_nas.typing import FloatArray

SETTINGS = Settings(signal=0.4, slope=0.0, noise=0.05, lengths=np.array([0.7, 1.5, 4.0]))


def data(n: int, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, 3))
    return points, 0.3 * np.sin(2 * points[:, 0]) + 0.1 * points[:, 1] + 0.02 * rng.normal(size=n)


def reference() -> GaussianProcessRegressor:
    matern = Matern(length_scale=SETTINGS.lengths, nu=2.5)
    kernel = ConstantKernel(SETTINGS.signal**2) * matern + WhiteKernel(SETTINGS.noise**2)
    return GaussianProcessRegressor(kernel, alpha=0.0, optimizer=None)


def test_predictions_are_those_of_scikit_learn() -> None:
    points, values = data(40)
    new, _ = data(25, seed=1)
    mean, sd = GaussianProcess(points, values, SETTINGS).predict(new)
    expected_mean, expected_sd = reference().fit(points, values).predict(new, return_std=True)
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(sd, expected_sd, rtol=1e-6)


def test_the_likelihood_is_that_of_scikit_learn() -> None:
    points, values = data(40)
    at = np.log([SETTINGS.signal, 1.0, SETTINGS.noise, *SETTINGS.lengths])
    squares = (points.T[:, :, None] - points.T[:, None, :]) ** 2
    cost, _ = negative_log_likelihood(at, squares, points[:, 0], values)
    expected = -reference().fit(points, values).log_marginal_likelihood_value_
    assert cost + len(values) / 2 * np.log(2 * np.pi) == pytest.approx(expected, rel=1e-9)


def test_the_gradient_is_that_of_finite_differences() -> None:
    points, values = data(30)
    squares = (points.T[:, :, None] - points.T[:, None, :]) ** 2
    for seed in range(5):
        at = np.random.default_rng(seed).normal(-0.5, 0.7, 6)
        _, gradient = negative_log_likelihood(at, squares, points[:, 0], values)
        numeric = approx_fprime(
            at, lambda x: negative_log_likelihood(x, squares, points[:, 0], values)[0]
        )
        np.testing.assert_allclose(gradient, numeric, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("slope", [-0.8, 0.5])
def test_a_slope_is_a_signal_multiplied_by_its_deviation(slope: float) -> None:
    """Values and kernel divided by exp(slope x) are a process without slope and other noise."""
    points, values = data(15)
    sloped = replace(SETTINGS, slope=slope, noise=1e-4)
    mean, _ = GaussianProcess(points, values, sloped).predict(points + 0.05)
    flat = GaussianProcess(
        points, values / np.exp(slope * points[:, 0]), replace(sloped, slope=0.0)
    )
    expected = flat.predict(points + 0.05)[0] * np.exp(slope * (points[:, 0] + 0.05))
    np.testing.assert_allclose(mean, expected, rtol=1e-3, atol=1e-4)


def test_a_signal_that_fades_is_recognised() -> None:
    rng = np.random.default_rng(4)
    points = rng.normal(size=(100, 2))
    rough = np.sin(3 * points[:, 0]) * np.cos(3 * points[:, 1])
    for slope in (-1.0, 1.0):
        found = fit_settings(points, rough * np.exp(slope * points[:, 0]))
        assert np.sign(found.slope) == slope


def test_leaving_one_out_is_predicting_it_from_the_others() -> None:
    points, values = data(20)
    mean, sd = GaussianProcess(points, values, SETTINGS).leave_one_out()
    for row in range(len(values)):
        others = np.arange(len(values)) != row
        alone = GaussianProcess(points[others], values[others], SETTINGS)
        expected = alone.predict(points[row : row + 1])
        np.testing.assert_allclose((mean[row], sd[row]), np.ravel(expected), rtol=1e-7)


def test_fitted_settings_tell_what_matters_and_are_the_same_each_time() -> None:
    points, values = data(80)
    settings = fit_settings(points, values)
    again = fit_settings(points, values)
    assert settings.signal == again.signal
    assert settings.lengths.tolist() == again.lengths.tolist()
    assert settings.lengths[0] < settings.lengths[1] < settings.lengths[2]
    assert 0.01 < settings.noise < 0.04  # the truth is 0.02
    new, truth = data(200, seed=3)
    mean, _ = GaussianProcess(points, values, settings).predict(new)
    assert np.abs(mean - truth).mean() < 0.5 * np.abs(truth - values.mean()).mean()


def test_values_without_any_spread_are_predicted_as_they_are() -> None:
    points, _ = data(12)
    mean, sd = GaussianProcess.fit(points, np.zeros(12)).predict(points + 0.1)
    assert np.abs(mean).max() < 1e-9
    assert np.isfinite(sd).all() and (sd > 0).all()
