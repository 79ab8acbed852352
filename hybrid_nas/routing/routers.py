"""Routers as scikit-learn-like estimators, for use on any signals outside of a search."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.routing import checks
from hybrid_nas.routing.crossfit import cross_fit
from hybrid_nas.routing.designs import constant_bytes, layer_macs
from hybrid_nas.routing.folds import group_folds
from hybrid_nas.routing.network import RouterNetwork
from hybrid_nas.routing.objectives import CoveragePenalty, head_targets, objective
from hybrid_nas.routing.ranking import input_accuracy, send_weights
from hybrid_nas.routing.thresholds import check_coverage, fit_threshold, sent
from hybrid_nas.typing import BoolArray, FloatArray, IntArray


class GainRouter:
    """A linear map, or a perceptron with one hidden layer, that scores which inputs to send.

    It keeps scikit-learn's conventions, so that `clone`, `GridSearchCV` and `cross_val_score` take
    it: the constructor stores its arguments as they are, `fit` checks them. The target y is
    (n, 2): whether the base and whether the cloud is right.

    Args:
        objective: what it is fitted to, see `objectives`.
        hidden: units of the hidden layer; 0 for a linear router.
        l2: the penalty, beside the sum of losses; None to choose one by cross-validation.
        coverage: the share of inputs to keep, for `predict` and `score`, and for the penalty of
            `oracle-label-penalised`.
        coverage_penalty: the strength of that penalty.
        widths: columns of each block the signals consist of, as wide blocks are compressed one by
            one; None for a single block.
        n_folds: folds for the out-of-fold scores.
        random_state: seed of the folds and of the initial weights; None for another each time.

    Attributes:
        network_: what was fitted.
        out_of_fold_score_: send scores (n,) of the fitting inputs, by fits that did not see them.
        penalties_: the l2 of each head.
        threshold_: of the scores that the router gives to the inputs it was fitted to.
        n_features_in_: columns of the signals.

    >>> signals = np.random.default_rng(0).normal(size=(200, 3))
    >>> base_right, cloud_right = signals[:, 0] > 0, np.ones(200, dtype=bool)
    >>> router = GainRouter().fit(signals, base_right, cloud_right)
    >>> bool(router.send_score(np.array([[-2.0, 0, 0]]))[0] > 0.5)
    True
    """

    network_: RouterNetwork
    out_of_fold_score_: FloatArray
    penalties_: dict[str, float]
    threshold_: float
    n_features_in_: int

    def __init__(
        self,
        objective: str = "signed-gain",
        *,
        hidden: int = 0,
        l2: float | None = None,
        coverage: float = 0.7,
        coverage_penalty: float = 1.0,
        widths: tuple[int, ...] | None = None,
        n_folds: int = 5,
        random_state: int | None = 0,
    ) -> None:
        self.objective = objective
        self.hidden = hidden
        self.l2 = l2
        self.coverage = coverage
        self.coverage_penalty = coverage_penalty
        self.widths = widths
        self.n_folds = n_folds
        self.random_state = random_state

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments by name, as scikit-learn's `clone` asks for them."""
        return {name: getattr(self, name) for name in _PARAMETERS}

    def set_params(self, **params: Any) -> GainRouter:
        """Change arguments of the constructor.

        Raises:
            InputError: for a name that is none of them; nothing is changed then.
        """
        for name in params:
            if name not in _PARAMETERS:
                raise InputError(
                    f"{name!r} is no parameter of GainRouter: expected one of "
                    f"{', '.join(_PARAMETERS)}"
                )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn 1.6 and later ask estimators that are not of its own base class."""
        from sklearn.utils import Tags, TargetTags  # a heavy import that only its tools need

        targets = TargetTags(required=True, multi_output=True)
        return Tags(estimator_type=None, target_tags=targets)

    def __repr__(self) -> str:
        """The constructor's call, with the arguments that are not the default."""
        given = {
            name: value
            for name, value in self.get_params().items()
            if value != _PARAMETERS[name].default
        }
        return f"GainRouter({', '.join(f'{name}={value!r}' for name, value in given.items())})"

    def fit(
        self,
        signals: FloatArray,
        base_correct: BoolArray,
        cloud_correct: BoolArray | None = None,
        groups: IntArray | None = None,
        *,
        soft_gain: FloatArray | None = None,
    ) -> GainRouter:
        """Fit on signals (n, d) where base and cloud are known to be right or wrong.

        Args:
            signals: what the router reads; finite.
            base_correct: (n,); or (n, 2), which holds the cloud's too.
            cloud_correct: (n,), where the first is (n,).
            groups: the source of each input (n,); folds keep them together.
            soft_gain: p_g(y) - p_b(y) (n,), for the objective of that name.

        Raises:
            InputError: for arrays or arguments of the constructor that do not do.
        """
        signals = self._checked(signals)
        base, cloud = _right(signals, base_correct, cloud_correct)
        if soft_gain is not None:
            soft_gain = checks.real_array(soft_gain, 1, "soft_gain").astype(np.float64)
            _check_rows(signals, soft_gain, "soft_gain")
        check_coverage(self.coverage)
        seed = self.random_state
        if seed is None:
            seed = int(np.random.default_rng().integers(2**31))
        targets = head_targets(
            objective(self.objective).heads,
            base,
            cloud,
            soft_gain=soft_gain,
            penalty=CoveragePenalty(self.coverage, self.coverage_penalty),
        )
        widths = (signals.shape[1],) if self.widths is None else tuple(self.widths)
        if sum(widths) != signals.shape[1]:
            raise InputError(f"widths {widths} of {signals.shape[1]} columns of signals")
        fitted = cross_fit(
            signals,
            widths,
            targets,
            group_folds(base, cloud, groups, self.n_folds, seed),
            hidden=self.hidden,
            penalties=None if self.l2 is None else (self.l2,),
            seed=seed,
        )
        self.n_features_in_ = signals.shape[1]
        self.network_ = fitted.network
        self.out_of_fold_score_ = fitted.out_of_fold_score(self.objective)
        self.penalties_ = dict(fitted.penalties)
        self.threshold_ = fit_threshold(
            fitted.score(self.objective, signals),
            self.coverage,
            break_even=objective(self.objective).break_even,
        )
        return self

    def send_score(self, signals: FloatArray) -> FloatArray:
        """The send score (n,) for signals (n, d)."""
        self._check_fitted()
        signals = self._checked(signals)
        if signals.shape[1] != self.n_features_in_:
            raise InputError(
                f"{signals.shape[1]} columns of signals, and the router was fitted to "
                f"{self.n_features_in_}"
            )
        return objective(self.objective).score(self.network_(signals), self.network_.heads)

    decision_function = send_score  # scikit-learn's name for it

    def predict(self, signals: FloatArray) -> BoolArray:
        """Which inputs to send (n,): those with a score above `threshold_`."""
        return sent(self.send_score(signals), self.threshold_)

    def score(
        self,
        signals: FloatArray,
        base_correct: BoolArray,
        cloud_correct: BoolArray | None = None,
    ) -> float:
        """Hybrid accuracy when exactly `coverage` of these inputs are kept; arguments as `fit`."""
        score = self.send_score(signals)
        base, cloud = _right(score[:, None], base_correct, cloud_correct)
        return float(input_accuracy(send_weights(score, self.coverage), base, cloud).mean())

    @property
    def params_(self) -> int:
        """Weights and biases."""
        self._check_fitted()
        return self.network_.params

    @property
    def macs_(self) -> int:
        """Multiply-accumulates per input."""
        self._check_fitted()
        return layer_macs(self.n_features_in_, self.hidden, len(self.network_.heads))

    @property
    def flash_bytes_(self) -> int:
        """Bytes of its constants on a device, as in `designs`, with one int8 block of signals."""
        self._check_fitted()
        return constant_bytes(self.n_features_in_, 1, 0, self.hidden, len(self.network_.heads))

    def _checked(self, signals: FloatArray) -> FloatArray:
        return checks.real_array(signals, 2, "signals").astype(np.float64)

    def _check_fitted(self) -> None:
        if not hasattr(self, "network_"):
            raise InputError("this GainRouter is not fitted yet: call fit first")


_PARAMETERS = {
    name: parameter
    for name, parameter in inspect.signature(GainRouter.__init__).parameters.items()
    if name != "self"
}


def _right(
    signals: FloatArray, base_correct: BoolArray, cloud_correct: BoolArray | None
) -> tuple[BoolArray, BoolArray]:
    """Where base and cloud are right, (n,) each, from two arrays or the columns of one."""
    base, cloud = np.asarray(base_correct), cloud_correct
    if cloud is None:
        if base.ndim != 2 or base.shape[1] != 2:
            raise InputError(
                f"base_correct has shape {base.shape}: expected (n, 2), base and cloud, or "
                "cloud_correct beside it"
            )
        base, cloud = base[:, 0], base[:, 1]
    cloud = np.asarray(cloud)
    for array, what in ((base, "base_correct"), (cloud, "cloud_correct")):
        _check_rows(signals, array, what)
        if not np.isin(array, (0, 1)).all():
            raise InputError(f"{what} says of each input whether it is right: expected True, False")
    return base.astype(bool), cloud.astype(bool)


def _check_rows(signals: FloatArray, array: Any, what: str) -> None:
    if array.shape != (len(signals),):
        raise InputError(
            f"{len(signals)} rows of signals and {what} of shape {array.shape}: each input needs "
            "one of each"
        )
