"""The Gaussian process against scikit-learn, direct formulas and differences."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

from hybrid_nas.guided import Gene
from hybrid_nas.guided.features import Coordinates, CostScale, Encoder
from hybrid_nas.guided.kernel import Distances, Kernel
from hybrid_nas.guided.predictor import Predictor, Scale, Settings, informative
from hybrid_nas.guided.process import Process, negative_log_posterior
from tests.guided.toy import chain, random_history, score

LOGS = np.log([0.5, 0.3, 1.2, 0.8, 0.4, 0.2, 0.3, 0.1])


def coordinates(n: int, seed: int = 0) -> Coordinates:
    problem = chain()
    rows = random_history(problem, n, seed).rows
    costs = problem.costs(rows)
    return Encoder(problem.genes, CostScale.of(costs))(rows, costs)


def test_posterior_is_scikit_learns() -> None:
    """With all weight on one kind of difference the kernel is made of textbook kernels."""
    seen, new = coordinates(30), coordinates(12, seed=1)
    values = np.random.default_rng(0).normal(size=30)
    logs = LOGS.copy()
    logs[[1, 5, 6]] = -40.0  # no bend, and order alone
    # scikit-learn sees the costs times `trend`, then the order; RBF gets only the latter
    process = Process.given(Kernel(logs), seen, values)

    class OrderOnly(RBF):
        def __call__(self, X, Y=None, eval_gradient=False):  # type: ignore[no-untyped-def]
            return super().__call__(X[:, 1:], None if Y is None else Y[:, 1:])

    class TrendOnly(DotProduct):
        def __call__(self, X, Y=None, eval_gradient=False):  # type: ignore[no-untyped-def]
            return super().__call__(X[:, :1], None if Y is None else Y[:, :1])

        def diag(self, X):  # type: ignore[no-untyped-def]
            return super().diag(X[:, :1])

    setting = np.exp(logs)
    reference = GaussianProcessRegressor(
        ConstantKernel(setting[0] ** 2) * TrendOnly(1.0 / setting[0])
        + ConstantKernel(setting[3] ** 2) * OrderOnly(1.0 / setting[4] ** 0.5)
        + WhiteKernel(setting[7] ** 2),
        alpha=0.0,
        optimizer=None,
    )
    points = [np.concatenate([c.costs, c.parts[0]], axis=1) for c in (seen, new)]
    reference.fit(points[0], values)
    mean, sd = reference.predict(points[1], return_std=True)
    found = process.predict(new)
    np.testing.assert_allclose(found[0], mean, atol=1e-9)
    np.testing.assert_allclose(found[1] ** 2 + setting[7] ** 2, sd**2, atol=1e-9)


def test_kernel_is_the_formula() -> None:
    a, b = coordinates(6), coordinates(5, seed=1)
    trend, bend, length, genes, *weights, _ = np.exp(LOGS)
    expected = np.empty((6, 5))
    for i in range(6):
        for j in range(5):
            gap = ((a.costs[i] - b.costs[j]) ** 2).sum()
            parts = zip(weights, a.parts, b.parts, strict=True)
            total = sum(w * ((p[i] - q[j]) ** 2).sum() for w, p, q in parts)
            expected[i, j] = (
                1.0
                + trend**2 * a.costs[i] @ b.costs[j]
                + bend**2 * np.exp(-gap / 2 / length**2)
                + genes**2 * np.exp(-total / 2)
            )
    np.testing.assert_allclose(Kernel(LOGS).cross(a, b), expected, atol=1e-12)
    terms = sum(Kernel(LOGS).terms(Distances.between(a, b)))
    np.testing.assert_allclose(terms + 1.0, expected, atol=1e-12)
    np.testing.assert_allclose(Kernel(LOGS).variance(a), np.diag(Kernel(LOGS).cross(a, a)))


def test_gradient_against_differences() -> None:
    seen = coordinates(25)
    at, values = Distances.between(seen, seen), np.random.default_rng(1).normal(size=25)
    _, slopes = negative_log_posterior(LOGS, at, values)
    step = 1e-5
    for k, slope in enumerate(slopes):
        ends = [
            negative_log_posterior(LOGS + sign * step * np.eye(8)[k], at, values)[0]
            for sign in (1, -1)
        ]
        assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-4, abs=1e-5)


def test_believing_is_conditioning_on_own_predictions() -> None:
    seen, more, new = coordinates(20), coordinates(3, seed=1), coordinates(9, seed=2)
    process = Process.given(Kernel(LOGS), seen, np.random.default_rng(2).normal(size=20))
    believed = process.believing(more)
    values = np.concatenate([_values(process), process.predict(more)[0]])
    again = Process.given(Kernel(LOGS), seen.then(more), values)
    for found, expected in zip(believed.predict(new), again.predict(new), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-8)
    np.testing.assert_allclose(believed.predict(new)[0], process.predict(new)[0], atol=1e-10)


def _values(process: Process) -> np.ndarray:
    covariance = process.kernel.cross(process.seen, process.seen)
    return covariance @ process.weights + process.kernel.noise**2 * process.weights


def test_predictions_of_unseen_candidates_are_right_and_know_how_right() -> None:
    problem = chain((3,) * 12)
    history, new = random_history(problem, 120), random_history(problem, 400, seed=1).rows
    settings = Settings.fitted(problem, history)
    mean, sd = Predictor.given(problem, settings, history)(new, problem.costs(new))
    truth = score(problem, new)
    np.testing.assert_array_equal(mean[:, 0], truth[:, 0])
    assert (sd[:, 0] == 0).all() and (sd[:, 1] > 0).all()
    off = mean[:, 1] - truth[:, 1]
    assert off.std() < 0.35 * truth[:, 1].std()
    noise = settings.scales[0].kernel.noise * settings.scales[0].spread
    share = (np.abs(off) < 1.645 * np.hypot(sd[:, 1], noise)).mean()
    assert 0.75 < share < 0.995  # 90 % of a calibrated Gaussian


@pytest.mark.parametrize("values", [np.zeros(0), np.full(6, 3.25), np.array([1.0])])
def test_too_little_to_learn_from(values: np.ndarray) -> None:
    seen = coordinates(8)[np.arange(len(values))]
    scale = Scale.fitted(seen, values)
    process = Process.given(scale.kernel, seen, (values - scale.level) / scale.spread)
    mean, sd = process.predict(coordinates(4, seed=3))
    assert np.isfinite(mean).all() and (sd > 0).all()


def test_costs_below_zero_or_all_equal_are_no_logarithms_of_nothing() -> None:
    costs = np.array([[0.0, 5.0, 2.0], [1.0, 5.0, 8.0]])
    scaled = CostScale.of(costs)(costs)
    np.testing.assert_allclose(scaled, [[-1, 0, -1], [1, 0, 1]])


def test_random_candidates_are_about_one_apart() -> None:
    genes = tuple(Gene(f"g{k}", 4) for k in range(30))
    rows = np.random.default_rng(0).integers(0, 4, (200, 30))
    encoded = Encoder(genes, CostScale.of(np.zeros((200, 0))))(rows, np.zeros((200, 0)))
    at = Distances.between(encoded, encoded)
    off = ~np.eye(200, dtype=bool)
    assert at.parts[0][off].mean() == pytest.approx(1.0, abs=0.1)
    assert at.parts[1][off].mean() == pytest.approx(1.0, abs=0.1)
    assert at.parts[2].max() == pytest.approx(0.0, abs=1e-9)


def test_what_is_learnt_from_a_long_history_holds_its_front() -> None:
    losses = np.random.default_rng(0).random((1000, 2))
    losses[5] = np.nan
    chosen = informative(losses, 100)
    assert len(set(chosen.tolist())) == 100
    known = np.isfinite(losses).all(1)
    beaten = [((losses[known] < p).all(1)).any() for p in losses]
    assert set(np.flatnonzero(~np.array(beaten) & known)) <= set(chosen.tolist())
    np.testing.assert_array_equal(informative(losses[:50], 100), np.arange(50))
