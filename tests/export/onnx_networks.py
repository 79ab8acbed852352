"""Networks and routers that the tests of ONNX files are about."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from hybrid_nas.export.network import ExportedNetwork
from hybrid_nas.quantise.fake_quant import FakeQuantNet
from hybrid_nas.quantise.float_graph import float_graph
from hybrid_nas.quantise.int8_graph import int8_graph
from hybrid_nas.routing.designs import RouterDesign
from hybrid_nas.routing.fitted import FittedRouter
from hybrid_nas.routing.network import Layer, RouterNetwork
from hybrid_nas.routing.objectives import OBJECTIVES
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.thresholds import fit_threshold
from hybrid_nas.supernet.standalone import StandaloneNet
from tests.quantise.networks import calibrated_network, calibration_images

CLASSES = tuple(f"class {k}" for k in range(10))
CUT = 5
"""An operator to leave networks at."""


@lru_cache(maxsize=4)
def exported(space: str, seed: int = 0) -> ExportedNetwork:
    """With an int8 version."""
    network = calibrated_network(space, seed)
    ops = float_graph(network)
    fake = FakeQuantNet(ops).eval()
    fake.calibrate([calibration_images(network)])
    graph = int8_graph(fake, network.architecture.input_shape)
    return ExportedNetwork("net", network.architecture, ops, graph, CLASSES)


def exported_float(network: StandaloneNet) -> ExportedNetwork:
    """Without."""
    return ExportedNetwork("net", network.architecture, float_graph(network), None, CLASSES)


def random_router(
    design: RouterDesign, objective: str, n_classes: int, n_features: int, seed: int = 0
) -> FittedRouter:
    """Weights such that all of the send score's range is used; thresholds in its midst."""
    random = np.random.default_rng(seed)
    heads = (*OBJECTIVES[objective].heads, "another")
    signals, hidden = design.n_signals(n_classes, n_features), design.hidden

    def layer(inputs: int, outputs: int) -> Layer:
        weights = random.normal(size=(inputs, outputs)) / np.sqrt(inputs)
        return Layer(weights, random.normal(size=outputs) / 2)

    network = RouterNetwork(
        random.normal(size=signals) * 5,
        random.uniform(0.5, 2.0, signals),
        layer(signals, hidden) if hidden else None,
        layer(hidden or signals, len(heads)),
        heads,
    )
    read = n_features if design.needs_features or design.cut else 0
    return FittedRouter(design, objective, network, n_classes, read, {})


def plain_router(confidence: str, design: RouterDesign, n_classes: int) -> FittedRouter:
    return FittedRouter(design, confidence, None, n_classes, 0, {})


def base_outputs(n: int, n_classes: int, n_features: int, seed: int = 0) -> ModelOutputs:
    """From undecided scores to near certainty, some of them equal."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(n, n_classes)) * random.uniform(0.1, 12.0, (n, 1))
    logits[0] = 0.5
    logits[1, : n_classes // 2] = logits[1].max()
    stages = tuple(random.normal(size=(n, n_features)).astype(np.float32) for _ in range(2))
    return ModelOutputs(
        labels=random.integers(0, n_classes, n),
        logits=logits.astype(np.float32),
        features=random.normal(size=(n, n_features)).astype(np.float32),
        stage_features=stages,
    )


def halved(router: FittedRouter, outputs: ModelOutputs) -> FittedRouter:
    """With a threshold that keeps half of the inputs, and one that keeps all."""
    score = router.send_score(outputs)
    thresholds = {coverage: fit_threshold(score, coverage) for coverage in (0.5, 1.0)}
    return replace(router, thresholds=thresholds)
