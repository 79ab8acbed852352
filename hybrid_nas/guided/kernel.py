"""A covariance function for candidates: trend in the costs plus what genes do together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybrid_nas.guided.features import PARTS, Coordinates
from hybrid_nas.typing import FloatArray

CONSTANT = 1.0
"""Standard deviation of the unknown level, of values with a spread of 1."""

NAMES = ("trend", "bend", "bend length", "genes", *PARTS, "noise")
"""Settings of a kernel, all positive; fitted as logarithms."""
TREND, BEND, LENGTH, GENES = range(4)
WEIGHTS = slice(4, 4 + len(PARTS))
NOISE = 4 + len(PARTS)


@dataclass(frozen=True, eq=False)
class Distances:
    """What a kernel needs of n by m pairs of candidates.

    Attributes:
        products: inner products of the costs, (n, m).
        costs: squared distances of the costs, (n, m).
        parts: squared distances of the genes per kind of difference, (kinds, n, m).
    """

    products: FloatArray
    costs: FloatArray
    parts: FloatArray

    @classmethod
    def between(cls, a: Coordinates, b: Coordinates) -> Distances:
        """Distances of all of `a` to all of `b`."""
        parts = [squares(p, q) for p, q in zip(a.parts, b.parts, strict=True)]
        return cls(a.costs @ b.costs.T, squares(a.costs, b.costs), np.stack(parts))


def squares(a: FloatArray, b: FloatArray) -> FloatArray:
    """Squared Euclidean distances of points (n, d) and (m, d)."""
    found = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    return np.asarray(np.maximum(found, 0.0))


@dataclass(frozen=True, eq=False)
class Weighted:
    """Candidates with the kernel's weights worked in.

    Attributes:
        genes: such that the squared distance of two is their D, (n, d).
        norms: their squared lengths, (n,).
        costs: as they were.
    """

    genes: FloatArray
    norms: FloatArray
    costs: FloatArray


@dataclass(frozen=True, eq=False)
class Kernel:
    """constant + trend^2 <c, c'> + bend^2 exp(-|c - c'|^2 / 2 length^2) + genes^2 exp(-D / 2).

    c are a candidate's transformed costs and D is the weighted sum of the squared distances of
    `features.PARTS`. The exponential of a sum is a product over genes: with small weights it is
    close to additive, with larger ones genes interact.

    Attributes:
        logs: logarithms of the settings, in the order of `NAMES`.
    """

    logs: FloatArray

    @property
    def noise(self) -> float:
        """Standard deviation of the noise."""
        return float(np.exp(self.logs[NOISE]))

    def variance(self, at: Coordinates) -> FloatArray:
        """Prior variance of the noiseless values at n candidates, (n,)."""
        squared = np.exp(2 * self.logs)
        fixed = CONSTANT**2 + squared[BEND] + squared[GENES]
        return np.asarray(fixed + squared[TREND] * (at.costs**2).sum(1))

    def terms(self, at: Distances) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Covariances by trend, bend and genes, (n, m) each."""
        squared = np.exp(2 * self.logs)
        weighted = np.tensordot(np.exp(self.logs[WEIGHTS]), at.parts, 1)
        return (
            squared[TREND] * at.products,
            squared[BEND] * np.exp(at.costs / (-2 * squared[LENGTH])),
            squared[GENES] * np.exp(-0.5 * weighted),
        )

    def cross(self, a: Coordinates, b: Coordinates) -> FloatArray:
        """Covariance (n, m) of the noiseless values of `a` with those of `b`."""
        return self.cross_to(a, self.weighted(b))

    def weighted(self, at: Coordinates) -> Weighted:
        """Candidates as `cross_to` needs them, for those that are compared with many others."""
        weights = np.exp(0.5 * self.logs[WEIGHTS])
        genes = [w * part for w, part in zip(weights, at.parts, strict=True)]
        joined = np.concatenate(genes, axis=1)
        return Weighted(joined, (joined**2).sum(1), at.costs)

    def cross_to(self, a: Coordinates, b: Weighted) -> FloatArray:
        """`cross`, with one product of matrices for all kinds of difference."""
        squared, left = np.exp(2 * self.logs), self.weighted(a)
        total = left.genes @ b.genes.T
        total *= -2.0
        total += left.norms[:, None]
        total += b.norms
        np.maximum(total, 0.0, out=total)
        total *= -0.5
        np.exp(total, out=total)
        total *= squared[GENES]
        total += CONSTANT**2
        if a.costs.shape[1]:
            bend = squares(a.costs, b.costs)
            bend *= -0.5 / squared[LENGTH]
            np.exp(bend, out=bend)
            bend *= squared[BEND]
            total += bend
            total += (squared[TREND] * a.costs) @ b.costs.T
        return total
