"""The firmware's kernels, compiled for this computer, against the NumPy kernels of `int8`.

That is their plain C; what they do with the cores' DSP instructions is compared in `test_firmware`.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hybrid_nas.quantise import int8_kernels
from hybrid_nas.quantise.int8_kernels import Addition, Requantisation

FIRMWARE = Path(__file__).parents[2] / "firmware"
GUARD = 32

pytestmark = pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
many = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

INT = ctypes.c_int32
WINDOW = "in_h in_w in_c out_h out_w out_c kernel_h kernel_w stride pad_top pad_left"
ADD = "a_multiplier b_multiplier bias shift output_offset low high"


class Window(ctypes.Structure):
    _fields_ = [(name, INT) for name in WINDOW.split()]


class Requant(ctypes.Structure):
    _fields_ = [
        *((name, INT) for name in ("input_offset", "output_offset", "low", "high")),
        *((name, ctypes.c_void_p) for name in ("scale", "bias")),
    ]


class AddParams(ctypes.Structure):
    _fields_ = [(name, INT) for name in ADD.split()]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    path = tmp_path_factory.mktemp("kernels") / "kernels.so"
    wrapper = path.with_name("rescale.c")
    wrapper.write_text(
        '#include "kernels/arith.h"\n'
        "int32_t rescale(int32_t, float);\n"
        "int32_t rescale(int32_t x, float s) { return hnas_rescale(x, hnas_factor_of(s)); }\n"
    )
    sources = [*sorted((FIRMWARE / "kernels").glob("*.c")), wrapper]
    flags = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic", "-shared", "-fPIC"]
    done = subprocess.run(
        ["gcc", *flags, f"-I{FIRMWARE}", *sources, "-o", path], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = ctypes.CDLL(str(path))
    for name in ("conv", "depthwise", "dense", "pool"):
        getattr(found, f"hnas_{name}_scratch").restype = ctypes.c_uint32
    return found


def pointer(array: np.ndarray[Any, Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


class Guarded:
    """A buffer between bytes that must stay as they are."""

    def __init__(self, size: int) -> None:
        self.all = np.full(size + 2 * GUARD, 0x5A, np.uint8)
        self.size = size

    @property
    def pointer(self) -> ctypes.c_void_p:
        return ctypes.c_void_p(self.all.ctypes.data + GUARD)

    def read(self) -> int8_kernels.Int8Array:
        assert (self.all[:GUARD] == 0x5A).all() and (self.all[GUARD + self.size :] == 0x5A).all()
        return self.all[GUARD : GUARD + self.size].view(np.int8)


class Case:
    """A window with data: sizes from Hypothesis, numbers from a seeded generator."""

    def __init__(self, draw: st.DrawFn, depthwise: bool) -> None:
        size = st.integers(1, 9)
        self.h, self.w, self.k = draw(size), draw(size), draw(st.sampled_from([1, 2, 3, 4, 5, 7]))
        self.stride = draw(st.integers(1, 3))
        self.cin = draw(st.integers(1, 13))
        self.cout = self.cin if depthwise else draw(st.integers(1, 9))
        # Top, left, bottom and right, each less than the kernel: also TFLite's uneven SAME.
        self.pads = [draw(st.integers(0, self.k - 1)) for _ in range(4)]
        top, left, bottom, right = self.pads
        assume(self.h + top + bottom >= self.k and self.w + left + right >= self.k)
        self.out_h = (self.h + top + bottom - self.k) // self.stride + 1
        self.out_w = (self.w + left + right - self.k) // self.stride + 1
        # A window may begin in the padding, but not lie in it entirely.
        assume((self.out_h - 1) * self.stride - top < self.h)
        assume((self.out_w - 1) * self.stride - left < self.w)
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.x = rng.integers(-128, 128, (self.h, self.w, self.cin), np.int8)
        shape = (self.k, self.k, self.cin) if depthwise else (self.cout, self.k, self.k, self.cin)
        self.weights = rng.integers(-128, 128, shape, np.int8)
        self.zero = draw(st.integers(-128, 127))
        self.bias = rng.integers(-5000, 5000, self.cout, np.int32)
        low, high = sorted((draw(st.integers(-128, 127)), draw(st.integers(-128, 127))))
        mantissas = rng.integers(1 << 23, 1 << 24, self.cout).astype(np.float32)
        shifts = rng.integers(*draw(st.sampled_from([(-16, -5), (-4, 3), (-31, -12)])), self.cout)
        self.requantise = Requantisation(
            np.ldexp(mantissas, shifts - 24),
            draw(st.integers(-128, 127)),
            low,
            high,
        )

    def window(self) -> Window:
        return Window(
            *(self.h, self.w, self.cin, self.out_h, self.out_w, self.cout),
            *(self.k, self.k, self.stride, self.pads[0], self.pads[1]),
        )

    def padded(self) -> int8_kernels.Int8Array:
        top, left, bottom, right = self.pads
        edges = ((top, bottom), (left, right), (0, 0))
        return np.pad(self.x, edges, constant_values=self.zero)

    def run(
        self, library: ctypes.CDLL, name: str, in_place: bool = False
    ) -> int8_kernels.Int8Array:
        q = self.requantise
        constants = [q.scale, self.bias]
        requant = Requant(-self.zero, q.zero, q.low, q.high, *map(pointer, constants))
        window = self.window()
        scratch = Guarded(getattr(library, f"hnas_{name}_scratch")(ctypes.byref(window)))
        y = Guarded(self.out_h * self.out_w * self.cout)
        x = self.x.copy()
        getattr(library, f"hnas_{name}")(
            ctypes.byref(window),
            ctypes.byref(requant),
            pointer(x),
            pointer(self.weights),
            pointer(x) if in_place else y.pointer,
            scratch.pointer,
        )
        scratch.read()
        found = x.reshape(-1)[: y.size] if in_place else y.read()
        return found.reshape(self.out_h, self.out_w, self.cout)


@st.composite
def cases(draw: st.DrawFn, depthwise: bool) -> Case:
    return Case(draw, depthwise)


@many
@given(case=cases(depthwise=False))
def test_convolution_of_any_window(library: ctypes.CDLL, case: Case) -> None:
    expected = int8_kernels.conv2d(
        case.padded(),
        case.weights,
        case.bias,
        case.requantise,
        in_zero=case.zero,
        stride=case.stride,
    )
    np.testing.assert_array_equal(case.run(library, "conv"), expected)


@many
@given(case=cases(depthwise=True))
def test_depthwise_of_any_window_also_in_place(library: ctypes.CDLL, case: Case) -> None:
    expected = int8_kernels.depthwise2d(
        case.padded(),
        case.weights,
        case.bias,
        case.requantise,
        in_zero=case.zero,
        stride=case.stride,
    )
    np.testing.assert_array_equal(case.run(library, "depthwise"), expected)
    if case.out_h <= case.h and case.out_w <= case.w:
        np.testing.assert_array_equal(case.run(library, "depthwise", in_place=True), expected)


@many
@given(
    sizes=st.tuples(st.integers(1, 70), st.integers(1, 11)),
    seed=st.integers(0, 2**32 - 1),
    has_bias=st.booleans(),
)
def test_dense(library: ctypes.CDLL, sizes: tuple[int, int], seed: int, has_bias: bool) -> None:
    cin, cout = sizes
    rng = np.random.default_rng(seed)
    x, weights = (
        rng.integers(-128, 128, cin, np.int8),
        rng.integers(-128, 128, (cout, cin), np.int8),
    )
    bias = rng.integers(-(10**6), 10**6, cout, np.int32)
    mantissas = rng.integers(1 << 23, 1 << 24, cout).astype(np.float32)
    scales = np.ldexp(mantissas, rng.integers(-20, -3, cout) - 24)
    y, scratch = Guarded(cout), Guarded(library.hnas_dense_scratch(cin, cout))
    requant = Requant(-9, 3, -100, 110, *map(pointer, (scales, bias)))
    if not has_bias:
        requant.bias = None
        bias = np.zeros_like(bias)
    library.hnas_dense(
        cin, cout, ctypes.byref(requant), pointer(x), pointer(weights), y.pointer, scratch.pointer
    )
    scratch.read()
    requantise = Requantisation(scales, 3, -100, 110)
    np.testing.assert_array_equal(
        y.read(), int8_kernels.dense(x, weights, bias, requantise, in_zero=9)
    )


@many
@given(
    multipliers=st.tuples(*(st.integers(0, 1 << 21) for _ in range(2))),
    shift=st.integers(1, 30),
    zeros=st.tuples(*(st.integers(-128, 127) for _ in range(3))),
    count=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_addition(
    library: ctypes.CDLL,
    multipliers: tuple[int, int],
    shift: int,
    zeros: tuple[int, int, int],
    count: int,
    seed: int,
) -> None:
    a, b = np.random.default_rng(seed).integers(-128, 128, (2, count), np.int8)
    add = Addition(zeros[:2], multipliers, shift, zeros[2], -120, 115)
    params = AddParams(*multipliers, add.bias, shift, zeros[2], -120, 115)
    y = Guarded(count)
    library.hnas_add(ctypes.byref(params), count, pointer(a), pointer(b), y.pointer)
    np.testing.assert_array_equal(y.read(), add(a, b))


@given(
    x=st.integers(-(2**31), 2**31 - 1) | st.integers(-(2**18), 2**18),
    mantissa=st.integers(1 << 23, (1 << 24) - 1),
    shift=st.integers(-31, 3),
    step=st.integers(-2, 2),
    half=st.booleans(),
)
@settings(max_examples=3000, deadline=None)
def test_rescaling_next_to_halves_too(
    library: ctypes.CDLL, x: int, mantissa: int, shift: int, step: int, half: bool
) -> None:
    """Sums whose product with the scale is as near to a half as sums get."""
    scale = np.ldexp(np.float32(mantissa), shift - 24)
    if half:
        x = round((x % 512 - 256 + 0.5) / float(scale)) + step
        assume(abs(x) < 2**31)
    found = max(-128, min(127, library.rescale(x, ctypes.c_float(scale))))
    assert found == Requantisation(scale, 0)(np.array([x]))[0]


@many
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 11)),
    kernel=st.integers(0, 5),
    stride=st.integers(1, 3),
    data=st.data(),
)
def test_pooling(
    library: ctypes.CDLL,
    shape: tuple[int, int, int],
    kernel: int,
    stride: int,
    data: st.DataObject,
) -> None:
    h, w, _ = shape
    padding = data.draw(st.integers(0, max(kernel - 1, 0)))
    assume(kernel <= min(h, w) + 2 * padding)
    low, high = sorted((data.draw(st.integers(-128, 127)), data.draw(st.integers(-128, 127))))
    seed = data.draw(st.integers(0, 2**32 - 1))
    x = np.random.default_rng(seed).integers(-128, 128, shape, np.int8)
    average, largest = (
        pool(x, kernel, stride, padding, low=low, high=high)
        for pool in (int8_kernels.average_pool, int8_kernels.max_pool)
    )
    window = Window(
        *shape, *average.shape, kernel or h, kernel or w, stride if kernel else 1, padding, padding
    )
    y, scratch = Guarded(average.size), Guarded(library.hnas_pool_scratch(ctypes.byref(window)))
    library.hnas_average_pool(
        ctypes.byref(window), low, high, pointer(x), y.pointer, scratch.pointer
    )
    scratch.read()
    np.testing.assert_array_equal(y.read(), average.reshape(-1))
    y = Guarded(largest.size)
    library.hnas_max_pool(ctypes.byref(window), low, high, pointer(x), y.pointer)
    np.testing.assert_array_equal(y.read(), largest.reshape(-1))
