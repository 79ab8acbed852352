"""Routers as scikit-learn-like estimators, for use on any signals outside of a search."""

from __future__ import annotations

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.routing.crossfit import cross_fit
from hybrid_nas.routing.folds import group_folds
from hybrid_nas.routing.objectives import head_targets, objective
from hybrid_nas.typing import BoolArray, FloatArray, IntArray


class GainRouter:
    """A linear map, or a perceptron with one hidden layer, that scores which inputs to send.

    Args:
        objective: what it is fitted to: `signed-gain`, `gain-regression`, `two-stage` or
            `oracle-label` (see `objectives`).
        hidden: units of the hidden layer; 0 for a linear router.
        l2: the penalty, beside the sum of losses; None to choose one by cross-validation.
        widths: columns of each block the signals consist of, as wide blocks are compressed one by
            one; None for a single block.
        n_folds: folds for the out-of-fold scores.
        random_state: seed of the folds and of the initial weights.

    After `fit`: `network_`, `out_of_fold_score_` (n,) and `penalties_` by head.

    >>> signals = np.random.default_rng(0).normal(size=(200, 3))
    >>> base_right, cloud_right = signals[:, 0] > 0, np.ones(200, dtype=bool)
    >>> router = GainRouter().fit(signals, base_right, cloud_right)
    >>> bool(router.send_score(np.array([[-2.0, 0, 0]]))[0] > 0.5)
    True
    """

    def __init__(
        self,
        objective: str = "signed-gain",
        *,
        hidden: int = 0,
        l2: float | None = None,
        widths: tuple[int, ...] | None = None,
        n_folds: int = 5,
        random_state: int = 0,
    ) -> None:
        self.objective = objective
        self.hidden = hidden
        self.l2 = l2
        self.widths = widths
        self.n_folds = n_folds
        self.random_state = random_state

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """The constructor's arguments by name, as scikit-learn's `clone` asks for them."""
        names = ("objective", "hidden", "l2", "widths", "n_folds", "random_state")
        return {name: getattr(self, name) for name in names}

    def set_params(self, **params: object) -> GainRouter:
        """Change arguments of the constructor."""
        for name, value in params.items():
            if name not in self.get_params():
                raise InputError(
                    f"{name!r} is no parameter of GainRouter: expected one of "
                    f"{', '.join(self.get_params())}"
                )
            setattr(self, name, value)
        return self

    def fit(
        self,
        signals: FloatArray,
        base_correct: BoolArray,
        cloud_correct: BoolArray,
        groups: IntArray | None = None,
    ) -> GainRouter:
        """Fit on signals (n, d) where base and cloud are known to be right or wrong, (n,) each."""
        if not len(signals) == len(base_correct) == len(cloud_correct):
            raise InputError(
                f"{len(signals)} rows of signals, {len(base_correct)} of base_correct and "
                f"{len(cloud_correct)} of cloud_correct: each input needs one of each"
            )
        folds = group_folds(base_correct, cloud_correct, groups, self.n_folds, self.random_state)
        targets = head_targets(objective(self.objective).heads, base_correct, cloud_correct)
        fitted = cross_fit(
            np.asarray(signals, dtype=np.float64),
            (signals.shape[1],) if self.widths is None else self.widths,
            targets,
            folds,
            hidden=self.hidden,
            penalties=None if self.l2 is None else (self.l2,),
            seed=self.random_state,
        )
        self.network_ = fitted.network
        self.out_of_fold_score_ = fitted.out_of_fold_score(self.objective)
        self.penalties_ = dict(fitted.penalties)
        return self

    def send_score(self, signals: FloatArray) -> FloatArray:
        """The send score (n,) for signals (n, d)."""
        return objective(self.objective).score(self.network_(signals), self.network_.heads)
