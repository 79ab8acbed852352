"""The integer reference against plain loops over Python integers, and against torch."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from hybrid_nas.errors import InputError
from hybrid_nas.profiling import generator
from hybrid_nas.profiling.reference import (
    network_crc,
    output_crc,
    unsupported,
    weight_offsets,
)
from hybrid_nas.quantise import int8_kernels
from hybrid_nas.quantise.int8_kernels import Addition, Requantisation
from hybrid_nas.spaces.opspec import OpSpec

# --- docs/protocol.md once more, in loops over Python integers ------------------------------------


def lcg(seed: int, count: int) -> list[int]:
    out = []
    for _ in range(count):
        seed = (1664525 * seed + 1013904223) % 2**32
        out.append(seed >> 24)
    return out


def signed(values: Sequence[int]) -> list[int]:
    return [value - 256 if value > 127 else value for value in values]


def to_float32(x: Fraction) -> Fraction:
    """Rounded to 24 bits, halves to even, as round() of fractions takes them."""
    bits = max(0, abs(x.numerator).bit_length() - x.denominator.bit_length() - 26)
    while abs(x) / 2**bits >= 2**24:
        bits += 1
    while x and abs(x) / Fraction(2) ** bits < 2**23:
        bits -= 1
    return round(x / Fraction(2) ** bits) * Fraction(2) ** bits


def nearest(x: int, multiplier: int, shift: int) -> int:
    """What float32 makes of it, in fractions."""
    scale = Fraction(multiplier) * Fraction(2) ** (shift - 31)
    assert to_float32(scale) == scale
    return round(to_float32(to_float32(Fraction(x)) * scale))


def brute_force(op: OpSpec, data: list[int], second: list[int], weights: list[int]) -> list[int]:
    """The output of one operator, flat; `data` and `second` are flat int8."""
    low, high = {"none": (-128, 127), "relu": (-7, 127), "relu6": (-7, 100)}[op.activation]
    bias = [16 * value for value in signed(lcg(4, op.cout))]
    multiplier = [0x40000000 + (value << 22) for value in lcg(5, op.cout)]

    def clamp(value: int) -> int:
        return max(low, min(high, value))

    if op.op == "add":
        sums = [Fraction(15, 32) * (a + 5 + b + 5) for a, b in zip(data, second, strict=True)]
        return [clamp(math.floor(total + Fraction(1, 2)) - 7) for total in sums]

    height, width = (op.kernel, op.kernel) if op.kernel else (op.h, op.w)
    products = height * width * (1 if op.op == "dwconv" else op.cin)
    out = []
    for oy in range(op.out_h):
        for ox in range(op.out_w):
            inside = [
                (dy, dx, ((oy * op.stride + dy - op.padding) * op.w
                          + ox * op.stride + dx - op.padding) * op.cin)
                for dy in range(height)
                for dx in range(width)
                if 0 <= oy * op.stride + dy - op.padding < op.h
                and 0 <= ox * op.stride + dx - op.padding < op.w
            ]  # fmt: skip
            for c in range(op.cout):
                if op.op in ("avgpool", "maxpool"):
                    window = [data[at + c] for _, _, at in inside]
                    if op.op == "maxpool":
                        out.append(clamp(max(window)))
                        continue
                    mean = Fraction(sum(window), len(window))
                    away = math.floor(abs(mean) + Fraction(1, 2))
                    out.append(clamp(away if mean > 0 else -away))
                    continue
                total = bias[c]
                for dy, dx, at in inside:
                    tap = dy * width + dx
                    if op.op == "dwconv":
                        total += (data[at + c] + 5) * weights[tap * op.cout + c]
                        continue
                    for i in range(op.cin):
                        weight = weights[(c * height * width + tap) * op.cin + i]
                        total += (data[at + i] + 5) * weight
                shift = -(6 + ((products - 1).bit_length() + 1) // 2) - c % 2
                out.append(clamp(nearest(total, multiplier[c], shift) - 7))
    return out


def crc(values: Sequence[int]) -> int:
    return zlib.crc32(bytes(value & 255 for value in values))


def brute_force_crc(op: OpSpec) -> int:
    size = op.h * op.w * op.cin
    streams = signed(lcg(2, size)), signed(lcg(3, size)), signed(lcg(1, op.weights))
    return crc(brute_force(op, *streams))


@st.composite
def operators(draw: st.DrawFn) -> OpSpec:
    kind = draw(st.sampled_from(("conv", "dwconv", "dense", "add", "avgpool", "maxpool")))
    activation = draw(st.sampled_from(("none", "relu", "relu6")))
    cin, cout = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    if kind == "dense":
        return OpSpec(kind, 1, 1, 8 * cin, 3 * cout, activation=activation)
    cout = cout if kind == "conv" else cin
    h, w = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    if kind == "add":
        return OpSpec(kind, h, w, cin, cin, activation=activation, residual=2)
    if kind.endswith("pool") and draw(st.booleans()):
        return OpSpec(kind, h, w, cin, cin, kernel=0, activation=activation)
    kernel = draw(st.sampled_from((1, 2, 3, 5, 7)))
    padding = draw(st.integers(0, kernel - 1))
    h, w = (max(size, kernel - 2 * padding) for size in (h, w))
    stride = draw(st.integers(1, 3))
    return OpSpec(kind, h, w, cin, cout, kernel, stride, padding, activation)


# --- generator ------------------------------------------------------------------------------------


def test_streams_are_the_generators_bytes() -> None:
    for seed in (1, 2, 3, 4, 5):
        stepped = signed(lcg(seed, 140_000))  # past two sizes of the cache
        assert generator.stream(seed, 140_000).tolist() == stepped
        for start, count in ((0, 0), (1, 7), (65_530, 12), (139_990, 10)):
            assert generator.stream(seed, count, start).tolist() == stepped[start : start + count]


def test_the_generator_has_its_full_period() -> None:
    # Hull and Dobell (1962): c odd, and a - 1 a multiple of 4, for a modulus of 2^32.
    assert 1013904223 % 2 == 1
    assert 1664525 % 4 == 1
    counts = np.bincount(generator.stream(1, 1 << 20).view(np.uint8), minlength=256)
    assert np.all(np.abs(counts / 4096 - 1) < 0.1)


# --- operators ------------------------------------------------------------------------------------


@given(operators())
@settings(max_examples=150, deadline=None)
def test_every_operator_is_what_loops_compute(op: OpSpec) -> None:
    assert unsupported(op) is None
    assert output_crc(op) == brute_force_crc(op)


@pytest.mark.parametrize(
    "op",
    [
        OpSpec("conv", 12, 10, 3, 16, 3, 2, 1, "relu6"),
        OpSpec("conv", 5, 5, 64, 17),
        OpSpec("dwconv", 9, 9, 24, 24, 7, 2, 3, "relu"),
        OpSpec("dense", 1, 1, 320, 10),
        OpSpec("avgpool", 7, 7, 40, 40, 0),
    ],
)
def test_shapes_of_real_networks(op: OpSpec) -> None:
    assert output_crc(op) == brute_force_crc(op)


def test_outputs_are_spread_out_so_that_wrong_kernels_show() -> None:
    def values(op: OpSpec) -> np.ndarray:
        second = weights = signed(lcg(1, max(op.weights, 1)))
        return np.array(brute_force(op, signed(lcg(2, op.in_bytes)), second, weights))

    for op in (
        OpSpec("conv", 8, 8, 16, 24),
        OpSpec("conv", 6, 6, 4, 24, 5, 1, 2),
        OpSpec("dwconv", 8, 8, 48, 48, 3, 1, 1),
        OpSpec("dense", 1, 1, 256, 200),
    ):
        found = values(op)
        assert np.mean(np.abs(found) >= 127) < 0.2
        assert len(np.unique(found)) > 60


@given(st.integers(-(2**31), 2**31 - 1), st.integers(2**23, 2**24 - 1), st.integers(-31, 7))
def test_rescaling_is_that_of_float32(x: int, mantissa: int, shift: int) -> None:
    scale = np.ldexp(np.float32(mantissa), shift - 24)
    exact = nearest(x, mantissa << 7, shift)
    found = Requantisation(np.float32(scale), 0)(np.array([x]))
    assert found.tolist() == [max(-128, min(127, exact))]


# --- kernels against torch ------------------------------------------------------------------------


def random_int8(rng: np.random.Generator, *shape: int) -> int8_kernels.Int8Array:
    return rng.integers(-128, 128, shape, dtype=np.int8)


def requantised(accumulators: np.ndarray, multiplier: np.ndarray, shift: np.ndarray) -> np.ndarray:
    exact = [
        [nearest(int(x), int(m), int(s)) for x, m, s in zip(row, multiplier, shift, strict=True)]
        for row in accumulators.reshape(-1, len(multiplier))
    ]
    return np.clip(np.array(exact) + 3, -20, 90).reshape(accumulators.shape)


@pytest.mark.parametrize("kernel, stride, padding", [(1, 1, 0), (3, 2, 1), (5, 1, 2), (7, 2, 3)])
@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("in_zero", [-128, 0, 11])
def test_convolutions_against_torch(
    kernel: int, stride: int, padding: int, depthwise: bool, in_zero: int
) -> None:
    rng = np.random.default_rng(kernel * 100 + stride)
    channels, cout = 24, 24 if depthwise else 10
    x, bias = random_int8(rng, 11, 14, channels), rng.integers(-4000, 4000, cout)
    multiplier, shift = rng.integers(2**23, 2**24, cout) << 7, -rng.integers(6, 12, cout)
    groups = channels if depthwise else 1
    filters = random_int8(rng, cout, channels // groups, kernel, kernel)

    image = torch.tensor(x.transpose(2, 0, 1)[None].astype(np.float64) - in_zero)
    sums = F.conv2d(
        image, torch.tensor(filters.astype(np.float64)), None, stride, padding, groups=groups
    )
    expected = requantised(sums[0].permute(1, 2, 0).numpy() + bias, multiplier, shift)

    scales = np.ldexp(multiplier.astype(np.float32), shift - 31)
    requantise = Requantisation(scales, 3, -20, 90)
    if depthwise:
        weights = filters[:, 0].transpose(1, 2, 0)
        found = int8_kernels.depthwise2d(
            x, weights, bias, requantise, in_zero=in_zero, stride=stride, padding=padding
        )
    else:
        weights = filters.transpose(0, 2, 3, 1)
        found = int8_kernels.conv2d(
            x, weights, bias, requantise, in_zero=in_zero, stride=stride, padding=padding
        )
    assert found.dtype == np.int8
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("products", [255, 513, 514, 515, 4099, 60_001])
def test_sums_are_exact_on_both_sides_of_float32s_mantissa(products: int) -> None:
    """The largest possible products, less one unit: rounding anywhere loses that unit."""
    x = np.full(products, -128, np.int8)
    weights = np.full((2, products), -128, np.int8)
    weights[:, -1] = [-127, 127]
    exact = [255 * (128 * (products - 1) - int(last)) for last in weights[:, -1]]
    seen = Requantisation(np.float32(1), 0)  # times one: the clamp would hide all but small sums
    bias = np.array([5 - exact[0], -9 - exact[1]])
    assert int8_kernels.dense(x, weights, bias, seen, in_zero=127).tolist() == [5, -9]


@pytest.mark.parametrize("kernel, stride, padding", [(2, 2, 0), (3, 2, 1), (3, 1, 1), (7, 1, 3)])
def test_pools_against_torch(kernel: int, stride: int, padding: int) -> None:
    x = random_int8(np.random.default_rng(kernel), 13, 9, 6)
    image = torch.tensor(x.transpose(2, 0, 1)[None].astype(np.float64))
    mean = F.avg_pool2d(image, kernel, stride, padding, count_include_pad=False)
    away = (torch.sign(mean) * torch.floor(mean.abs() + 0.5 + 1e-9))[0].permute(1, 2, 0).numpy()
    assert np.array_equal(int8_kernels.average_pool(x, kernel, stride, padding), away)
    largest = F.max_pool2d(image, kernel, stride, padding)[0].permute(1, 2, 0).numpy()
    assert np.array_equal(int8_kernels.max_pool(x, kernel, stride, padding), largest)


def test_addition_is_the_real_sum_to_half_a_step() -> None:
    a, b = (values.reshape(-1) for values in np.mgrid[-128:128, -128:128].astype(np.int8))
    found = Addition((-5, 9), (1 << 20, 1 << 19), 21, 2)(a, b)  # 0.5 and 0.25
    real = 0.5 * (a.astype(float) + 5) + 0.25 * (b.astype(float) - 9) + 2
    assert np.all(np.abs(found - np.clip(real, -128, 127)) <= 0.5)


# --- networks -------------------------------------------------------------------------------------

NETWORK = (
    OpSpec("conv", 9, 8, 3, 8, 3, 2, 1, "relu6"),  # 5x4x8
    OpSpec("conv", 5, 4, 8, 24, activation="relu"),
    OpSpec("dwconv", 5, 4, 24, 24, 3, 1, 1, "relu6"),
    OpSpec("conv", 5, 4, 24, 8),
    OpSpec("add", 5, 4, 8, 8, residual=4),
    OpSpec("maxpool", 5, 4, 8, 8, 2, 1),
    OpSpec("avgpool", 4, 3, 8, 8, 0),
    OpSpec("dense", 1, 1, 8, 7),
    OpSpec("dense", 1, 1, 8, 5, source=2),
)


def brute_force_network(ops: Sequence[OpSpec], weight_bytes: int) -> int:
    block = signed(lcg(1, weight_bytes))
    outputs = {-1: signed(lcg(2, ops[0].in_bytes))}
    end = 0
    for i, op in enumerate(ops):
        while end % 4:
            end += 1
        if end + op.weights > weight_bytes:
            end = 0
        weights = block[end : end + op.weights]
        end += op.weights
        outputs[i] = brute_force(
            op, outputs[i - op.source], outputs.get(i - op.residual, []), weights
        )
    return crc(outputs[len(ops) - 1])


@pytest.mark.parametrize("weight_bytes", [216, 217, 220, 300, 640, 1000, 5000])
def test_networks_are_what_loops_compute(weight_bytes: int) -> None:
    for length in range(1, len(NETWORK) + 1):
        ops = NETWORK[:length]
        if max(op.weights for op in ops) <= weight_bytes:
            assert network_crc(ops, weight_bytes) == brute_force_network(ops, weight_bytes)


@given(operators().filter(lambda op: op.op != "add"))
@settings(max_examples=30, deadline=None)
def test_a_network_of_one_operator_is_that_operator(op: OpSpec) -> None:
    assert network_crc([op], max(op.weights, 1)) == output_crc(op)


@given(st.lists(operators(), min_size=1, max_size=30), st.integers(4000, 9000))
@settings(max_examples=50, deadline=None)
def test_weights_lie_aligned_inside_the_block(ops: list[OpSpec], weight_bytes: int) -> None:
    offsets = weight_offsets(ops, weight_bytes)
    for op, start, after in zip(ops, offsets, [*offsets[1:], 0], strict=True):
        assert start % 4 == 0
        assert start + op.weights <= weight_bytes
        assert after == 0 or after - (start + op.weights) in range(4)


@pytest.mark.parametrize(
    "ops, words",
    [
        ([], "at least one"),
        ([NETWORK[0], OpSpec("mul", 5, 4, 8, 8, residual=1)], "operator 1.*mul"),
        ([NETWORK[0], NETWORK[4]], "operator 1.*earlier"),
        ([NETWORK[0], OpSpec("add", 5, 4, 8, 8)], "operator 1.*earlier"),
        ([NETWORK[0], NETWORK[2]], "operator 1.*480 bytes.*writes 160"),
        ([OpSpec("dense", 1, 1, 1000, 1000)], "operator 0.*1000000 bytes.*393216"),
    ],
)
def test_impossible_networks_are_refused(ops: Sequence[OpSpec], words: str) -> None:
    with pytest.raises(InputError, match=words):
        network_crc(ops, 393_216)


@pytest.mark.parametrize(
    "op, words",
    [
        (OpSpec("conv", 8, 8, 3, 8, dtype="float32"), "float32"),
        (OpSpec("mul", 8, 8, 8, 8, residual=1), "mul"),
        (OpSpec("conv", 8, 8, 3, 8, activation="h_swish"), "h_swish"),
        (OpSpec("dense", 1, 1, 8, 8, activation="h_sigmoid"), "h_sigmoid"),
        (OpSpec("dense", 2, 2, 8, 8), "2x2"),
        (OpSpec("dwconv", 8, 8, 8, 16, 3), "8 input and 16 output"),
        (OpSpec("avgpool", 8, 8, 8, 4, 0), "8 input and 4 output"),
        (OpSpec("conv", 8, 8, 8, 4, 0), "kernel 0"),
        (OpSpec("conv", 2, 9, 8, 4, 3), "no output"),
        (OpSpec("maxpool", 8, 8, 8, 8, 2, 2, 2), "padding 2"),
        (OpSpec("conv", 8, 8, 8, 4, 3, 0), "stride 0"),
        (OpSpec("add", 8, 8, 8, 8, 3, residual=1), "add with kernel 3"),
        (OpSpec("dense", 1, 1, 65536, 8), "above 65535"),
        (OpSpec("avgpool", 300, 300, 8, 8, 256, 256), "above 255"),
    ],
)
def test_what_boards_cannot_run_has_a_reason(op: OpSpec, words: str) -> None:
    assert words in str(unsupported(op))
    with pytest.raises(InputError, match="boards cannot run"):
        output_crc(op)
