"""float32 functions of the device against double precision."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_nas.export import device_math as fn
from hybrid_nas.typing import Float32Array

float32s = st.floats(allow_nan=False, allow_infinity=False, width=32)


def grid(low: float, high: float, *, geometric: bool) -> Float32Array:
    space = np.geomspace if geometric else np.linspace
    return space(low, high, 200_000).astype(np.float32)


@pytest.mark.parametrize(
    ("function", "exact", "x", "bound"),
    [
        (fn.exp_minus, lambda x: math.exp(-x), grid(0.0, 86.0, geometric=False), 1.0e-7),
        (fn.exp_minus, lambda x: math.exp(-x), grid(1e-30, 86.0, geometric=True), 1.0e-7),
        (fn.log, math.log, grid(1.2e-38, 3e38, geometric=True), 2e-7),
        (fn.log, math.log, grid(0.5, 2.0, geometric=False), 2e-7),
        (fn.log1p, math.log1p, grid(1e-37, 1e6, geometric=True), 3e-7),
        (fn.sqrt, math.sqrt, grid(1.2e-38, 3e38, geometric=True), 2.5e-7),
        (fn.sqrt, math.sqrt, grid(1.0, 2e5, geometric=False), 2.5e-7),
        (fn.sigmoid, lambda x: 1 / (1 + math.exp(-x)), grid(-86.0, 86.0, geometric=False), 2e-7),
    ],
)
def test_errors_are_within_the_documented_bounds(
    function: Callable[[Float32Array], Float32Array],
    exact: Callable[[float], float],
    x: Float32Array,
    bound: float,
) -> None:
    x = x[(x != 1.0) | (function is not fn.log)]
    found = function(x)
    assert found.dtype == np.float32
    expected = np.array([exact(value) for value in x.tolist()])
    assert np.abs(found.astype(np.float64) / expected - 1.0).max() < bound


def test_exact_values_and_ends() -> None:
    zero, one = np.zeros(1, np.float32), np.ones(1, np.float32)
    assert fn.exp_minus(zero) == 1.0 and fn.log(one) == 0.0 and fn.log1p(zero) == 0.0
    assert fn.sqrt(zero) == 0.0 and fn.sigmoid(zero) == 0.5
    far = np.array([86.001, 100.0, 3e38], np.float32)
    assert (fn.exp_minus(far) == 0.0).all() and (fn.sigmoid(far) == 1.0).all()
    assert (fn.sigmoid(-far) == 0.0).all()


def test_sums_go_from_left_to_right() -> None:
    """In this order each 1 is lost; pairwise summation would keep some."""
    row = np.ones((1, 1000), np.float32)
    row[0, 0] = 2.0**24
    assert fn.sum_in_order(row) == 2.0**24
    x = np.random.default_rng(0).normal(size=(20, 300)).astype(np.float32)
    for row, found in zip(x, fn.sum_in_order(x), strict=True):
        total = np.float32(0.0)
        for value in row:
            total = total + value
        assert found == total


@given(float32s, st.floats(allow_nan=False, allow_infinity=False))
def test_a_threshold_in_float32_decides_as_the_one_in_float64(score: float, exact: float) -> None:
    for threshold in (exact, score, math.nextafter(score, math.inf), math.nextafter(score, -9e99)):
        rounded = fn.float32_below(threshold)
        assert rounded == float(np.float32(rounded))
        assert (score > rounded) == (score > threshold)
