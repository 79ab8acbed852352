"""Runtimes as data: formulas of buffers, flash, and unknown names."""

from __future__ import annotations

import pytest

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.flash import flash_bytes
from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.hardware.runtimes import evaluate, load_runtime, runtime_ids
from hybrid_nas.spaces.opspec import OpSpec

OPS = (
    OpSpec("conv", 8, 8, 3, 16, 3, 2, 1),
    OpSpec("dwconv", 4, 4, 16, 16, 5, 1, 2),
    OpSpec("dwconv", 4, 4, 16, 16, 3, 2, 1),
    OpSpec("conv", 2, 2, 16, 8),
    OpSpec("avgpool", 2, 2, 8, 8, kernel=0, bias=False),
    OpSpec("dense", 1, 1, 8, 10),
)
WEIGHTS = 9 * 3 * 16 + 25 * 16 + 9 * 16 + 16 * 8 + 8 * 10
CHANNELS = 16 + 16 + 16 + 8 + 10


COMPARED = ("tinyengine", "cmsis-nn", "tflm", "x-cube-ai")
FILES = ("tflm-export",)
OWN = ("hnas-c",)
PLAIN = ("onnxruntime",)


def test_the_runtimes_are_there_with_errors_and_sources() -> None:
    assert runtime_ids() == COMPARED[:3] + FILES + COMPARED[3:] + OWN + PLAIN
    for name in runtime_ids():
        runtime = load_runtime(name)
        assert runtime.source and runtime.version
        assert set(runtime.fit) == ({"sram", "flash"} if name in COMPARED else set())


@pytest.mark.parametrize("name", PLAIN)
def test_runtimes_that_were_not_compared_say_so_and_invent_no_constant(name: str) -> None:
    runtime = load_runtime(name)
    assert "nothing has been compared" in runtime.source
    assert runtime.sram.fixed_bytes == runtime.flash.fixed_bytes == 0


def test_an_unknown_runtime_is_refused() -> None:
    with pytest.raises(InputError, match="no runtime 'onnx': give one of tinyengine"):
        load_runtime("onnx")


def test_buffers_are_linear_in_the_operators_shape() -> None:
    formula = {"conv": {"k2_cin": 4, "one": 3}, "pointwise": {"cin": 2}, "dwconv": {"weights": 1}}
    assert evaluate(formula, OpArrays.of(OPS)).tolist() == [4 * 27 + 3, 25 * 16, 0, 32, 0, 0]


def test_flash_is_weights_biases_scales_and_code() -> None:
    runtime = load_runtime("tinyengine")
    expected = WEIGHTS + 8 * CHANNELS + runtime.flash.fixed_bytes
    assert flash_bytes(OPS, runtime) == expected
    assert flash_bytes(OPS, runtime, router_bytes=100, reserve_bytes=20) == expected + 120


def test_interpreters_keep_something_for_every_step() -> None:
    flash = load_runtime("tflm").flash
    steps = len(OPS) + 3  # three convolutions have a border of their own
    expected = WEIGHTS + flash.bytes_per_channel * CHANNELS + flash.bytes_per_step * steps
    assert flash_bytes(OPS, load_runtime("tflm")) == expected + flash.fixed_bytes


def test_floating_point_weights_take_four_bytes() -> None:
    from dataclasses import replace

    wide = tuple(replace(op, dtype="float32") for op in OPS)
    runtime = load_runtime("tinyengine")
    assert flash_bytes(wide, runtime) - flash_bytes(OPS, runtime) == 3 * WEIGHTS
