"""Small multi-layer perceptrons fitted side by side: one per fold and penalty, by full-batch Adam.

A router has few inputs and few units, so a step on a thousand examples takes a fraction of a
millisecond, and fitting all folds and penalties as one batch costs little more than fitting one.
All heads share the hidden layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hybrid_nas.routing.network import Layer
from hybrid_nas.routing.objectives import HeadTargets
from hybrid_nas.typing import BoolArray, Float32Array, FloatArray

STEPS = 40
_RATE = 0.06
_DECAY = (0.9, 0.99)
_EPSILON = np.float32(1e-8)

_Parameters = list[npt.NDArray[Any]]


def fit_mlps(
    z: FloatArray,
    targets: HeadTargets,
    used: BoolArray,
    l2: Sequence[float] | FloatArray,
    hidden: int,
    seed: int,
    steps: int = STEPS,
) -> list[tuple[Layer, Layer]]:
    """A hidden layer (ReLU) and an output layer for each member of a batch of fits.

    Member m is fitted on the rows of z (n, k) where `used`[m] (members, n), with the penalty
    `l2`[m] / 2 times the squared weights beside the sum of losses. All members start from the same
    weights, drawn with `seed`.
    """
    members, n_heads = len(l2), len(targets.heads)
    draw = np.random.default_rng(seed)
    first = draw.normal(0.0, 1.0 / np.sqrt(z.shape[1]), (z.shape[1], hidden))
    second = draw.normal(0.0, 0.1, (hidden, n_heads))
    starts = (first, np.zeros((1, hidden)), second, targets.base_rate()[None])
    parameters: _Parameters = [
        np.repeat(start[None].astype(np.float32), members, axis=0) for start in starts
    ]
    share = (used / used.sum(axis=1, keepdims=True)).astype(np.float32)[..., None]
    decay = (np.asarray(l2) / used.sum(axis=1)).astype(np.float32)[:, None, None]
    problem = _Problem(z, targets, share, decay)
    _adam(problem, parameters, steps)
    wide = [array.astype(np.float64) for array in parameters]
    return [
        (Layer(wide[0][m], wide[1][m, 0]), Layer(wide[2][m], wide[3][m, 0])) for m in range(members)
    ]


class _Problem:
    """The mean penalised loss of every member, and its gradient."""

    def __init__(
        self, z: FloatArray, targets: HeadTargets, share: Float32Array, decay: Float32Array
    ) -> None:
        self.z: Float32Array = z.astype(np.float32)
        self.weight: Float32Array = targets.weight.astype(np.float32)
        self.positive: Float32Array = targets.positive.astype(np.float32)
        self.squares = np.nonzero(~targets.logistic)[0]
        self.capped = np.nonzero(np.isfinite(targets.cap))[0]
        self.cap, self.strength = targets.cap, targets.strength
        self.share, self.decay = share, decay
        self.ones = np.ones((1, len(z)), np.float32)

    def gradient(self, parameters: _Parameters) -> _Parameters:
        first, first_bias, second, second_bias = parameters
        hidden = self.z @ first
        hidden += first_bias
        np.maximum(hidden, 0.0, out=hidden)
        outputs = hidden @ second + second_bias
        response = 1.0 / (1.0 + np.exp(-np.clip(outputs, -30.0, 30.0)))
        error = self.weight * response - self.positive
        for column in self.squares:
            error[..., column] = self.weight[:, column] * outputs[..., column]
            error[..., column] -= self.weight[:, column] * self.positive[:, column]
        for column in self.capped:
            p = response[..., column]
            above = (self.share[..., 0] * p).sum(axis=1, keepdims=True) > self.cap[column]
            error[..., column] += np.float32(self.strength) * above * p * (1.0 - p)
        error *= self.share
        back = error @ second.swapaxes(1, 2)
        back *= hidden > 0.0
        return [
            self.z.T @ back + self.decay * first,
            self.ones @ back,  # a sum over the inputs, several times as fast as `sum`
            hidden.swapaxes(1, 2) @ error + self.decay * second,
            self.ones @ error,
        ]


def _adam(problem: _Problem, parameters: _Parameters, steps: int) -> None:
    """Adam in place; the rate falls linearly to zero over the second half."""
    means = [np.zeros_like(array) for array in parameters]
    squares = [np.zeros_like(array) for array in parameters]
    for step in range(1, steps + 1):
        rate = _RATE * min(1.0, 2.0 * (1.0 - (step - 1) / steps))
        corrections = [1.0 - decay**step for decay in _DECAY]
        for array, mean, square, gradient in zip(
            parameters, means, squares, problem.gradient(parameters), strict=True
        ):
            mean += np.float32(1.0 - _DECAY[0]) * (gradient - mean)
            square += np.float32(1.0 - _DECAY[1]) * (gradient * gradient - square)
            spread = np.sqrt(square / np.float32(corrections[1])) + _EPSILON
            array -= np.float32(rate / corrections[0]) * mean / spread
