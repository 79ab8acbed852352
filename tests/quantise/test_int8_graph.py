"""The int8 graph against training's fake quantisation; its arithmetic against exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hybrid_nas.errors import InputError
from hybrid_nas.quantise.fake_quant import FakeQuantNet
from hybrid_nas.quantise.float_graph import float_graph, run_op
from hybrid_nas.quantise.int8_graph import Int8Graph, int8_graph
from hybrid_nas.quantise.int8_reference import int8_image, run_int8
from hybrid_nas.quantise.requantise import clamp_of, fixed_point
from hybrid_nas.quantise.scheme import Affine, fake_weight
from hybrid_nas.supernet.preprocess import normalise
from tests.quantise.test_fake_quant import images, small_network


def calibrated(space: str, seed: int = 0) -> tuple[FakeQuantNet, Int8Graph]:
    network = small_network(space, seed)
    fake = FakeQuantNet(float_graph(network)).eval()
    fake.calibrate([images(network, 16)])
    return fake, int8_graph(fake, network.architecture.input_shape)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_operator_does_in_integers_what_it_does_in_real_numbers(seed: int) -> None:
    fake, graph = calibrated("mcunet", seed)
    levels = np.random.default_rng(seed).integers(0, 256, graph.input_shape).astype(np.uint8)
    image = int8_image(levels)
    outputs = run_int8(graph, image)

    def real(index: int) -> torch.Tensor:
        steps = torch.from_numpy(image if index < 0 else outputs[index]).double()
        affine = graph.affine(index)
        return (affine.scale * (steps - affine.zero)).permute(2, 0, 1)[None]

    for index, (op, y) in enumerate(zip(graph.ops, outputs, strict=True)):
        weight = bias = None
        if str(index) in fake.weights:
            weight = fake_weight(fake.weights[str(index)]).detach().double()
            bias = fake.biases[str(index)].detach().double()
        second = real(index - op.spec.residual) if op.spec.residual else None
        wanted = run_op(op.spec, real(index - op.spec.source), second, weight, bias)
        steps = op.output.quantise(wanted)[0].permute(1, 2, 0).numpy()
        off = np.abs(y.astype(int) - steps)
        ties = 1.0 if op.spec.op == "avgpool" else 0.05  # means of few pixels often end in a half
        assert off.max() <= 1 and off.mean() < ties, (index, op.spec)


def test_a_batch_is_its_images() -> None:
    _, graph = calibrated("mcunet", 3)
    images = np.random.default_rng(3).integers(-128, 128, (3, *graph.input_shape)).astype(np.int8)
    one_by_one = [run_int8(graph, image) for image in images]
    for together, *apart in zip(run_int8(graph, images), *one_by_one, strict=True):
        np.testing.assert_array_equal(together, np.stack(apart))


def test_the_whole_network_says_what_training_saw() -> None:
    fake, graph = calibrated("mcunet")
    levels = np.random.default_rng(5).integers(0, 256, (8, *graph.input_shape)).astype(np.uint8)
    pixels = normalise(torch.from_numpy(levels).permute(0, 3, 1, 2))
    with torch.inference_mode():
        wanted = fake(pixels).numpy()
    output = graph.ops[-1].output
    found = run_int8(graph, int8_image(levels))[-1][:, 0, 0]
    np.testing.assert_allclose(
        output.scale * (found.astype(float) - output.zero), wanted, atol=6 * output.scale
    )


@pytest.mark.parametrize("space", ["ofa-mbv3-w1.0"])
def test_what_has_no_kernel_is_refused(space: str) -> None:
    network = small_network(space)
    fake = FakeQuantNet(float_graph(network))
    with pytest.raises(InputError, match="no int8 kernel"):
        int8_graph(fake, network.architecture.input_shape)


def test_an_image_of_another_shape_is_refused() -> None:
    _, graph = calibrated("mcunet")
    with pytest.raises(InputError, match="reads images of"):
        run_int8(graph, np.zeros((3, 3, 3), np.int8))


@given(st.floats(1e-9, 1e8))
def test_a_factor_is_nearly_its_fixed_point(factor: float) -> None:
    multiplier, shift = fixed_point(factor)
    assert 2**30 <= multiplier < 2**31
    exact = Fraction(multiplier) * Fraction(2) ** (shift - 31)
    assert abs(exact / Fraction(factor) - 1) <= Fraction(1, 2**31)


def test_factors_out_of_range() -> None:
    assert fixed_point(0.0) == (0, 0)
    assert fixed_point(2.0**-40) == (0, 0)
    assert fixed_point(2.0**40) == (2**31 - 1, 30)


@given(st.floats(0.001, 1.0), st.integers(-128, 127))
def test_relu6_ends_where_six_is(scale: float, zero: int) -> None:
    low, high = clamp_of("relu6", Affine(scale, zero))
    assert low == zero
    six = Affine(scale, zero).quantise(torch.tensor(6.0)).item()
    assert abs(high - six) <= math.ulp(6.0) + (abs(6 / scale % 1 - 0.5) < 1e-4)
