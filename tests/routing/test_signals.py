"""Confidences and signals, against their definitions written with plain NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import entropy

from hybrid_nas.errors import InputError
from hybrid_nas.routing import ModelOutputs
from hybrid_nas.routing.confidence import available_confidences, confidence_score
from hybrid_nas.routing.signals import count_signals, signal_blocks, signal_matrix

LOGITS = np.random.default_rng(0).normal(scale=3.0, size=(60, 7))
PROBS = softmax(LOGITS, axis=1)
FROM_LOGITS = ModelOutputs(logits=LOGITS)
FROM_PROBS = ModelOutputs(probabilities=PROBS)


@pytest.mark.parametrize("outputs", [FROM_LOGITS, FROM_PROBS], ids=["logits", "probs"])
def test_confidences_are_what_their_names_say(outputs: ModelOutputs) -> None:
    ranked = -np.sort(-PROBS, axis=1)
    expected = {
        "msp": 1 - ranked[:, 0],
        "margin": 1 - (ranked[:, 0] - ranked[:, 1]),
        "entropy": entropy(PROBS, axis=1),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(confidence_score(outputs, name), values, rtol=1e-10)


def test_max_logit_needs_logits() -> None:
    np.testing.assert_array_equal(confidence_score(FROM_LOGITS, "max-logit"), -LOGITS.max(axis=1))
    with pytest.raises(InputError, match="max-logit needs logits"):
        confidence_score(FROM_PROBS, "max-logit")


def test_nearly_certain_inputs_are_still_ranked() -> None:
    """1 - p rounds to 0 in float64 above a logit gap of 37; the sum of the others does not."""
    outputs = ModelOutputs(logits=np.array([[60.0, 0.0], [50.0, 0.0], [70.0, 0.0]]))
    for name in ("msp", "margin", "entropy"):
        assert np.argsort(confidence_score(outputs, name)).tolist() == [2, 0, 1]


def test_a_confidence_alone_ranks_in_the_same_way_by_every_name() -> None:
    confidence = np.linspace(0.3, 1.0, 40)
    predicted = np.zeros(40, dtype=np.int64)
    outputs = ModelOutputs(predicted=predicted, confidence=confidence, n_classes=4)
    assert available_confidences(outputs) == ("msp", "entropy", "margin")
    for name in available_confidences(outputs):
        assert (np.diff(confidence_score(outputs, name)) < 0).all()


def test_a_confidence_alone_means_what_an_even_spread_of_the_rest_means() -> None:
    spread = ModelOutputs(probabilities=np.array([[0.7, 0.1, 0.1, 0.1]]))
    alone = ModelOutputs(predicted=np.array([0]), confidence=np.array([0.7]), n_classes=4)
    for name in ("msp", "entropy", "margin"):
        np.testing.assert_allclose(confidence_score(alone, name), confidence_score(spread, name))


def test_predictions_alone_have_no_confidence() -> None:
    outputs = ModelOutputs(predicted=np.array([0, 1]))
    assert available_confidences(outputs) == ()
    with pytest.raises(InputError, match="msp needs logits, probs or confidence"):
        confidence_score(outputs, "msp")


def test_blocks_of_scores_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = confidence_score(FROM_LOGITS, "entropy")
    monkeypatch.setattr("hybrid_nas.routing.confidence._CHUNK_VALUES", 70)
    np.testing.assert_array_equal(confidence_score(FROM_LOGITS, "entropy"), whole)


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_the_number_of_signals_is_known_beforehand(n_classes: int) -> None:
    outputs = ModelOutputs(logits=LOGITS[:, :n_classes], features=LOGITS[:, :5])
    blocks = ("stats", "class", "logits", "features")
    for block in blocks:
        width = signal_blocks(outputs, [block], n_classes)[0].shape[1]
        assert width == count_signals([block], n_classes, 5)
    matrix = signal_matrix(outputs, blocks, n_classes)
    assert matrix.shape == (60, count_signals(blocks, n_classes, 5))
    assert np.isfinite(matrix).all()


def test_statistics_of_logits_are_what_the_documentation_lists() -> None:
    stats = signal_matrix(FROM_LOGITS, ["stats"], 7)
    ranked = -np.sort(-PROBS, axis=1)
    np.testing.assert_allclose(stats[:, 0], np.log(ranked[:, 0] / (1 - ranked[:, 0])))
    np.testing.assert_allclose(stats[:, 1], entropy(PROBS, axis=1))
    np.testing.assert_allclose(stats[:, 2:5], ranked[:, :3])
    np.testing.assert_allclose(stats[:, 5], np.log(ranked[:, 0] / ranked[:, 1]))
    np.testing.assert_allclose(stats[:, 6], LOGITS.max(axis=1))
    np.testing.assert_allclose(stats[:, 7], np.log(np.exp(LOGITS).sum(axis=1)))
    np.testing.assert_allclose(stats[:, 8], LOGITS.std(axis=1))


def test_extreme_scores_give_finite_signals() -> None:
    certain = ModelOutputs(probabilities=np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]]))
    huge = ModelOutputs(logits=np.array([[1e4, 0.0, -1e4], [0.0, 0.0, 0.0]]))
    for outputs in (certain, huge):
        assert np.isfinite(signal_matrix(outputs, ["stats", "class", "logits"], 3)).all()


def test_features_are_asked_for_by_name() -> None:
    with pytest.raises(InputError, match="add `features`"):
        signal_matrix(FROM_LOGITS, ["features"], 7)


def test_a_class_unknown_when_fitted_has_no_column() -> None:
    outputs = ModelOutputs(predicted=np.array([0, 5]), confidence=np.array([0.5, 0.5]))
    assert signal_matrix(outputs, ["class"], 3).tolist() == [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
