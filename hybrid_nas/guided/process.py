"""A Gaussian process over candidates, with settings of highest posterior density.

Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006: algorithm 2.1 for the
prediction, eq. 5.8 and 5.9 for the likelihood and its gradient. The kernel has eight settings
whatever the number of genes, and each has a log-normal prior, so that few scores are enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from hybrid_nas.guided import kernel as k
from hybrid_nas.guided.features import Coordinates
from hybrid_nas.guided.kernel import Distances, Kernel, Weighted
from hybrid_nas.typing import FloatArray

_STEPS = 40
_LEAST_NOISE = 0.01  # of values with a spread of 1
_LEAST_VARIANCE = 1e-12
#                    trend  bend  length  genes  order identity activity noise
_CENTER = np.log([0.5, 0.2, 1.0, 1.0, 0.2, 0.1, 0.2, 0.05])
_WIDTH = np.array([1.0, 1.0, 1.0, 1.0, 1.5, 1.5, 1.5, 1.0])


def fit(seen: Coordinates, values: FloatArray) -> Kernel:
    """The kernel that suits values (n,), of mean 0 and spread 1 or so, best; n may be 0."""
    if not len(values):
        return Kernel(_CENTER)
    at = Distances.between(seen, seen)
    low, high = _CENTER - 3.5 * _WIDTH, _CENTER + 3.5 * _WIDTH
    low[k.NOISE] = np.log(_LEAST_NOISE)
    found = minimize(
        lambda logs: negative_log_posterior(logs, at, values),
        _CENTER,
        jac=True,
        method="L-BFGS-B",
        bounds=np.stack([low, high], axis=1),
        options={"maxiter": _STEPS},
    )
    return Kernel(np.asarray(found.x))


def negative_log_posterior(
    logs: FloatArray, at: Distances, values: FloatArray
) -> tuple[float, FloatArray]:
    """Minus the log of likelihood times prior, up to a constant, and its gradient (settings,)."""
    off = (logs - _CENTER) / _WIDTH
    kernel = Kernel(logs)
    trend, bend, genes = kernel.terms(at)
    covariance = k.CONSTANT**2 + trend + bend + genes
    covariance[np.diag_indices(len(values))] += kernel.noise**2
    root = cholesky(covariance, lower=True, overwrite_a=True, check_finite=False)
    precision = cho_solve((root, True), np.eye(len(values)), overwrite_b=True, check_finite=False)
    weights = precision @ values
    cost = 0.5 * float(values @ weights) + float(np.log(np.diag(root)).sum())
    inner = precision - np.outer(weights, weights)
    inner_genes = (inner * genes).ravel()
    inner_bend = inner * bend
    slopes = np.empty(len(logs))
    slopes[k.TREND] = (inner * trend).sum()
    slopes[k.BEND] = inner_bend.sum()
    slopes[k.LENGTH] = (inner_bend * at.costs).sum() * 0.5 * np.exp(-2 * logs[k.LENGTH])
    slopes[k.GENES] = inner_genes.sum()
    by_part = at.parts.reshape(len(at.parts), -1) @ inner_genes
    slopes[k.WEIGHTS] = -0.25 * np.exp(logs[k.WEIGHTS]) * by_part
    slopes[k.NOISE] = kernel.noise**2 * np.trace(inner)
    return cost + 0.5 * float(off @ off), slopes + off / _WIDTH


@dataclass(frozen=True, eq=False)
class Process:
    """What n values say about all others.

    Attributes:
        kernel: prior covariance.
        seen: candidates of the values.
        inverse_root: inverse of the lower Cholesky factor of their covariance, (n, n).
        weights: covariance solved for the values, (n,).
    """

    kernel: Kernel
    seen: Coordinates
    inverse_root: FloatArray
    weights: FloatArray

    @classmethod
    def given(cls, kernel: Kernel, seen: Coordinates, values: FloatArray) -> Process:
        """Condition on values (n,) of candidates `seen`."""
        if not len(values):
            return cls(kernel, seen, np.zeros((0, 0)), np.zeros(0))
        covariance = kernel.cross(seen, seen)
        covariance[np.diag_indices(len(values))] += kernel.noise**2
        root = cholesky(covariance, lower=True, overwrite_a=True, check_finite=False)
        inverse = solve_triangular(root, np.eye(len(root)), lower=True, check_finite=False)
        return cls(kernel, seen, inverse, inverse.T @ (inverse @ values))

    @cached_property
    def _weighted(self) -> Weighted:
        return self.kernel.weighted(self.seen)

    def predict(self, at: Coordinates) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of the noiseless values at m candidates, (m,) each."""
        cross = self.kernel.cross_to(at, self._weighted)
        explained = ((cross @ self.inverse_root.T) ** 2).sum(1)
        variance = self.kernel.variance(at) - explained
        return cross @ self.weights, np.sqrt(np.maximum(variance, _LEAST_VARIANCE))

    def believing(self, at: Coordinates) -> Process:
        """The same process had it seen its own predictions at m further candidates.

        No mean changes; deviations shrink around the candidates. One candidate at a time extends
        the Cholesky factor by a row.
        """
        believer = self
        for place in range(len(at)):
            believer = believer._believing_one(at[place : place + 1])
        return believer

    def _believing_one(self, at: Coordinates) -> Process:
        n = len(self.weights)
        known = self.inverse_root @ self.kernel.cross_to(at, self._weighted)[0]
        noisy = float(self.kernel.variance(at)[0]) + self.kernel.noise**2
        pivot = 1 / np.sqrt(max(noisy - float(known @ known), _LEAST_VARIANCE))
        inverse = np.zeros((n + 1, n + 1))
        inverse[:n, :n] = self.inverse_root
        inverse[n, :n] = -pivot * (known @ self.inverse_root)
        inverse[n, n] = pivot
        return Process(self.kernel, self.seen.then(at), inverse, np.append(self.weights, 0.0))
