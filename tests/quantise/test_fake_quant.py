"""Folded graphs against the networks they come from; fake quantisation against integers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hybrid_nas.quantise.fake_quant import FakeQuantNet
from hybrid_nas.quantise.float_graph import FloatOp, float_graph, run_float
from hybrid_nas.quantise.scheme import (
    IMAGE,
    Affine,
    fake_weight,
    image_as_int8_sees_it,
    weight_scales,
)
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.supernet.preprocess import normalise
from hybrid_nas.supernet.standalone import StandaloneNet
from tests.quantise.networks import trained_like

SPACES = ("mcunet", "ofa-mbv3-w1.0", "ofa-proxyless-w1.3", "ofa-resnet50")


def small_network(space_name: str, seed: int = 0) -> StandaloneNet:
    space = load_space(space_name, input_shape=(32, 32, 3), classes=10)
    row = space.sample(1, np.random.default_rng(seed))[0]
    row[0] = 0  # the smallest resolution
    torch.manual_seed(seed)
    genes = tuple(space.canonical(row[None])[0].tolist())
    return trained_like(StandaloneNet(space.architecture(genes)), seed)


def images(network: StandaloneNet, n: int = 4) -> torch.Tensor:
    h, w, c = network.architecture.input_shape
    levels = torch.randint(0, 256, (n, c, h, w), generator=torch.Generator().manual_seed(1))
    return normalise(levels.to(torch.uint8))


@pytest.mark.parametrize("space", SPACES)
def test_the_folded_graph_computes_what_the_network_does(space: str) -> None:
    network = small_network(space)
    ops = float_graph(network)
    assert tuple(op.spec for op in ops) == network.architecture.ops
    with torch.inference_mode():
        found = run_float(ops, images(network))
        want_features, want_logits = network.run(images(network))
    torch.testing.assert_close(found.features, want_features, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found.logits, want_logits, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("space", SPACES)
def test_int8_stays_close_to_float(space: str) -> None:
    network = small_network(space)
    quantised = FakeQuantNet(float_graph(network)).eval()
    pixels = images(network, 8)
    quantised.calibrate([pixels])
    with torch.inference_mode():
        logits, want = quantised(pixels), network(pixels)
    error = (logits - want).abs().mean() / want.abs().mean()
    assert 0 < error < 0.5  # untrained deep networks amplify rounding; trained ones are far below


def test_every_value_is_one_that_int8_can_say() -> None:
    network = small_network("mcunet")
    quantised = FakeQuantNet(float_graph(network)).eval()
    quantised.calibrate([images(network)])
    with torch.inference_mode():
        logits = quantised(images(network))
    scheme = quantised.affine(len(quantised.specs) - 1)
    steps = logits / scheme.scale + scheme.zero
    torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
    assert steps.min() > -128.5 and steps.max() < 127.5


def test_gradients_pass_the_rounding() -> None:
    network = small_network("mcunet")
    ops = float_graph(network)
    head = ops[-1]
    assert head.weight is not None
    pixels, labels = images(network, 16), torch.arange(16) % 10
    quantised = FakeQuantNet(ops)
    quantised.calibrate([pixels])
    torch.nn.functional.cross_entropy(quantised(pixels), labels).backward()
    weight = head.weight.clone().requires_grad_()
    exact = (*ops[:-1], FloatOp(head.spec, weight, head.bias))
    torch.nn.functional.cross_entropy(run_float(exact, pixels).logits, labels).backward()
    ours = quantised.weights[str(len(ops) - 1)].grad
    assert ours is not None and weight.grad is not None
    likeness = torch.nn.functional.cosine_similarity(ours.flatten(), weight.grad.flatten(), 0)
    assert float(likeness) > 0.9
    first = quantised.weights["0"].grad
    assert first is not None and float(first.abs().sum()) > 0


@given(st.floats(-50, 50), st.floats(0, 100))
def test_a_range_keeps_zero_exact_and_holds_its_ends(low: float, width: float) -> None:
    scheme = Affine.of_range(low, low + width)
    ends = torch.tensor([min(low, 0.0), 0.0, max(low + width, 0.0)])
    seen = scheme.fake(ends)
    assert float(seen[1]) == 0.0
    assert float((seen - ends).abs().max()) <= scheme.scale * 0.5001 + 1e-6
    again = (scheme.quantise(ends).float() - scheme.zero) * scheme.scale
    torch.testing.assert_close(seen, again)


def test_weights_are_rounded_per_output_channel() -> None:
    weight = torch.randn(6, 3, 3, 3) * torch.logspace(-3, 1, 6).reshape(-1, 1, 1, 1)
    scales = weight_scales(weight).reshape(-1, 1, 1, 1)
    want = torch.clamp(torch.round(weight / scales), -127, 127) * scales
    torch.testing.assert_close(fake_weight(weight), want)


def test_the_device_needs_no_arithmetic_for_the_image() -> None:
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    seen = image_as_int8_sees_it(normalise(levels))
    torch.testing.assert_close(seen.flatten(), (torch.arange(256) - 128) * IMAGE.scale)
