"""Fitting router heads with cross-validation, for honest scores and to choose the penalty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hybrid_nas.routing.linear import fit_linear
from hybrid_nas.routing.mlp import fit_mlps
from hybrid_nas.routing.network import Layer, RouterNetwork
from hybrid_nas.routing.objectives import HeadTargets, objective
from hybrid_nas.routing.preparation import Preparation
from hybrid_nas.typing import FloatArray, IntArray

LINEAR_PENALTIES = (300.0, 60.0, 15.0)
"""Penalties tried for linear routers, strongest first: each fit starts from the one before."""
MLP_PENALTIES = (20.0,)
"""The penalty of routers with a hidden layer, which stop early too: trying more changes little."""
_PATH_TOLERANCE = 1e-4  # a fold's score needs no more digits than its few hundred inputs carry


@dataclass(frozen=True, eq=False)
class CrossFit:
    """Heads fitted on all rows, and what fits without a row's fold say about that row.

    Args:
        network: from raw signals to the heads' outputs, fitted on all rows.
        out_of_fold: outputs (n, heads) of fits that did not see the row's fold.
        penalties: the l2 chosen for each head by the out-of-fold loss.
    """

    network: RouterNetwork
    out_of_fold: FloatArray
    penalties: Mapping[str, float]

    def score(self, name: str, signals: FloatArray) -> FloatArray:
        """Send scores (n,) by an objective whose heads were fitted."""
        return objective(name).score(self.network(signals), self.network.heads)

    def out_of_fold_score(self, name: str) -> FloatArray:
        """Send scores of the fitting rows, each by a router that has not seen its fold."""
        return objective(name).score(self.out_of_fold, self.network.heads)


def cross_fit(
    signals: FloatArray,
    widths: Sequence[int],
    targets: HeadTargets,
    folds: IntArray,
    *,
    hidden: int = 0,
    penalties: Sequence[float] | None = None,
    seed: int = 0,
) -> CrossFit:
    """Fit the heads of `targets` on signals (n, d) made of blocks of these widths.

    `folds` (n,) numbers each row's fold. Of `penalties` (strongest first), each head of a linear
    router takes the one of least out-of-fold loss; heads that share a hidden layer take one
    together.
    """
    preparation = Preparation.fit(signals, widths)
    z = preparation(signals)
    if hidden:
        return _cross_fit_mlp(
            preparation, z, targets, folds, hidden, tuple(penalties or MLP_PENALTIES), seed
        )
    return _cross_fit_linear(preparation, z, targets, folds, tuple(penalties or LINEAR_PENALTIES))


def _cross_fit_linear(
    preparation: Preparation,
    z: FloatArray,
    targets: HeadTargets,
    folds: IntArray,
    penalties: tuple[float, ...],
) -> CrossFit:
    n_heads = len(targets.heads)
    outputs = np.empty((len(penalties), len(z), n_heads))
    for fold in range(int(folds.max()) + 1):
        held_out = folds == fold
        z_train, targets_train = z[~held_out], targets.take(~held_out)
        layer: Layer | None = None
        for index, l2 in enumerate(penalties):
            layer = fit_linear(z_train, targets_train, l2, layer, _PATH_TOLERANCE)
            outputs[index, held_out] = layer(z[held_out])
    best = targets.loss(outputs).mean(axis=1).argmin(axis=0)  # a penalty for each head
    layers = [fit_linear(z, targets.only(head), penalties[best[head]]) for head in range(n_heads)]
    out = Layer(
        np.concatenate([layer.weights for layer in layers], axis=1),
        np.concatenate([layer.bias for layer in layers]),
    )
    return CrossFit(
        network=preparation.network(None, out, targets.heads),
        out_of_fold=np.stack([outputs[best[head], :, head] for head in range(n_heads)], axis=1),
        penalties={name: penalties[i] for name, i in zip(targets.heads, best, strict=True)},
    )


def _cross_fit_mlp(
    preparation: Preparation,
    z: FloatArray,
    targets: HeadTargets,
    folds: IntArray,
    hidden: int,
    penalties: tuple[float, ...],
    seed: int,
) -> CrossFit:
    n_folds = int(folds.max()) + 1
    # Members: for each penalty, one fit without each fold and one on everything (fold "n_folds").
    used = np.tile(folds != np.arange(n_folds + 1)[:, None], (len(penalties), 1))
    members = fit_mlps(z, targets, used, np.repeat(penalties, n_folds + 1), hidden, seed)
    outputs = np.empty((len(penalties), len(z), len(targets.heads)))
    for index in range(len(penalties)):
        for fold in range(n_folds):
            first, second = members[index * (n_folds + 1) + fold]
            held_out = folds == fold
            outputs[index, held_out] = second(np.maximum(first(z[held_out]), 0.0))
    best = int(targets.loss(outputs).mean(axis=1).sum(axis=1).argmin())
    first, second = members[best * (n_folds + 1) + n_folds]
    return CrossFit(
        network=preparation.network(first, second, targets.heads),
        out_of_fold=outputs[best],
        penalties=dict.fromkeys(targets.heads, penalties[best]),
    )
