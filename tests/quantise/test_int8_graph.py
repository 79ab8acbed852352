"""The int8 graph against training's fake quantisation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hybrid_nas.errors import InputError
from hybrid_nas.quantise.fake_quant import FakeQuantNet
from hybrid_nas.quantise.float_graph import FloatOp, float_graph, run_op
from hybrid_nas.quantise.int8_graph import Int8Graph, int8_graph
from hybrid_nas.quantise.int8_reference import int8_image, run_int8
from hybrid_nas.quantise.requantise import addition, clamp_of
from hybrid_nas.quantise.scheme import Affine, fake_weight
from hybrid_nas.spaces.opspec import OpSpec
from tests.quantise.networks import calibrated_network, calibration_images, grey_levels
from tests.quantise.test_fake_quant import small_network


def calibrated(space: str, seed: int = 0) -> tuple[FakeQuantNet, Int8Graph]:
    network = calibrated_network(space, seed)
    fake = FakeQuantNet(float_graph(network)).eval()
    fake.calibrate([calibration_images(network)])
    return fake, int8_graph(fake, network.architecture.input_shape)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_operator_does_in_integers_what_it_does_in_real_numbers(seed: int) -> None:
    fake, graph = calibrated("mcunet", seed)
    image = int8_image(grey_levels(graph.input_shape, 1, seed)[0])
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
        assert off.max() <= 1 and off.sum() <= 2 + ties * off.size, (index, op.spec)


@pytest.mark.parametrize("weight", [0.0, 1e-13])
def test_channels_without_weights_are_their_bias(weight: float) -> None:
    """Pruned by batch norm's factor, and read what is 0 on all images: weights say no scale."""
    first = OpSpec("conv", 4, 4, 3, 4, kernel=3, padding=1, activation="relu6")
    second = OpSpec("dwconv", 4, 4, 4, 4, kernel=3, padding=1, activation="relu6")
    random = torch.Generator().manual_seed(0)
    weights = torch.randn(4, 3, 3, 3, generator=random), torch.randn(4, 1, 3, 3, generator=random)
    weights[0][:2] *= weight
    weights[1][2:] *= weight
    fake = FakeQuantNet(
        [
            FloatOp(first, weights[0], torch.tensor([0.75, 6.5, 0.0, -0.3])),
            FloatOp(second, weights[1], torch.tensor([0.5, -1.0, 5.9, 0.001])),
        ]
    )
    fake.calibrate([torch.rand(2, 3, 4, 4, generator=random)])
    graph = int8_graph(fake.eval(), (4, 4, 3))
    found = run_int8(graph, np.zeros((4, 4, 3), np.int8))
    for y, op, channel, wanted in (
        (found[0], graph.ops[0], 0, 0.75),
        (found[0], graph.ops[0], 1, 6.0),
        (found[1], graph.ops[1], 2, 5.9),
        (found[1], graph.ops[1], 3, 0.001),
    ):
        real = op.output.scale * (y[..., channel].astype(float) - op.output.zero)
        assert np.abs(real - wanted).max() <= 0.51 * op.output.scale
    for op in graph.ops:
        assert op.bias is not None and np.abs(op.bias).max() < 2**30 + 2**8  # sums have room


def test_what_reads_a_dead_layer_is_its_bias() -> None:
    dead = OpSpec("conv", 4, 4, 3, 4, kernel=1, activation="relu")
    reader = OpSpec("conv", 4, 4, 4, 2, kernel=1)
    random = torch.Generator().manual_seed(0)
    bias = torch.tensor([1.5, -0.75])
    fake = FakeQuantNet(
        [
            FloatOp(dead, torch.randn(4, 3, 1, 1, generator=random), torch.full((4,), -99.0)),
            FloatOp(reader, torch.randn(2, 4, 1, 1, generator=random), bias),
        ]
    )
    fake.calibrate([torch.rand(2, 3, 4, 4, generator=random)])
    graph = int8_graph(fake.eval(), (4, 4, 3))
    last = run_int8(graph, np.zeros((4, 4, 3), np.int8))[-1]
    output = graph.ops[-1].output
    real = output.scale * (last.astype(float) - output.zero)
    assert np.abs(real - bias.numpy()).max() <= 0.51 * output.scale


def test_a_batch_is_its_images() -> None:
    _, graph = calibrated("mcunet", 3)
    images = int8_image(grey_levels(graph.input_shape, 3))
    one_by_one = [run_int8(graph, image) for image in images]
    for together, *apart in zip(run_int8(graph, images), *one_by_one, strict=True):
        np.testing.assert_array_equal(together, np.stack(apart))


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


@given(*(st.floats(1e-4, 1.0) for _ in range(3)), *(st.integers(-128, 127) for _ in range(3)))
def test_an_addition_is_the_real_sum(
    a: float, b: float, y: float, zero_a: int, zero_b: int, zero: int
) -> None:
    """To half a step, and what rounding the multipliers to 21 bits does."""
    if max(a, b) / y >= 255:
        return
    add = addition(Affine(a, zero_a), Affine(b, zero_b), Affine(y, zero), "none")
    values = np.arange(-128, 128, dtype=np.int8)
    first, second = values, values[::-1].copy()
    real = (a * (first.astype(float) - zero_a) + b * (second.astype(float) - zero_b)) / y + zero
    lost = 255 * max(a, b) / y * 2.0**-19
    off = np.abs(add(first, second) - np.clip(real, -128, 127))
    assert off.max() <= 0.5 + lost + 1e-4


def test_an_addition_of_scales_too_far_apart_is_refused() -> None:
    with pytest.raises(InputError, match="256 of the output"):
        addition(Affine(1.0, 0), Affine(0.1, 0), Affine(0.003, 0), "none")


@given(st.floats(0.001, 1.0), st.integers(-128, 127))
def test_relu6_ends_where_six_is(scale: float, zero: int) -> None:
    low, high = clamp_of("relu6", Affine(scale, zero))
    assert low == zero
    six = Affine(scale, zero).quantise(torch.tensor(6.0)).item()
    assert abs(high - six) <= math.ulp(6.0) + (abs(6 / scale % 1 - 0.5) < 1e-4)
