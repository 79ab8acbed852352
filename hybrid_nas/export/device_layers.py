"""The layers of a router in the device's numbers: int8 rows with a float32 scale each.

Signals that are int8 tensors already (scores, features, a stage's sums over its pixels) and the
predicted class have int8 weights: their products are summed exactly, and one float32 factor per
output and block brings the sum to the output's units. Statistics and the second layer have float32
weights. Zero points, means and deviations of signals are folded into the biases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hybrid_nas.quantise.int8_kernels import Int8Array
from hybrid_nas.quantise.scheme import WEIGHT_MAX
from hybrid_nas.routing.network import Layer
from hybrid_nas.routing.signals import Block
from hybrid_nas.typing import Float32Array, FloatArray, IntArray


@dataclass(frozen=True)
class Steps:
    """Integers of a block: a signal is ``unit * (integer - zero)``."""

    unit: float
    zero: float


@dataclass(frozen=True, eq=False)
class Rows:
    """A block's weights, int8 (outputs, width), and the factor of their sums, (outputs,)."""

    weights: Int8Array
    factors: Float32Array

    def __call__(self, x: IntArray) -> Float32Array:
        """Contribution (n, outputs) of integers (n, width)."""
        return (x @ self.weights.T.astype(np.int64)).astype(np.float32) * self.factors

    def pick(self, index: IntArray) -> Float32Array:
        """Contribution (n, outputs) of signals that are 1 at `index` (n,) and 0 elsewhere."""
        return self.weights.T[index].astype(np.float32) * self.factors


@dataclass(frozen=True, eq=False)
class FirstLayer:
    """A linear map of the signals.

    Attributes:
        bias: (outputs,).
        stats: weights of the statistics, (outputs, 9), (outputs, 8) or (outputs, 0).
        rows: of the other blocks, in the order in which they are added.
    """

    bias: Float32Array
    stats: Float32Array
    rows: Mapping[Block, Rows]


@dataclass(frozen=True, eq=False)
class LastLayer:
    """A linear map of hidden units: bias (outputs,), weights (outputs, hidden)."""

    bias: Float32Array
    weights: Float32Array

    @classmethod
    def of(cls, layer: Layer) -> LastLayer:
        """The same in float32."""
        weights = np.ascontiguousarray(layer.weights.T).astype(np.float32)
        return cls(layer.bias.astype(np.float32), weights)

    def __call__(self, hidden: Float32Array) -> Float32Array:
        """Outputs (n, outputs) of hidden units (n, hidden)."""
        return add_products(self.bias, hidden, self.weights)


def add_products(start: Float32Array, x: Float32Array, weights: Float32Array) -> Float32Array:
    """start + x[:, 0] * weights[:, 0] + ..., (n, outputs), one product after the other."""
    y = np.broadcast_to(start, (len(x), len(start)))
    for column, weight in zip(x.T, weights.T, strict=True):
        y = y + column[:, None] * weight
    return y


def first_layer(
    layer: Layer,
    mean: FloatArray,
    scale: FloatArray,
    widths: Mapping[Block, int],
    steps: Mapping[Block, Steps],
) -> FirstLayer:
    """A layer of standardised signals, for signals as the device has them.

    Args:
        layer: of z = (x - mean) / scale.
        mean, scale: of each signal.
        widths: signals of each block, in order.
        steps: integers of each block but `stats`.
    """
    bias, stats = layer.bias.copy(), np.empty((len(layer.bias), 0), np.float32)
    rows: dict[Block, Rows] = {}
    start = 0
    for block, width in widths.items():
        part = slice(start, start + width)
        start += width
        weights = (layer.weights[part] / scale[part, None]).T
        if block == "stats":
            stats = weights.astype(np.float32)
            bias -= stats.astype(np.float64) @ mean[part]
            continue
        step = steps[block]
        rounded, weight_scale = round_rows(weights)
        factors = (weight_scale * step.unit).astype(np.float32)
        rows[block] = Rows(rounded, factors)
        # What the rounded weights make of the mean, so that a mean input's output stays exact.
        bias -= factors.astype(np.float64) * (rounded @ (mean[part] / step.unit + step.zero))
    return FirstLayer(bias.astype(np.float32), stats, rows)


def round_rows(weights: FloatArray) -> tuple[Int8Array, FloatArray]:
    """int8 weights (outputs, width) and the scale (outputs,) of each row, 0 for a row of zeros."""
    scale = np.abs(weights).max(axis=1, initial=0.0) / WEIGHT_MAX
    steps = np.rint(weights / np.where(scale > 0.0, scale, 1.0)[:, None])
    return steps.astype(np.int8), scale


def laid_out_weights(layer: FirstLayer) -> Int8Array:
    """Weights in the order in which the device reads them: by output, then by block."""
    none = np.empty((len(layer.bias), 0), np.int8)
    parts = [rows.weights for rows in layer.rows.values()]
    return np.concatenate([none, *parts], axis=1).reshape(-1)


def laid_out_constants(layer: FirstLayer, last: LastLayer | None) -> Float32Array:
    """Float constants in that order: bias, statistics, factors; then the last layer's rows."""
    factors = [rows.factors[:, None] for rows in layer.rows.values()]
    parts = [np.concatenate([layer.bias[:, None], layer.stats, *factors], axis=1)]
    if last is not None:
        parts.append(np.concatenate([last.bias[:, None], last.weights], axis=1))
    return np.concatenate([part.reshape(-1) for part in parts])
