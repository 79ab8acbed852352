"""Routers as ONNX files against `FittedRouter`, which computes in float64 with NumPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator
from scipy.special import log_softmax

from hybrid_nas.errors import InputError
from hybrid_nas.export.onnx_compare import compare_router, router_signals
from hybrid_nas.export.onnx_models import router_model, to_bytes
from hybrid_nas.export.onnx_run import OnnxFile
from hybrid_nas.routing.confidence import CONFIDENCES
from hybrid_nas.routing.designs import ALL_DESIGNS, design
from hybrid_nas.routing.network import Layer
from hybrid_nas.routing.objectives import OBJECTIVES
from hybrid_nas.routing.outputs import ModelOutputs
from tests.export.onnx_networks import base_outputs, halved, plain_router, random_router

FEATURES = 24


@pytest.mark.parametrize("kind", [kind for kind, found in ALL_DESIGNS.items() if found.blocks])
@pytest.mark.parametrize("n_classes", [2, 10])
def test_every_design_gives_its_send_score(kind: str, n_classes: int) -> None:
    outputs = base_outputs(60, n_classes, FEATURES)
    router = halved(random_router(design(kind), "gain-regression", n_classes, FEATURES), outputs)
    found = compare_router(to_bytes(router_model(router, 0.5)), router, 0.5, outputs)
    assert found.images == 60
    assert found.max_difference < 2e-5 * max(1.0, float(np.abs(router.send_score(outputs)).max()))
    assert found.decisions_equal == 1.0
    assert 0.4 < router.sent(outputs, 0.5).mean() <= 0.5


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_gives_its_send_score(objective: str) -> None:
    outputs = base_outputs(60, 10, FEATURES)
    router = halved(random_router(design("mlp8-features"), objective, 10, FEATURES), outputs)
    found = compare_router(to_bytes(router_model(router, 0.5)), router, 0.5, outputs)
    assert found.max_difference < 1e-5
    assert found.decisions_equal == 1.0


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(CONFIDENCES),
    st.lists(st.floats(-30, 30, width=32), min_size=2, max_size=6).map(np.float32),
)
def test_confidences_do_not_saturate(name: str, scores: np.ndarray) -> None:
    """Relative, not absolute: 1 - p of a network that is sure is 1e-20 and not 0."""
    outputs = ModelOutputs(logits=scores[None])
    router = replace(plain_router(name, design("mlp8-stats"), len(scores)), thresholds={1.0: 1e300})
    found = OnnxFile(to_bytes(router_model(router, 1.0))).each(scores=scores[None])
    np.testing.assert_allclose(
        found["send_score"], router.send_score(outputs), rtol=3e-5, atol=1e-30
    )
    assert not found["send"].any()


def test_entropy_is_entropy() -> None:
    logits = np.random.default_rng(0).normal(size=(20, 7)).astype(np.float32) * 4
    router = replace(plain_router("entropy", design("confidence"), 7), thresholds={0.5: 0.0})
    found = OnnxFile(to_bytes(router_model(router, 0.5))).each(scores=logits)["send_score"]
    logs = log_softmax(logits.astype(float), axis=1)
    np.testing.assert_allclose(found, -(np.exp(logs) * logs).sum(1), rtol=1e-5)


def test_a_signal_far_from_zero_keeps_its_digits() -> None:
    """Folded into float32 weights, a mean of 1e4 with a deviation of 0.01 would be lost."""
    outputs = base_outputs(40, 10, FEATURES)
    assert outputs.features is not None
    shifted = (outputs.features * 0.01 + 1e4).astype(np.float32)
    outputs = replace(outputs, features=shifted)
    router = random_router(design("linear-features"), "gain-regression", 10, FEATURES)
    assert router.network is not None
    mean, scale = router.network.mean.copy(), router.network.scale.copy()
    mean[-FEATURES:], scale[-FEATURES:] = 1e4, 0.01
    router = halved(
        replace(router, network=replace(router.network, mean=mean, scale=scale)), outputs
    )
    found = compare_router(to_bytes(router_model(router, 0.5)), router, 0.5, outputs)
    assert found.max_difference < 1e-4


@pytest.mark.parametrize("kind", ["linear-logits", "mlp8-features", "linear-stage2"])
def test_another_evaluator_agrees(kind: str) -> None:
    """ONNX's own, in NumPy: the file means what onnxruntime makes of it."""
    outputs = base_outputs(5, 10, FEATURES)
    router = halved(random_router(design(kind), "signed-gain", 10, FEATURES), outputs)
    model, signals = router_model(router, 0.5), router_signals(router, outputs)
    evaluator, file = ReferenceEvaluator(model), OnnxFile(to_bytes(model))
    assert set(file.inputs) == set(signals)
    together = file.each(**signals)
    for row in range(5):
        one = {name: array[row : row + 1] for name, array in signals.items()}
        found = dict(zip(file.outputs, evaluator.run(None, one), strict=True))
        np.testing.assert_allclose(found["send_score"], together["send_score"][[row]], atol=1e-6)
        assert found["send"] == together["send"][[row]]


def test_a_hidden_unit_matters() -> None:
    """The comparison sees a wrong weight."""
    outputs = base_outputs(30, 10, FEATURES)
    router = halved(random_router(design("mlp8-logits"), "two-stage", 10, FEATURES), outputs)
    assert router.network is not None and router.network.hidden is not None
    hidden = router.network.hidden
    other = Layer(hidden.weights * 1.01, hidden.bias)
    wrong = replace(router, network=replace(router.network, hidden=other))
    found = compare_router(to_bytes(router_model(wrong, 0.5)), router, 0.5, outputs)
    assert found.max_difference > 1e-3


def test_the_threshold_is_the_coverages() -> None:
    outputs = base_outputs(50, 10, FEATURES)
    router = halved(random_router(design("linear-stats"), "signed-gain", 10, 0), outputs)
    never = OnnxFile(to_bytes(router_model(router, 1.0))).each(**router_signals(router, outputs))
    assert not never["send"].any()
    with pytest.raises(InputError, match=r"no threshold for coverage 0\.7, only 0\.5, 1"):
        router_model(router, 0.7)
