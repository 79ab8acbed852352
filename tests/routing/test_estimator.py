"""The router as an estimator: scikit-learn's own tools must take it."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score

from hybrid_nas.errors import InputError
from hybrid_nas.routing import GainRouter
from hybrid_nas.routing.designs import EARLY_DESIGNS
from tests.routing.conftest import Simulate


def test_clones_have_the_same_arguments_and_nothing_that_was_fitted(simulate: Simulate) -> None:
    router = GainRouter("two-stage", hidden=4, l2=3.0, widths=(2, 3), random_state=7)
    pair = simulate(300)
    router.fit(pair.base.features, pair.base.correct, pair.cloud_correct)
    again = clone(router)
    assert again is not router
    assert again.get_params() == router.get_params()
    assert not [name for name in vars(again) if name.endswith("_")]
    with pytest.raises(InputError, match="not fitted"):
        again.send_score(pair.base.features)
    with pytest.raises(InputError, match="not fitted"):
        _ = again.flash_bytes_
    again.fit(pair.base.features, pair.base.correct, pair.cloud_correct)
    np.testing.assert_array_equal(again.out_of_fold_score_, router.out_of_fold_score_)


def test_arguments_can_be_changed_and_a_wrong_name_changes_none() -> None:
    router = GainRouter(l2=3.0)
    assert router.set_params(l2=5.0).get_params()["l2"] == 5.0
    with pytest.raises(InputError, match="no parameter"):
        router.set_params(l2=1.0, depth=3)
    assert router.l2 == 5.0
    assert repr(router) == "GainRouter(l2=5.0)"


def test_a_grid_search_finds_what_a_loop_over_folds_finds(simulate: Simulate) -> None:
    pair = simulate(400, groups=80)
    signals, groups = pair.base.features, pair.base.groups
    right = np.stack([pair.base.correct, pair.cloud_correct], axis=1)
    choices, folds = ["signed-gain", "oracle-label"], GroupKFold(4)
    grid = GridSearchCV(GainRouter(), {"objective": choices}, cv=folds)
    grid.fit(signals, right, groups=groups)
    for choice, found in zip(choices, grid.cv_results_["mean_test_score"], strict=True):
        scores = [
            GainRouter(choice).fit(signals[a], right[a]).score(signals[b], right[b])
            for a, b in folds.split(signals, right, groups)
        ]
        assert found == pytest.approx(np.mean(scores))
    assert grid.best_estimator_.objective == choices[grid.cv_results_["mean_test_score"].argmax()]
    assert grid.best_estimator_.predict(signals).dtype == bool


def test_the_score_is_hybrid_accuracy_at_the_coverage(simulate: Simulate) -> None:
    pair = simulate(1000)
    b, g = pair.base.correct, pair.cloud_correct
    router = GainRouter(coverage=0.8).fit(pair.base.features, b, g)
    send = np.argsort(-router.send_score(pair.base.features))[:200]
    expected = b.copy()
    expected[send] = g[send]
    assert router.score(pair.base.features, b, g) == pytest.approx(expected.mean())
    sends = router.predict(pair.base.features)
    assert sends.sum() == 200
    assert set(np.flatnonzero(sends)) == set(send)
    both = np.stack([b, g], axis=1)
    assert len(cross_val_score(router, pair.base.features, both, cv=3)) == 3


def test_without_a_seed_each_fit_draws_its_own(simulate: Simulate) -> None:
    pair = simulate(200)
    x, right = pair.base.features, (pair.base.correct, pair.cloud_correct)
    fits = [GainRouter(hidden=4, random_state=None).fit(x, *right) for _ in range(2)]
    assert (fits[0].out_of_fold_score_ != fits[1].out_of_fold_score_).any()


@pytest.mark.parametrize("kind", ["linear-stage1", "mlp8-stage1"])
def test_costs_are_those_of_a_design_of_the_same_shape(simulate: Simulate, kind: str) -> None:
    """That of an early router: one block of signals, as an estimator has."""
    shape, pair = EARLY_DESIGNS[kind], simulate(200)
    x = np.random.default_rng(0).normal(size=(200, 29))
    router = GainRouter(hidden=shape.hidden).fit(x, pair.base.correct, pair.cloud_correct)
    assert router.params_ == shape.params(10, 29)
    assert router.macs_ == shape.macs(10, 29)
    assert router.flash_bytes_ == shape.flash_bytes(10, 29)
    again = copy.deepcopy(router)
    np.testing.assert_array_equal(again.send_score(x), router.send_score(x))


def _arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.normal(size=(60, 3)), random.random(60) < 0.6, random.random(60) < 0.8


def test_what_cannot_be_fitted_is_refused_in_one_line() -> None:
    x, b, g = _arrays()
    broken = x.copy()
    broken[3, 1] = np.nan
    cases = [
        (GainRouter(), (broken, b, g), "NaN or infinity in row 3"),
        (GainRouter(), (x[:, 0], b, g), "expected \\(n, columns\\)"),
        (GainRouter(), (x, b, g[:5]), "cloud_correct of shape \\(5,\\)"),
        (GainRouter(), (x, b), "expected \\(n, 2\\)"),
        (GainRouter(), (x, b + 0.5, g), "base_correct says"),
        (GainRouter("gut-feeling"), (x, b, g), "signed-gain"),
        (GainRouter("soft-gain"), (x, b, g), "class probabilities"),
        (GainRouter(coverage=0.0), (x, b, g), "coverage 0"),
        (GainRouter(coverage_penalty=-1.0), (x, b, g), "at least 0"),
        (GainRouter(widths=(1, 1)), (x, b, g), "widths"),
    ]
    for router, given, message in cases:
        with pytest.raises(InputError, match=message):
            router.fit(*given)
    fitted = GainRouter().fit(x, b, g)
    with pytest.raises(InputError, match="2 columns"):
        fitted.send_score(x[:, :2])


@pytest.mark.parametrize("hidden", [0, 4])
def test_constant_signals_and_a_single_outcome_are_fitted_all_the_same(hidden: int) -> None:
    x, b, g = _arrays()
    always = np.ones(60, dtype=bool)
    router = GainRouter(hidden=hidden)
    assert np.isfinite(router.fit(np.ones((60, 3)), b, g).send_score(x)).all()
    assert np.isfinite(router.fit(x, always, always).send_score(x)).all()
