"""Baselines against brute force, scikit-learn and the definitions in their papers."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from hybrid_nas.errors import InputError
from hybrid_nas.routing import ModelOutputs
from hybrid_nas.routing.baselines import (
    BASELINES,
    CONFIDENCE_BASELINES,
    P_NORMS,
    available_baselines,
    fit_baseline,
    fit_temperature,
    p_norm_score,
)
from hybrid_nas.routing.ranking import accuracy_curve, input_accuracy, oracle_accuracy
from tests.routing.conftest import Simulate


def accuracy(
    name: str, outputs: ModelOutputs, cloud: np.ndarray[tuple[int], np.dtype[np.bool_]], c: float
) -> float:
    weights = fit_baseline(name, outputs, cloud).weights(outputs, cloud, c)
    return float(input_accuracy(weights, outputs.correct, cloud).mean())


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=4, max_size=8), st.data())
def test_signed_oracle_is_the_best_choice_there_is(
    right: list[tuple[bool, bool]], data: st.DataObject
) -> None:
    """Against all subsets of that size; the others are never above it."""
    base, cloud = (np.array(column) for column in zip(*right, strict=True))
    n = len(right)
    quota = data.draw(st.integers(0, n))
    labels = np.zeros(n, np.int64)
    outputs = ModelOutputs(labels=labels, logits=np.stack([base * 1.0, ~base * 1.0], axis=1))
    best = max(
        np.where(np.isin(np.arange(n), chosen), cloud, base).mean()
        for chosen in combinations(range(n), quota)
    )
    found = {
        name: accuracy(name, outputs, cloud, 1.0 - quota / n)
        for name in available_baselines(outputs)
    }
    assert found["signed-oracle"] == pytest.approx(best)
    for name in ("errors-first", "oracle-o", "random", "msp", "max-logit-p-norm"):
        assert found[name] <= best + 1e-9
    assert oracle_accuracy(base, cloud, 1.0 - quota / n) >= best - 1e-9


def test_bounds_and_models_alone_by_hand() -> None:
    """One input of each kind: both right, only base, only cloud, none."""
    base = np.array([True, True, False, False])
    cloud = np.array([True, False, True, False])
    outputs = ModelOutputs(
        labels=np.zeros(4, np.int64), logits=np.stack([base * 1.0, ~base * 1.0], axis=1)
    )
    half = {name: accuracy(name, outputs, cloud, 0.5) for name in available_baselines(outputs)}
    assert half["device-only"] == half["cloud-only"] == 0.5
    assert half["random"] == 0.5
    assert half["errors-first"] == 0.75
    assert half["signed-oracle"] == 0.75
    assert half["oracle-o"] == pytest.approx(0.75 - 1 / 12)  # the rest by chance: a third each
    quarter = {name: accuracy(name, outputs, cloud, 0.75) for name in available_baselines(outputs)}
    assert quarter["signed-oracle"] == quarter["oracle-o"] == 0.75
    assert quarter["errors-first"] == 0.625


class TestPNorm:
    def test_is_the_definition(self) -> None:
        random = np.random.default_rng(0)
        logits = random.normal(size=(50, 7)) * 3
        for p in (1, 2, 5):
            centred = logits - logits.mean(1, keepdims=True)
            expected = -centred.max(1) / np.linalg.norm(centred, ord=p, axis=1)
            assert p_norm_score(ModelOutputs(logits=logits), p) == pytest.approx(expected)

    @given(st.floats(0.01, 1e4), st.floats(-100, 100))
    def test_scale_and_shift_of_logits_change_nothing(self, scale: float, shift: float) -> None:
        logits = np.random.default_rng(1).normal(size=(20, 5))
        before = p_norm_score(ModelOutputs(logits=logits), 3)
        after = p_norm_score(ModelOutputs(logits=scale * logits + shift), 3)
        assert after == pytest.approx(before, rel=1e-6)

    def test_equal_logits_are_the_least_sure(self) -> None:
        logits = np.array([[2.0, 2.0, 2.0], [1.0, 0.9, 1.1]])
        score = p_norm_score(ModelOutputs(logits=logits), 4)
        assert score[0] == 0.0 and score[1] < 0.0

    def test_p_has_the_largest_area_on_the_fitting_split(self, simulate: Simulate) -> None:
        pair = simulate(300, seed=3)
        fitted = fit_baseline("max-logit-p-norm", pair.base, pair.cloud_correct)
        areas = [
            accuracy_curve(p_norm_score(pair.base, p), pair.base.correct, pair.cloud_correct).area
            for p in P_NORMS
        ]
        assert fitted.setting == {"p": P_NORMS[int(np.argmax(areas))]}


class TestTemperature:
    def test_is_the_minimum_of_sklearns_log_loss(self, simulate: Simulate) -> None:
        outputs = simulate(2000, seed=1).base
        assert outputs.logits is not None and outputs.labels is not None
        sharp = ModelOutputs(labels=outputs.labels, logits=2.5 * outputs.logits)
        found = fit_temperature(sharp)

        def loss(temperature: float) -> float:
            assert sharp.logits is not None
            probs = ModelOutputs(logits=sharp.logits / temperature).probs
            return float(log_loss(outputs.labels, probs, labels=range(5)))

        grid = np.linspace(0.5, 6.0, 551)
        assert found == pytest.approx(grid[np.argmin([loss(t) for t in grid])], abs=0.02)
        assert found == pytest.approx(2.5, rel=0.1)  # the simulated logits are calibrated

    def test_calibrated_scores_are_the_unscaled_models(self, simulate: Simulate) -> None:
        """Scaling a model's logits by a constant leaves its temperature-scaled confidence alone."""
        pair = simulate(500, seed=2)
        assert pair.base.logits is not None
        loud = ModelOutputs(labels=pair.base.labels, logits=3.0 * pair.base.logits)
        for name in ("msp-temperature", "entropy-temperature", "margin-temperature"):
            scores = []
            for outputs in (pair.base, loud):
                fitted = fit_baseline(name, outputs, pair.cloud_correct)
                assert fitted.score is not None
                scores.append(fitted.score(outputs, pair.cloud_correct))
            assert scores[0] == pytest.approx(scores[1], abs=1e-3)

    def test_probabilities_do_as_well(self, simulate: Simulate) -> None:
        outputs = simulate(500).base
        by_probs = ModelOutputs(labels=outputs.labels, probabilities=outputs.probs)
        assert fit_temperature(by_probs) == pytest.approx(fit_temperature(outputs), rel=1e-3)


def test_what_outputs_allow() -> None:
    labels = np.array([0, 1])
    confidence = ModelOutputs(predicted=labels, confidence=np.array([0.6, 0.8]), labels=labels)
    names = available_baselines(confidence)
    assert "msp" in names and "entropy" not in names and "signed-oracle" in names
    probs = ModelOutputs(probabilities=np.array([[0.6, 0.4], [0.2, 0.8]]), labels=labels)
    assert "msp-temperature" in available_baselines(probs)
    assert "max-logit-p-norm" not in available_baselines(probs)
    alone = available_baselines(probs, with_cloud=False)
    assert not {"cloud-only", "oracle-o", "signed-oracle"} & set(alone)
    assert {"errors-first", "device-only", "random"} <= set(alone)


def test_refusals_name_what_is_missing() -> None:
    outputs = ModelOutputs(probabilities=np.array([[0.6, 0.4], [0.2, 0.8]]), source="base.npz")
    cloud = np.array([True, False])
    with pytest.raises(InputError, match=r"'magic' is no baseline: expected one of msp"):
        fit_baseline("magic", outputs, cloud)
    with pytest.raises(InputError, match=r"base.npz.*max-logit needs logits"):
        fit_baseline("max-logit", outputs, cloud)
    with pytest.raises(InputError, match=r"cloud-only needs a cloud"):
        fit_baseline("cloud-only", outputs, None)
    with pytest.raises(InputError, match=r"base.npz.*labels"):
        fit_baseline("msp-temperature", outputs, cloud)


def test_every_baseline_says_what_it_is() -> None:
    assert CONFIDENCE_BASELINES[0] == "msp"
    for name, baseline in BASELINES.items():
        assert baseline.source, name
        assert (baseline.kind == "confidence") == (name in CONFIDENCE_BASELINES)
