"""Fits of router heads, against scikit-learn and against gradients that must vanish."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge

from hybrid_nas.errors import InputError
from hybrid_nas.routing.crossfit import cross_fit
from hybrid_nas.routing.folds import group_folds
from hybrid_nas.routing.linear import fit_linear
from hybrid_nas.routing.mlp import _Problem, fit_mlps
from hybrid_nas.routing.objectives import (
    OBJECTIVES,
    automatic_objectives,
    head_targets,
    heads_of,
    objective,
)
from hybrid_nas.routing.preparation import MAX_COMPONENTS, Preparation, leading_axes
from hybrid_nas.typing import BoolArray, FloatArray

HEADS = ("only-cloud", "only-base", "ratio", "gain")


def made_up(n: int = 400, d: int = 5, seed: int = 0) -> tuple[FloatArray, BoolArray, BoolArray]:
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, d))
    base_correct = random.random(n) < 1 / (1 + np.exp(-1 - 2 * x[:, 0]))
    cloud_correct = random.random(n) < 1 / (1 + np.exp(-2 - 2 * x[:, 1]))
    return x, base_correct, cloud_correct


@pytest.mark.parametrize("l2", [0.1, 3.0, 100.0])
def test_logistic_heads_equal_scikit_learn(l2: float) -> None:
    x, b, g = made_up()
    layer = fit_linear(x, head_targets(HEADS[:2], b, g), l2, tolerance=1e-13)
    for column, event in enumerate((g & ~b, b & ~g)):
        reference = LogisticRegression(C=1 / l2, tol=1e-10, max_iter=5000).fit(x, event)
        np.testing.assert_allclose(layer.weights[:, column], reference.coef_[0], atol=1e-5)
        np.testing.assert_allclose(layer.bias[column], reference.intercept_[0], atol=1e-4)


def test_the_two_stage_head_equals_a_logistic_fit_on_doubled_inputs() -> None:
    """b log(1+e^s) + g log(1+e^-s): an input that both get right counts once on each side."""
    x, b, g = made_up()
    layer = fit_linear(x, head_targets(["ratio"], b, g), 3.0, tolerance=1e-13)
    doubled = np.concatenate([x[g], x[b]])
    event = np.repeat([True, False], [g.sum(), b.sum()])
    reference = LogisticRegression(C=1 / 3.0, tol=1e-10, max_iter=5000).fit(doubled, event)
    np.testing.assert_allclose(layer.weights[:, 0], reference.coef_[0], atol=1e-5)


def test_the_regression_head_equals_ridge() -> None:
    x, b, g = made_up()
    layer = fit_linear(x, head_targets(["gain"], b, g), 7.0)
    reference = Ridge(alpha=7.0).fit(x, g.astype(float) - b)
    np.testing.assert_allclose(layer.weights[:, 0], reference.coef_, atol=1e-8)
    np.testing.assert_allclose(layer.bias[0], reference.intercept_, atol=1e-8)


def test_newton_survives_separable_events_that_make_full_steps_overshoot() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 3)) * [1.0, 50.0, 0.01]
    targets = head_targets(HEADS[:2], x[:, 1] > 0, np.ones(300, dtype=bool))
    layer = fit_linear(x, targets, 1e-3)
    assert np.isfinite(layer.weights).all()
    assert ((layer(x)[:, 0] > 0) == (x[:, 1] <= 0)).all()


def test_events_that_never_occur_give_finite_fits() -> None:
    x, _, _ = made_up(50)
    everything = np.ones(50, dtype=bool)
    layer = fit_linear(x, head_targets(HEADS, everything, everything), 10.0)
    assert np.isfinite(layer(x)).all()
    assert (layer(x)[:, :2] < -2).all()


def test_a_warm_start_ends_at_the_same_place() -> None:
    x, b, g = made_up()
    targets = head_targets(HEADS, b, g)
    start = fit_linear(x, targets, 300.0)
    warm = fit_linear(x, targets, 5.0, start, tolerance=1e-13)
    cold = fit_linear(x, targets, 5.0, tolerance=1e-13)
    np.testing.assert_allclose(warm.weights, cold.weights, atol=1e-6)


def test_the_gradient_of_the_perceptron_is_the_slope_of_its_loss() -> None:
    x, b, g = made_up(40, 3)
    targets = head_targets(HEADS, b, g)
    share = np.full((1, 40, 1), 1 / 40, dtype=np.float32)
    decay = np.full((1, 1, 1), 0.01, dtype=np.float32)
    problem = _Problem(x, targets, share, decay)
    random = np.random.default_rng(1)
    shapes = [(1, 3, 4), (1, 1, 4), (1, 4, 4), (1, 1, 4)]
    parameters = [random.normal(size=shape) for shape in shapes]

    def loss() -> float:
        w1, b1, w2, b2 = parameters
        outputs = np.maximum(x @ w1[0] + b1[0], 0) @ w2[0] + b2[0]
        penalty = 0.005 * ((w1**2).sum() + (w2**2).sum())
        return float(targets.loss(outputs).mean(axis=0).sum() + penalty)

    gradients = problem.gradient(parameters)
    for array, gradient in zip(parameters, gradients, strict=True):
        for index in [(0, 0, 0), (0, -1, -1)]:
            kept = array[index]
            array[index] = kept + 1e-5
            above = loss()
            array[index] = kept - 1e-5
            below = loss()
            array[index] = kept
            np.testing.assert_allclose(gradient[index], (above - below) / 2e-5, atol=2e-4)


def test_perceptrons_fitted_together_equal_those_fitted_alone() -> None:
    x, b, g = made_up(100)
    targets = head_targets(HEADS, b, g)
    used = np.ones((2, 100), dtype=bool)
    used[1, :30] = False
    together = fit_mlps(x, targets, used, (10.0, 30.0), hidden=4, seed=3)
    for member, l2 in enumerate((10.0, 30.0)):
        alone = fit_mlps(x, targets, used[member : member + 1], (l2,), hidden=4, seed=3)[0]
        np.testing.assert_allclose(alone[1].weights, together[member][1].weights, atol=1e-4)


def test_a_perceptron_learns_what_no_linear_map_can() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(1000, 2))
    wrong = (x[:, 0] > 0) == (x[:, 1] > 0)
    targets = head_targets(["only-cloud"], ~wrong, np.ones(1000, dtype=bool))
    first, second = fit_mlps(x, targets, np.ones((1, 1000), dtype=bool), (1.0,), 8, 0, steps=200)[0]
    agreed = ((second(np.maximum(first(x), 0))[:, 0] > 0) == wrong).mean()
    assert agreed > 0.9
    linear = fit_linear(x, targets, 1.0)(x)[:, 0] > 0
    assert (linear == wrong).mean() < 0.7


def test_heads_fit_the_events_they_are_named_for() -> None:
    b = np.array([True, True, False, False])
    g = np.array([True, False, True, False])
    targets = head_targets(HEADS, b, g)
    assert targets.positive.T.tolist() == [[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, -1, 1, 0]]
    assert targets.weight[:, 2].tolist() == [2, 1, 1, 0]
    s = np.array([0.7])
    for i in range(4):
        expected = b[i] * np.log1p(np.exp(s)) + g[i] * np.log1p(np.exp(-s))
        np.testing.assert_allclose(targets.loss(np.full((4, 4), s))[i, 2], expected)


def test_the_signed_gain_is_a_difference_of_probabilities() -> None:
    score = OBJECTIVES["signed-gain"].score(np.array([[0.0, -50.0], [-50.0, 0.0]]), HEADS[:2])
    np.testing.assert_allclose(score, [0.5, -0.5])


def test_heads_are_named_once_and_unknown_objectives_are_refused() -> None:
    names = automatic_objectives(soft_gain=True)
    assert heads_of(names) == ("only-cloud", "only-base", "gain", "ratio", "soft-gain")
    assert heads_of(automatic_objectives(soft_gain=False)) == heads_of(names)[:-1]
    with pytest.raises(InputError, match="signed-gain"):
        objective("gut-feeling")


def test_coordinates_are_standardised_and_one_hot_columns_only_centred() -> None:
    random = np.random.default_rng(0)
    x = np.stack([random.normal(3, 9, 500), random.random(500) < 0.1, np.ones(500)], axis=1)
    z = Preparation.fit(x, (3,))(x)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(z[:, 0].std(), 1)
    np.testing.assert_allclose(z[:, 1].std(), x[:, 1].std())
    assert (z[:, 2] == 0).all()


def test_wide_blocks_are_compressed_to_what_pca_keeps() -> None:
    random = np.random.default_rng(0)
    scales = 0.7 ** np.arange(80)
    block = random.normal(size=(600, 80)) * scales @ random.normal(size=(80, 80))
    block -= block.mean(axis=0)
    scores = block @ leading_axes(block, 10)
    reference = PCA(10).fit(block)
    spread = np.sqrt(reference.explained_variance_ / reference.explained_variance_[0])
    np.testing.assert_allclose(scores.std(axis=0), spread, rtol=1e-3)
    assert Preparation.fit(np.c_[block[:, :3], block], (3, 80)).projection.shape == (
        83,
        3 + MAX_COMPONENTS,
    )


@pytest.mark.parametrize("hidden", [0, 4])
def test_a_fit_on_coordinates_is_a_network_on_raw_signals(hidden: int) -> None:
    x, b, g = made_up(300, 60)
    x = x * 5 + 2
    folds = group_folds(b, g, None, 5, 0)
    fitted = cross_fit(x, (10, 50), head_targets(HEADS, b, g), folds, hidden=hidden, seed=1)
    assert fitted.network(x).shape == (300, 4)
    assert fitted.network.params == (
        60 * hidden + hidden + hidden * 4 + 4 if hidden else 60 * 4 + 4
    )
    for name in automatic_objectives(soft_gain=False):
        # A router knows its own fitting inputs better than a router that has not seen them.
        agreement = np.corrcoef(fitted.score(name, x), fitted.out_of_fold_score(name))[0, 1]
        assert 0.3 < agreement < 0.999


def test_out_of_fold_scores_do_not_change_with_the_answers_of_their_own_fold() -> None:
    x, b, g = made_up(200)
    folds = group_folds(b, g, None, 4, 0)
    before = cross_fit(x, (5,), head_targets(HEADS, b, g), folds, penalties=(30.0,))
    b_changed = b.copy()
    b_changed[folds == 2] = ~b[folds == 2]
    after = cross_fit(x, (5,), head_targets(HEADS, b_changed, g), folds, penalties=(30.0,))
    unchanged = (before.out_of_fold == after.out_of_fold).all(axis=1)
    assert unchanged[folds == 2].all()
    assert not unchanged[folds != 2].any()


def test_the_penalty_with_least_out_of_fold_loss_is_taken() -> None:
    random = np.random.default_rng(0)
    noise = random.normal(size=(300, 30))
    b = random.random(300) < 0.5
    g = np.ones(300, dtype=bool)
    folds = group_folds(b, g, None, 5, 0)
    fitted = cross_fit(noise, (30,), head_targets(["only-cloud"], b, g), folds)
    assert fitted.penalties["only-cloud"] == 300.0  # nothing to learn: the strongest
    telling = np.where(b, -1.0, 1.0)[:, None] + 0.3 * random.normal(size=(300, 30))
    fitted = cross_fit(telling, (30,), head_targets(["only-cloud"], b, g), folds)
    assert fitted.penalties["only-cloud"] == 15.0
