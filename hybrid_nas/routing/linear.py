"""Penalised linear fits of router heads: Newton's method for logistic losses, ridge for squares.

The penalty is l2 / 2 times the squared weights beside the *sum* of losses, as in scikit-learn's
`LogisticRegression(C=1 / l2)`; biases are free.
"""

from __future__ import annotations

import numpy as np

from hybrid_nas.routing.network import Layer
from hybrid_nas.routing.objectives import HeadTargets
from hybrid_nas.typing import FloatArray

_MAX_STEPS = 50
_BIAS_RIDGE = 1e-6  # keeps the bias finite where an event never occurs
_BOUND = 30.0  # of the logistic's argument: e^30 is certain enough, and no exp overflows


def fit_linear(
    z: FloatArray,
    targets: HeadTargets,
    l2: float,
    start: Layer | None = None,
    tolerance: float = 1e-6,
) -> Layer:
    """The layer (k, heads) of least penalised loss on coordinates z (n, k).

    `start` is a warm start. Newton's method stops when a step lowers the loss per input by less
    than
    `tolerance`.
    """
    design = np.concatenate([z, np.ones((len(z), 1))], axis=1)
    penalty = np.append(np.full(z.shape[1], l2), _BIAS_RIDGE)
    if start is None:
        start = Layer(np.zeros((z.shape[1], len(targets.heads))), targets.base_rate())
    solution = np.concatenate([start.weights, start.bias[None]], axis=0)
    for column, logistic in enumerate(targets.logistic):
        weight, positive = targets.weight[:, column], targets.positive[:, column]
        if logistic:
            solution[:, column] = _newton(
                design, weight, positive, penalty, solution[:, column], tolerance
            )
        else:
            gram = (design * weight[:, None]).T @ design
            gram[np.diag_indices_from(gram)] += penalty
            solution[:, column] = np.linalg.solve(gram, design.T @ (weight * positive))
    return Layer(solution[:-1], solution[-1])


def _newton(
    design: FloatArray,
    weight: FloatArray,
    positive: FloatArray,
    penalty: FloatArray,
    start: FloatArray,
    tolerance: float,
) -> FloatArray:
    """Minimise sum(weight log(1 + e^s) - positive s) + penalty . w^2 / 2, s = design @ w."""
    w, s = start, design @ start
    loss = _loss(s, w, weight, positive, penalty)
    for _ in range(_MAX_STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(s, -_BOUND, _BOUND)))
        gradient = design.T @ (weight * p - positive) + penalty * w
        hessian = (design * (weight * p * (1.0 - p))[:, None]).T @ design
        hessian[np.diag_indices_from(hessian)] += penalty
        step = np.linalg.solve(hessian, gradient)
        length = 1.0
        # A full step overshoots where the curvature has all but vanished: halve until it helps.
        while True:
            w_new = w - length * step
            s_new = design @ w_new
            loss_new = _loss(s_new, w_new, weight, positive, penalty)
            if loss_new <= loss or length < 1e-6:
                break
            length /= 2.0
        if loss_new > loss:
            break
        gained, w, s, loss = loss - loss_new, w_new, s_new, loss_new
        if gained <= tolerance * len(design):
            break
    return w


def _loss(
    s: FloatArray, w: FloatArray, weight: FloatArray, positive: FloatArray, penalty: FloatArray
) -> float:
    logistic = np.maximum(s, 0.0) + np.log1p(np.exp(-np.abs(s)))
    return float(weight @ logistic - positive @ s + 0.5 * (penalty * w) @ w)
