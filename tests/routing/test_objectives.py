"""The soft gain, and what the paper's coverage penalty does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import Ridge

from hybrid_nas.errors import InputError
from hybrid_nas.routing import GainRouter, ModelOutputs, design, fit_pair_router
from hybrid_nas.routing.evidence import gather_evidence, soft_gain
from hybrid_nas.routing.linear import fit_linear
from hybrid_nas.routing.mlp import _Problem
from hybrid_nas.routing.objectives import CAPPED, CoveragePenalty, head_targets
from hybrid_nas.routing.selection import select_router
from hybrid_nas.typing import BoolArray, FloatArray
from tests.routing.conftest import Simulate, SimulatedPair

HEADS = ("only-cloud", CAPPED)


def made_up(n: int = 400) -> tuple[FloatArray, BoolArray, BoolArray]:
    random = np.random.default_rng(0)
    x = random.normal(size=(n, 3))
    return x, random.random(n) < expit(2 * x[:, 0]), random.random(n) < expit(2 + x[:, 1])


def with_probabilities(pair: SimulatedPair) -> ModelOutputs:
    """The simulated cloud with probabilities: its true chance of being right on its prediction."""
    p_cloud = np.maximum(expit(1.8 + 2.0 * pair.base.features[:, 1]), 1.02 / 5)
    probs = np.repeat((1.0 - p_cloud)[:, None] / 4, 5, axis=1)
    probs[np.arange(pair.base.n), pair.cloud.pred] = p_cloud
    return ModelOutputs(labels=pair.cloud.labels, probabilities=probs, predicted=pair.cloud.pred)


def test_the_soft_gain_is_of_the_label_s_probabilities() -> None:
    labels = np.array([0, 1])
    base = ModelOutputs(labels=labels, probabilities=np.array([[0.6, 0.4], [0.7, 0.3]]))
    cloud = ModelOutputs(probabilities=np.array([[0.9, 0.1], [0.2, 0.8]]))
    found = soft_gain(base, cloud)
    assert found is not None
    np.testing.assert_allclose(found, [0.3, 0.5])
    assert soft_gain(base, ModelOutputs(predicted=labels)) is None
    with pytest.raises(InputError, match="labels"):
        soft_gain(cloud, cloud)


def test_the_soft_gain_is_fitted_by_ridge_regression() -> None:
    x, b, g = made_up()
    soft = np.clip(0.5 * x[:, 1] - 0.4 * x[:, 0], -1, 1)
    layer = fit_linear(x, head_targets(["soft-gain"], b, g, soft_gain=soft), 7.0)
    reference = Ridge(alpha=7.0).fit(x, soft)
    np.testing.assert_allclose(layer.weights[:, 0], reference.coef_, atol=1e-8)
    np.testing.assert_allclose(layer.bias[0], reference.intercept_, atol=1e-6)


def test_the_soft_gain_takes_part_only_where_there_are_probabilities(simulate: Simulate) -> None:
    pair, kind = simulate(600), design("linear-features")
    right = pair.base.correct, pair.cloud_correct
    soft = gather_evidence(pair.base, kind, *right, cloud=with_probabilities(pair))
    hard = gather_evidence(pair.base, kind, *right, cloud=pair.cloud)
    assert "soft-gain" in select_router(soft, (0.7,)).scores
    assert "soft-gain" in select_router(soft.take(np.arange(400)), (0.7,)).scores
    assert "soft-gain" not in select_router(hard, (0.7,)).scores
    arguments = (kind, pair.base, pair.cloud_correct, pair.base, (0.7,))
    router = fit_pair_router(*arguments, objective="soft-gain", cloud=with_probabilities(pair))
    assert router.method == "soft-gain"
    assert not router.break_even
    for cloud in (None, pair.cloud):
        with pytest.raises(InputError, match="soft-gain needs the class probabilities"):
            fit_pair_router(*arguments, objective="soft-gain", cloud=cloud)


def test_soft_targets_are_less_noisy(simulate: Simulate) -> None:
    """With calibrated probabilities and few inputs, the fit comes closer to the true gain."""
    test = simulate(4000, seed=99)
    closer = 0
    for seed in range(8):
        pair = simulate(150, seed=seed)
        soft = soft_gain(pair.base, with_probabilities(pair))
        x, right = pair.base.features, (pair.base.correct, pair.cloud_correct)
        agreement = [
            np.corrcoef(
                GainRouter(name, l2=5.0)
                .fit(x, *right, soft_gain=soft)
                .send_score(test.base.features),
                test.gain,
            )[0, 1]
            for name in ("soft-gain", "gain-regression")
        ]
        closer += agreement[0] > agreement[1]
    assert closer >= 7


@pytest.mark.parametrize(("coverage", "strength"), [(0.9, 1.0), (0.8, 1.0), (0.9, 0.3), (0.5, 1.0)])
def test_the_penalised_fit_is_the_minimum_that_a_general_solver_finds(
    coverage: float, strength: float
) -> None:
    """With a slack t >= 0 and t >= mean sigmoid(s) - cap, the kink becomes two constraints."""
    x, b, g = made_up()
    event, l2, cap = (g & ~b).astype(float), 5.0, 1.0 - coverage
    n = len(x)

    def excess(v: FloatArray) -> float:
        return float(expit(x @ v[:3] + v[3]).mean() - cap)

    def loss(v: FloatArray) -> float:
        s = x @ v[:3] + v[3]
        return float(
            (np.logaddexp(0, s) - event * s).mean() + l2 / 2 / n * v[:3] @ v[:3] + strength * v[4]
        )

    constraint = {"type": "ineq", "fun": lambda v: np.array([v[4], v[4] - excess(v)])}
    start = np.array([0, 0, 0, -2.0, 0.5])
    options = {"ftol": 1e-13, "maxiter": 500}
    best = minimize(loss, start, method="SLSQP", constraints=constraint, options=options)
    targets = head_targets([CAPPED], b, g, penalty=CoveragePenalty(coverage, strength))
    layer = fit_linear(x, targets, l2, tolerance=1e-12)
    found = np.array([*layer.weights[:, 0], layer.bias[0], 0.0])
    found[4] = max(excess(found), 0.0)
    assert best.success
    assert loss(found) == pytest.approx(loss(best.x), abs=1e-7)
    np.testing.assert_allclose(found[:4], best.x[:4], atol=5e-3)


def test_the_perceptron_s_gradient_has_the_penalty_s_slope() -> None:
    x, b, g = made_up(40)
    targets = head_targets(HEADS, b, g, penalty=CoveragePenalty(0.95, 0.7))
    share = np.full((1, 40, 1), 1 / 40, dtype=np.float32)
    problem = _Problem(x, targets, share, np.zeros((1, 1, 1), dtype=np.float32))
    random = np.random.default_rng(1)
    parameters = [
        random.normal(size=shape) for shape in [(1, 3, 4), (1, 1, 4), (1, 4, 2), (1, 1, 2)]
    ]

    def loss() -> float:
        w1, b1, w2, b2 = parameters
        outputs = np.maximum(x @ w1[0] + b1[0], 0) @ w2[0] + b2[0]
        plain = targets.only(0).loss(outputs[:, :1]).mean()
        s = outputs[:, 1]
        capped = (np.logaddexp(0, s) - (g & ~b) * s).mean() + 0.7 * max(expit(s).mean() - 0.05, 0)
        return float(plain + capped)

    assert targets.loss(np.zeros((40, 2))).mean(axis=0) == pytest.approx(
        [np.log(2), np.log(2) + 0.7 * 0.45]
    )
    for array, gradient in zip(parameters, problem.gradient(parameters), strict=True):
        kept = array[0, 0, -1]
        array[0, 0, -1] = kept + 1e-5
        above = loss()
        array[0, 0, -1] = kept - 1e-5
        below = loss()
        array[0, 0, -1] = kept
        np.testing.assert_allclose(gradient[0, 0, -1], (above - below) / 2e-5, atol=2e-4)


@pytest.mark.parametrize("hidden", [0, 8])
def test_the_penalty_lowers_the_mean_score(simulate: Simulate, hidden: int) -> None:
    pair = simulate(1500, seed=1)
    x, right = pair.base.features, (pair.base.correct, pair.cloud_correct)
    plain, capped, idle = (
        GainRouter(name, hidden=hidden, coverage=coverage).fit(x, *right).send_score(x).mean()
        for name, coverage in (
            ("oracle-label", 0.9),
            ("oracle-label-penalised", 0.9),
            ("oracle-label-penalised", 0.5),
        )
    )
    wanted = (~pair.base.correct & pair.cloud_correct).mean()
    assert 0.2 < wanted < 0.5  # more than the tenth that may be sent, less than the half
    assert plain == pytest.approx(wanted, abs=0.02)
    assert idle == pytest.approx(plain, abs=0.01)
    assert 0.1 <= capped < plain - 0.05


def test_a_threshold_undoes_the_penalty(simulate: Simulate) -> None:
    pair, test = simulate(1500, seed=1), simulate(5000, seed=2)
    x, right = pair.base.features, (pair.base.correct, pair.cloud_correct)
    test_right = test.base.correct, test.cloud_correct
    plain = GainRouter("oracle-label", coverage=0.9).fit(x, *right)
    capped = GainRouter("oracle-label-penalised", coverage=0.9).fit(x, *right)
    for router in (plain, capped):
        assert router.predict(x).mean() == pytest.approx(0.1, abs=1e-3)
    features = test.base.features
    assert capped.score(features, *test_right) == pytest.approx(
        plain.score(features, *test_right), abs=0.005
    )
