"""An exact Gaussian process for a few hundred points: what a formula leaves over, and how surely.

The kernel is Matern 5/2 with a length per feature, plus noise; the deviation may change with the
first feature, which is a size here, because the edges of loops matter most in small operators. See
Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006: eq. 4.17 for the kernel,
5.8 and 5.9 for the likelihood and its gradient, 5.12 for leave-one-out. The settings are those of
highest posterior density, found by a gradient method from fixed starts: the same data give the same
process.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize

from hybrid_nas.typing import FloatArray

_ROOT5 = 5**0.5
_MOST_ROWS = 160
"""Settings are fitted to so many points at most: a hundred tell them, and the cost is cubic."""
_MOST_STEPS = 80
_SIGNAL, _SLOPE, _NOISE, _LENGTHS = 0, 1, 2, slice(3, None)  # where settings are in a vector
_STARTS = (np.log(1.0), np.log(4.0))
_LEAST_NOISE = 5e-4  # of values that are logarithms: a twentieth of a percent


@dataclass(frozen=True, eq=False)
class Settings:
    """Kernel of a Gaussian process.

    Attributes:
        signal: standard deviation of the signal where the first feature is 0.
        slope: how fast it changes with the first feature: ``signal * exp(slope * feature)``.
        noise: standard deviation of the noise.
        lengths: of each feature, (d,).
    """

    signal: float
    slope: float
    noise: float
    lengths: FloatArray

    def deviation(self, points: FloatArray) -> FloatArray:
        """Standard deviation of the signal at points (n, d)."""
        return np.asarray(self.signal * np.exp(self.slope * points[:, 0]))

    def covariance(self, a: FloatArray, b: FloatArray) -> FloatArray:
        """Covariance of the signal at points (n, d) and (m, d): float64 (n, m), without noise."""
        scales = np.outer(self.deviation(a), self.deviation(b))
        a, b = a / self.lengths, b / self.lengths
        squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
        r = _ROOT5 * np.sqrt(np.maximum(squares, 0.0))
        return np.asarray(scales * (1 + r + r**2 / 3) * np.exp(-r))


@dataclass(frozen=True, eq=False)
class GaussianProcess:
    """A zero-mean Gaussian process that has seen n points.

    Attributes:
        points: features, float64 (n, d); each should have a spread of about one.
        values: what was seen there, (n,).
        settings: the kernel.
    """

    points: FloatArray
    values: FloatArray
    settings: Settings

    @classmethod
    def fit(cls, points: FloatArray, values: FloatArray) -> GaussianProcess:
        """The process whose settings suit `points` and `values` best."""
        return cls(points, values, fit_settings(points, values))

    def predict(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation, noise included, of new values at `points` (m, d)."""
        cross = self.settings.covariance(points, self.points)
        known = cross @ self._inverse_root.T
        variance = self.settings.deviation(points) ** 2 - (known**2).sum(1)
        noise = self.settings.noise**2
        return cross @ (self._precision @ self.values), np.sqrt(np.maximum(variance, 0.0) + noise)

    def leave_one_out(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation at each point as the others tell them, in closed form."""
        return self.without_own_value(self.values[:, None])[0], self.leave_one_out_sd

    def without_own_value(self, values: FloatArray) -> FloatArray:
        """Means at each point from all others' values, for several sets of values.

        Args:
            values: float64 (n, sets), instead of the process's own.

        Returns:
            float64 (sets, n).
        """
        return np.asarray((values - self._precision @ values / self._diagonal[:, None]).T)

    @property
    def leave_one_out_sd(self) -> FloatArray:
        """Standard deviation at each point as the others tell it, (n,)."""
        return np.asarray(1 / np.sqrt(self._diagonal))

    @cached_property
    def _inverse_root(self) -> FloatArray:
        """Inverse of the lower Cholesky factor of the covariance."""
        covariance = self.settings.covariance(self.points, self.points)
        covariance[np.diag_indices(len(covariance))] += self.settings.noise**2
        root = cholesky(covariance, lower=True)
        return np.asarray(solve_triangular(root, np.eye(len(root)), lower=True))

    @cached_property
    def _precision(self) -> FloatArray:
        return np.asarray(self._inverse_root.T @ self._inverse_root)

    @cached_property
    def _diagonal(self) -> FloatArray:
        return np.ascontiguousarray(np.diag(self._precision))


def fit_settings(points: FloatArray, values: FloatArray) -> Settings:
    """Settings of highest posterior density under log-normal priors, from a few fixed starts."""
    if len(values) > _MOST_ROWS:
        chosen = np.sort(np.random.default_rng(0).permutation(len(values))[:_MOST_ROWS])
        points, values = points[chosen], values[chosen]
    spread = max(float(values.std()), 2 * _LEAST_NOISE)
    squares = np.ascontiguousarray((points.T[:, :, None] - points.T[:, None, :]) ** 2)
    center, width = _prior(spread, points.shape[1])
    low, high = center - 4 * width, center + 4 * width
    low[_NOISE] = max(low[_NOISE], np.log(_LEAST_NOISE))
    high[_NOISE] = max(high[_NOISE], low[_NOISE] + 1)

    def objective(at: FloatArray) -> tuple[float, FloatArray]:
        cost, gradient = negative_log_likelihood(at, squares, points[:, 0], values)
        off = (at - center) / width
        return cost + 0.5 * float(off @ off), gradient + off / width

    best = None
    for length in _STARTS:
        first = center.copy()
        first[_LENGTHS] = length
        found = minimize(
            objective,
            np.clip(first, low, high),
            jac=True,
            method="L-BFGS-B",
            bounds=np.stack([low, high], 1),
            options={"maxiter": _MOST_STEPS},
        )
        if best is None or found.fun < best.fun:
            best = found
    assert best is not None
    signal, noise = np.exp(best.x[[_SIGNAL, _NOISE]]).tolist()
    return Settings(signal, float(best.x[_SLOPE]), noise, np.exp(best.x[_LENGTHS]))


def _prior(spread: float, n_features: int) -> tuple[FloatArray, FloatArray]:
    """Centre and width of the settings' normal prior."""
    signal, slope = (np.log(spread), 1.0), (0.0, 0.5)
    noise = (np.log(0.05 * spread), 1.5)
    length = (np.log(4.0), 1.0)  # of features with unit spread: most matter little
    center, width = np.array([signal, slope, noise, *[length] * n_features]).T
    return center, width


def negative_log_likelihood(
    at: FloatArray, squares: FloatArray, first: FloatArray, values: FloatArray
) -> tuple[float, FloatArray]:
    """Minus the log marginal likelihood, up to a constant, and its gradient.

    Args:
        at: log signal, slope, log noise and the d log lengths.
        squares: squared differences of the points per feature, (d, n, n).
        first: the first feature, (n,).
        values: (n,).
    """
    noise2, scaled = np.exp(2 * at[_NOISE]), np.exp(-2 * at[_LENGTHS])
    r = _ROOT5 * np.sqrt(np.tensordot(scaled, squares, 1))
    deviation = np.exp(at[_SIGNAL] + at[_SLOPE] * first)
    decay = np.outer(deviation, deviation) * np.exp(-r)
    covariance = decay * (1 + r + r**2 / 3)
    noisy = covariance.copy()
    noisy[np.diag_indices(len(values))] += noise2
    root = cholesky(noisy, lower=True)
    inverse_root = solve_triangular(root, np.eye(len(values)), lower=True)
    precision = inverse_root.T @ inverse_root
    weights = precision @ values
    cost = 0.5 * float(values @ weights) + float(np.log(np.diag(root)).sum())
    inner = precision - np.outer(weights, weights)
    by_length = (inner * decay * (1 + r)).ravel() @ squares.reshape(len(squares), -1).T
    by_point = (inner * covariance).sum(1)
    own = [by_point.sum(), by_point @ first, noise2 * np.trace(inner)]
    return cost, np.concatenate([own, 5 / 6 * scaled * by_length])
