"""Utilities against brute force, scikit-learn and known probabilities."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, roc_curve

from hybrid_nas.errors import InputError
from hybrid_nas.routing import ModelOutputs
from hybrid_nas.routing.analysis import analyse
from hybrid_nas.routing.crossfit import cross_fit
from hybrid_nas.routing.detectors import alarm_threshold, detector_score, roc_slope
from hybrid_nas.routing.metrics import clustered_stderr
from hybrid_nas.routing.objectives import OBJECTIVES, head_targets
from hybrid_nas.routing.rewards import make_rewards
from hybrid_nas.routing.utility import (
    BalancedUtility,
    MatrixUtility,
    RecallUtility,
    measure_of,
    parse_utility,
)

Simulate = Callable[..., Any]


def outputs(pred: np.ndarray, n_classes: int = 0) -> ModelOutputs:
    return ModelOutputs(predicted=pred.astype(np.int64), n_classes=n_classes)


answers = st.lists(st.tuples(*[st.integers(0, 3)] * 3, st.booleans()), min_size=3, max_size=30)


@given(answers)
def test_balanced_accuracy_is_scikit_learns_for_any_decisions(
    rows: list[tuple[int, int, int, bool]],
) -> None:
    labels, base, cloud = (np.array(column) for column in list(zip(*rows, strict=True))[:3])
    sent = np.array([row[3] for row in rows])
    if ((base == labels) == (cloud == labels)).all():
        return  # nothing to gain: refused, see below
    rewards = BalancedUtility()(outputs(base), outputs(cloud), labels, None)
    hybrid = np.where(sent, cloud, base)
    expected = np.mean([(hybrid[labels == c] == c).mean() for c in np.unique(labels)])
    assert rewards.of(sent.astype(float)).mean() == pytest.approx(expected)
    if set(hybrid) <= set(labels) and len(set(labels)) > 1:  # scikit-learn warns of others
        assert balanced_accuracy_score(labels, hybrid) == pytest.approx(expected)


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_the_oracle_is_the_best_of_all_decisions_within_the_quota(seed: int, quota: int) -> None:
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(3, 3))
    labels, base, cloud = random.integers(0, 3, (3, 7))
    if (matrix[labels, base] == matrix[labels, cloud]).all():
        return
    rewards = MatrixUtility(matrix)(outputs(base, 3), outputs(cloud, 3), labels, None)
    best = -np.inf
    for sent in itertools.product((0, 1), repeat=7):
        if sum(sent) <= quota:
            worth = [
                matrix[y, g if s else b]
                for y, b, g, s in zip(labels, base, cloud, sent, strict=True)
            ]
            best = max(best, float(np.mean(worth)))
    found = rewards.of(rewards.oracle_weights(1.0 - quota / 7)).mean()
    assert found == pytest.approx(best)


@pytest.mark.parametrize("name", ["signed-gain", "gain-regression"])
def test_scores_are_the_expected_gain_in_utility(name: str) -> None:
    """Inputs of six kinds whose labels and answers have known probabilities."""
    random = np.random.default_rng(0)
    n, kinds = 60_000, 6
    matrix = np.array([[1.0, -2.0, 0.0], [0.5, 1.0, 0.0], [-4.0, 0.0, 3.0]])
    truth = random.dirichlet(np.ones(3), kinds)
    says = random.dirichlet(np.ones(3), (2, kinds, 3))  # of base and cloud, given kind and truth
    gain = np.zeros(kinds)
    for kind, y, a in itertools.product(range(kinds), range(3), range(3)):
        gain[kind] += truth[kind, y] * (says[1, kind, y, a] - says[0, kind, y, a]) * matrix[y, a]
    kind = random.integers(0, kinds, n)
    labels = (random.random((n, 1)) > truth[kind].cumsum(axis=1)).sum(axis=1).clip(max=2)
    base, cloud = (
        (random.random((n, 1)) > said[kind, labels].cumsum(axis=1)).sum(axis=1).clip(max=2)
        for said in says
    )
    rewards = MatrixUtility(matrix)(outputs(base, 3), outputs(cloud, 3), labels, None)
    signals = np.eye(kinds)[kind]
    targets = head_targets(OBJECTIVES[name].heads, *rewards.scaled())
    fitted = cross_fit(signals, (kinds,), targets, np.arange(n) % 5, penalties=(1e-3,))
    score = fitted.score(name, np.eye(kinds)) * (rewards.high - rewards.low)
    np.testing.assert_allclose(score, gain, atol=0.06)
    best = max(
        itertools.combinations(range(kinds), 3), key=lambda sent: sum(gain[list(sent)])
    )  # of all ways to send three kinds
    assert set(np.argsort(-score)[:3]) == set(best)


def test_the_error_of_a_balanced_accuracy_is_what_redrawn_inputs_show() -> None:
    """A rare class: weights treated as if they did not follow the class sizes would be far off."""
    random = np.random.default_rng(0)

    def draw() -> tuple[np.ndarray, np.ndarray]:
        labels = (random.random(500) < 0.05).astype(np.int64)
        right = random.random(500) < np.where(labels == 1, 0.6, 0.9)
        return labels, np.where(right, labels, 1 - labels)

    means, errors, naive = [], [], []
    for _ in range(400):
        labels, pred = draw()
        rewards = BalancedUtility()(outputs(pred), outputs(1 - pred), labels, None)
        means.append(rewards.base.mean())
        errors.append(clustered_stderr(rewards.deviations(rewards.base)))
        naive.append(clustered_stderr(rewards.base))
    spread = np.std(means)
    assert np.mean(errors) == pytest.approx(spread, rel=0.12)
    assert np.mean(naive) > 1.2 * spread


def detectors(n: int = 4000) -> tuple[ModelOutputs, ModelOutputs, np.ndarray]:
    random = np.random.default_rng(1)
    labels = (random.random(n) < 0.1).astype(np.int64) * 2  # classes 0 and 2; 2 is rare
    logits = [random.normal(size=(n, 3)) + s * np.eye(3)[labels] for s in (1.5, 3.0)]
    base, cloud = (ModelOutputs(labels=labels, logits=z) for z in logits)
    return base, cloud, labels


def test_recall_is_corrected_to_the_false_alarm_rate_asked_for() -> None:
    base, cloud, labels = detectors()
    rewards = RecallUtility(0.02)(base, cloud, labels, None)  # the rarest class: 2
    assert rewards.measure == "recall of class 2 at 2 % false alarms"
    sent = np.random.default_rng(2).random(len(labels)) < 0.4
    recall, alarms = (
        (figures[0] + sent * (figures[1] - figures[0])).mean()
        for figures in (rewards.figures["recall"], rewards.figures["false_alarm_rate"])
    )
    price = roc_slope(detector_score(cloud, 2), labels == 2, 0.02)
    assert rewards.of(sent.astype(float)).mean() == pytest.approx(recall - price * (alarms - 0.02))
    for model in range(2):
        assert rewards.figures["false_alarm_rate"][model].mean() == pytest.approx(0.02, abs=0.004)


def test_alarms_and_slope_agree_with_scikit_learns_roc_curve() -> None:
    _, cloud, labels = detectors()
    score, positive = detector_score(cloud, 2), labels == 2
    rates, recalls, _ = roc_curve(positive, score, drop_intermediate=False)
    for rate in (0.01, 0.05):
        threshold = alarm_threshold(score[~positive], rate)
        assert (score[~positive] > threshold).mean() <= rate
        reached = (score[positive] > threshold).mean()
        assert reached == pytest.approx(recalls[rates <= rate].max(), abs=0.005)
        low, high = (recalls[rates <= r].max() for r in (rate / 2, 2 * rate))
        assert roc_slope(score, positive, rate) == pytest.approx(
            (high - low) / (1.5 * rate), rel=0.05
        )


def test_a_detector_reads_logits_probabilities_or_a_confidence() -> None:
    z = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0]])
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    from_logits = detector_score(ModelOutputs(logits=z), 1)
    np.testing.assert_allclose(from_logits, np.log(p[:, 1] / (1 - p[:, 1])))
    np.testing.assert_allclose(detector_score(ModelOutputs(probabilities=p), 1), p[:, 1])
    sure = ModelOutputs(predicted=np.array([0, 1]), confidence=np.array([0.6, 0.9]), n_classes=3)
    np.testing.assert_allclose(detector_score(sure, 1), [0.2, 0.9])
    assert detector_score(outputs(np.array([0, 1])), 1) is None


def test_routing_for_a_utility_beats_routing_for_accuracy(simulate: Simulate) -> None:
    """A class where the cloud is worthless, however wrong the base is there."""
    pair = simulate(2000, spoil=0.0)
    matrix = np.eye(5)
    matrix[0] = 0.0
    matrix[1] *= 3.0
    utility = MatrixUtility(matrix)
    ours = analyse(pair.base, pair.cloud, (0.8,), repeats=1, utility=utility)
    assert ours.measure == "utility"
    rewards = utility(pair.base, pair.cloud, pair.base.labels, None)
    assert ours.base_worth.value == pytest.approx(rewards.base.mean())
    assert ours.over_base[0.8].low > 0.0
    at = ours.methods[ours.default][0.8]
    plain = ours.methods["msp"][0.8]
    assert at.worth.value > plain.worth.value
    assert at.worth.value <= ours.methods["signed-oracle"][0.8].worth.value + 1e-9
    # accuracy is reported beside it, and is what MSP is about
    known = analyse(pair.base, pair.cloud, (0.8,), repeats=1).methods["msp"][0.8]
    assert plain.accuracy == pytest.approx(known.accuracy)


def test_no_model_has_a_recall_above_one_though_its_false_alarms_are_few() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 4, 4000)
    score = np.eye(4)[labels] * 1.5 + rng.normal(size=(4000, 4))
    answers = np.where(
        rng.random(4000) < 0.03, (labels + 1) % 4, labels
    )  # hardly any alarm is false
    base = ModelOutputs(labels=labels, logits=score)
    cloud = ModelOutputs(labels=labels, predicted=answers)
    rewards = RecallUtility(0.2, 1)(base, cloud, labels, None)
    figures = [rewards.of(np.full(4000, share)).mean() for share in (0.0, 1.0)]
    assert rewards.figures["false_alarm_rate"][1].mean() < 0.02
    assert figures[0] < rewards.figures["recall"][1].mean() < figures[1] <= 1.0 + 1e-9


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("balanced", BalancedUtility()),
        ("recall@0.05", RecallUtility(0.05)),
        ("recall:12@1%", RecallUtility(0.01, 12)),
    ],
)
def test_utilities_have_names(text: str, expected: object) -> None:
    assert parse_utility(text) == expected
    assert measure_of(parse_utility(text))[1]


@pytest.mark.parametrize("name", ["u.csv", "bom.csv", "u.npz"])
def test_a_matrix_is_read_from_a_file(tmp_path: Path, name: str) -> None:
    matrix = np.array([[1.0, -0.5], [0.0, 2.0]])
    path = tmp_path / name
    if name.endswith("npz"):
        np.savez(path, utility=matrix)
    else:
        encoding = "utf-8-sig" if name == "bom.csv" else "utf-8"  # as Excel's "CSV UTF-8"
        path.write_text("1, -0.5  # rows: truth\n\n0 2\n", encoding=encoding)
    found = parse_utility(str(path))
    assert isinstance(found, MatrixUtility)
    np.testing.assert_array_equal(found.matrix, matrix)
    assert measure_of(found) == ("utility", False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,2\n3", "rows of different lengths"),
        ("1,2,3\n4,5,6", r"shape \(2, 3\)"),
        ("1,x\n3,4", "no number"),
        ("1,nan\n3,4", "NaN or infinity"),
        ("", "rows of different lengths"),
    ],
)
def test_a_file_without_a_square_matrix_is_refused(
    tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "u.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        parse_utility(str(path))


@pytest.mark.parametrize(
    "text", ["recall", "recall@0", "recall@1", "recall:x@0.1", "fair", "recall@."]
)
def test_a_utility_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"'balanced'"):
        parse_utility(text)


def test_what_a_utility_cannot_judge_is_refused() -> None:
    labels = np.array([0, 1, 2, 0])
    base, cloud = outputs(labels), outputs(labels[::-1].copy())
    with pytest.raises(InputError, match="2 x 2 and the outputs have 3 classes"):
        MatrixUtility(np.eye(2))(base, cloud, labels, None)
    with pytest.raises(InputError, match="worth the same for every input"):
        BalancedUtility()(base, base, labels, None)
    with pytest.raises(InputError, match="worth the same"):
        make_rewards("utility", np.ones(3), np.ones(3))
    with pytest.raises(InputError, match="class 1 has 1 inputs: a recall takes 10"):
        RecallUtility(0.5, 1)(base, cloud, labels, None)
    with pytest.raises(InputError, match="no label is 7"):
        RecallUtility(0.5, 7)(base, cloud, labels, None)
    many = detectors(400)
    with pytest.raises(InputError, match=r"allows 3\.6 false alarms"):
        RecallUtility(0.01)(*many, None)
    short = replace(many[0], logits=many[0].logits[:, :2], labels=None)
    with pytest.raises(InputError, match="has 2 classes, and class 2"):
        detector_score(short, 2)
