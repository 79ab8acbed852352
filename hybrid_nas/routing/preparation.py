"""From raw signals to the coordinates in which routers are fitted, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hybrid_nas.routing.network import Layer, RouterNetwork
from hybrid_nas.typing import FloatArray

MAX_COMPONENTS = 32
"""Columns kept of a block of signals: about a thousand inputs support no more."""
_EXTRA = 8  # directions carried along in `leading_axes`, and rounds of it
_ROUNDS = 4


@dataclass(frozen=True, eq=False)
class Preparation:
    """A linear change of coordinates: z = ((x - mean) / scale) @ projection.

    Columns are standardised; those of zeros and ones (the predicted class) are centred only, so
    that rare classes are shrunk as others are. Blocks of more than `MAX_COMPONENTS` columns (the
    pooled features, the scores of many classes) are replaced by that many principal components, the
    first scaled to unit variance and the others by the same factor: a ridge penalty then shrinks
    directions of small variance more. A linear layer on z is a linear layer on x, so nothing of
    this remains on the device.
    """

    mean: FloatArray
    scale: FloatArray
    projection: FloatArray

    @classmethod
    def fit(cls, signals: FloatArray, widths: Sequence[int]) -> Preparation:
        """Coordinates for signals (n, d) made of blocks of these widths.

        Labels are not looked at, so cross-validation may share one preparation between folds.
        """
        mean, scale = signals.mean(axis=0), signals.std(axis=0)
        scale[scale <= 1e-9 * np.maximum(1.0, np.abs(mean))] = 1.0  # constant: nothing to learn
        scale[((signals == 0.0) | (signals == 1.0)).all(axis=0)] = 1.0
        kept = [min(width, MAX_COMPONENTS) for width in widths]
        projection = np.zeros((signals.shape[1], sum(kept)))
        row = column = 0
        for width, components in zip(widths, kept, strict=True):
            rows, columns = slice(row, row + width), slice(column, column + components)
            if components < width:
                block = (signals[:, rows] - mean[rows]) / scale[rows]
                projection[rows, columns] = leading_axes(block, components)
            else:
                projection[rows, columns] = np.eye(width)
            row, column = row + width, column + components
        return cls(mean, scale, projection)

    def __call__(self, signals: FloatArray) -> FloatArray:
        """Coordinates (n, k) of signals (n, d)."""
        z: FloatArray = ((signals - self.mean) / self.scale) @ self.projection
        return z

    def network(self, hidden: Layer | None, out: Layer, heads: tuple[str, ...]) -> RouterNetwork:
        """The network on raw signals that equals layers fitted on coordinates."""
        if hidden is None:
            out = Layer(self.projection @ out.weights, out.bias)
        else:
            hidden = Layer(self.projection @ hidden.weights, hidden.bias)
        return RouterNetwork(self.mean, self.scale, hidden, out, heads)


def leading_axes(block: FloatArray, components: int) -> FloatArray:
    """The leading principal axes (d, components) of a centred block (n, d), strongest first.

    They are divided by the first one's standard deviation. Found by subspace iteration, whose cost
    grows with d and not with its cube; directions of nearly equal variance may be mixed.
    """
    n, width = block.shape
    start = np.random.default_rng(0).normal(size=(width, min(width, components + _EXTRA)))
    axes = np.linalg.qr(start)[0]
    for _ in range(_ROUNDS):
        axes = np.linalg.qr(block.T @ (block @ axes))[0]
    scores = block @ axes
    variances, rotation = np.linalg.eigh(scores.T @ scores / n)
    leading: FloatArray = (axes @ rotation)[:, ::-1][:, :components]
    leading /= np.sqrt(max(float(variances[-1]), 1e-12))
    return leading
