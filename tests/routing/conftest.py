"""Simulated pairs of models whose probabilities of being right are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from hybrid_nas.routing import ModelOutputs

N_CLASSES = 5


@dataclass(frozen=True)
class SimulatedPair:
    """A base and a cloud; `gain` is the true P(cloud right) - P(base right) of each input."""

    base: ModelOutputs
    cloud: ModelOutputs
    cloud_correct: npt.NDArray[np.bool_]
    gain: npt.NDArray[np.float64]


Simulate = Callable[..., SimulatedPair]


def sigmoid(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-x))


@pytest.fixture
def simulate() -> Simulate:
    """Makes pairs: the first feature decides whether the base is right, the second the cloud.

    The base's confidence is its true probability of being right, so plain confidences rank by that
    as well as anything can; only a router can see where the cloud fails. Inputs of a group share
    both features.
    """

    def make(
        n: int = 1000, *, seed: int = 0, spoil: float = 2.0, groups: int | None = None
    ) -> SimulatedPair:
        random = np.random.default_rng(seed)
        drawn = random.normal(size=(n if groups is None else groups, 2))
        member = np.arange(n) if groups is None else random.integers(0, groups, n)
        hidden = drawn[member]
        p_base = sigmoid(1.0 + 1.5 * hidden[:, 0])
        p_cloud = sigmoid(1.8 + spoil * hidden[:, 1])
        labels = random.integers(0, N_CLASSES, n)
        wrong = (labels + random.integers(1, N_CLASSES, n)) % N_CLASSES
        base_pred = np.where(random.random(n) < p_base, labels, wrong)
        cloud_pred = np.where(random.random(n) < p_cloud, labels, wrong)
        confidence = np.maximum(p_base, 1.02 / N_CLASSES)
        probs = np.repeat((1.0 - confidence)[:, None] / (N_CLASSES - 1), N_CLASSES, axis=1)
        probs[np.arange(n), base_pred] = confidence
        features = np.concatenate([hidden, random.normal(size=(n, 3))], axis=1)
        named = None if groups is None else member
        return SimulatedPair(
            base=ModelOutputs(labels=labels, logits=np.log(probs), features=features, groups=named),
            cloud=ModelOutputs(predicted=cloud_pred, labels=labels),
            cloud_correct=cloud_pred == labels,
            gain=p_cloud - p_base,
        )

    return make
