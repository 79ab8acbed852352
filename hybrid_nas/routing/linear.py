"""Penalised linear fits of router heads: Newton's method for logistic losses, ridge for squares.

The penalty is l2 / 2 times the squared weights beside the *sum* of losses, as in scikit-learn's
`LogisticRegression(C=1 / l2)`; biases are free.

A head with a cap has strength * relu(mean sigmoid(s) - cap) beside the mean loss. As that is the
maximum of pull * (mean sigmoid(s) - cap) over a pull from 0 to the strength, the pull is found by
bisection: 0 where the cap holds anyway, the strength where even that does not make it hold, else
the pull at which it just holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybrid_nas.routing.network import Layer
from hybrid_nas.routing.objectives import HeadTargets
from hybrid_nas.typing import FloatArray

_MAX_STEPS = 50
_BIAS_RIDGE = 1e-6  # keeps the bias finite where an event never occurs
_BOUND = 30.0  # of the logistic's argument: e^30 is certain enough, and no exp overflows
_HALVINGS = 20  # of the interval of the pull


def fit_linear(
    z: FloatArray,
    targets: HeadTargets,
    l2: float,
    start: Layer | None = None,
    tolerance: float = 1e-6,
) -> Layer:
    """The layer (k, heads) of least penalised loss on coordinates z (n, k).

    `start` is a warm start. Newton's method stops when a step lowers the loss per input by less
    than `tolerance`.
    """
    design = np.concatenate([z, np.ones((len(z), 1))], axis=1)
    penalty = np.append(np.full(z.shape[1], l2), _BIAS_RIDGE)
    if start is None:
        start = Layer(np.zeros((z.shape[1], len(targets.heads))), targets.base_rate())
    solution = np.concatenate([start.weights, start.bias[None]], axis=0)
    for column, logistic in enumerate(targets.logistic):
        weight, positive = targets.weight[:, column], targets.positive[:, column]
        if logistic:
            problem = _Logistic(design, weight, positive, penalty, tolerance)
            solution[:, column] = problem.solve_capped(
                solution[:, column], float(targets.cap[column]), targets.strength
            )
        else:
            gram = (design * weight[:, None]).T @ design
            gram[np.diag_indices_from(gram)] += penalty
            solution[:, column] = np.linalg.solve(gram, design.T @ (weight * positive))
    return Layer(solution[:-1], solution[-1])


@dataclass(frozen=True, eq=False)
class _Logistic:
    """sum(weight log(1 + e^s) - positive s + pull sigmoid(s)) + penalty . w^2 / 2, s = design @ w,
    to be minimised over w."""

    design: FloatArray
    weight: FloatArray
    positive: FloatArray
    penalty: FloatArray
    tolerance: float

    def solve_capped(self, start: FloatArray, cap: float, strength: float) -> FloatArray:
        """The minimum with strength * n * relu(mean sigmoid(s) - cap) in place of the pull."""
        w = self.solve(start)
        if np.isinf(cap) or self._share(w) <= cap:
            return w
        strongest = self.solve(w, strength)
        if self._share(strongest) >= cap:
            return strongest
        low, high = 0.0, strength
        for _ in range(_HALVINGS):
            pull = (low + high) / 2.0
            w = self.solve(w, pull)
            low, high = (pull, high) if self._share(w) > cap else (low, pull)
        return self.solve(w, high)

    def solve(self, start: FloatArray, pull: float = 0.0) -> FloatArray:
        """The minimum by Newton's method from `start`."""
        design, penalty = self.design, self.penalty
        w, s = start, design @ start
        loss = self._loss(s, w, pull)
        for _ in range(_MAX_STEPS):
            p = _sigmoid(s)
            slope, curvature = self.weight * p - self.positive, self.weight * p * (1.0 - p)
            if pull:
                slope = slope + pull * p * (1.0 - p)
                # Negative curvature, which a pull above 1 has at large s, would mislead Newton.
                curvature = np.maximum(curvature + pull * p * (1.0 - p) * (1.0 - 2.0 * p), 0.0)
            gradient = design.T @ slope + penalty * w
            hessian = (design * curvature[:, None]).T @ design
            hessian[np.diag_indices_from(hessian)] += penalty
            step = np.linalg.solve(hessian, gradient)
            length = 1.0
            # A full step overshoots where the curvature has all but vanished: halve until it helps.
            while True:
                w_new = w - length * step
                s_new = design @ w_new
                loss_new = self._loss(s_new, w_new, pull)
                if loss_new <= loss or length < 1e-6:
                    break
                length /= 2.0
            if loss_new > loss:
                break
            gained, w, s, loss = loss - loss_new, w_new, s_new, loss_new
            if gained <= self.tolerance * len(design):
                break
        return w

    def _share(self, w: FloatArray) -> float:
        return float(_sigmoid(self.design @ w).mean())

    def _loss(self, s: FloatArray, w: FloatArray, pull: float) -> float:
        logistic = np.maximum(s, 0.0) + np.log1p(np.exp(-np.abs(s)))
        loss = self.weight @ logistic - self.positive @ s + 0.5 * (self.penalty * w) @ w
        return float(loss + pull * _sigmoid(s).sum() if pull else loss)


def _sigmoid(s: FloatArray) -> FloatArray:
    p: FloatArray = 1.0 / (1.0 + np.exp(-np.clip(s, -_BOUND, _BOUND)))
    return p
