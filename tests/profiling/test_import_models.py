"""Model files as operators: against published counts, onnxruntime and brute force."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_nas.errors import InputError
from hybrid_nas.profiling.models.model import load_model
from hybrid_nas.profiling.models.network import wired_ops
from hybrid_nas.profiling.models.windows import Window, express
from hybrid_nas.spaces.opspec import OpSpec
from tests.conftest import shared_data
from tests.profiling.import_samples import network, save_network

TINY = "models/mlperf_tiny"
REPORTS = "boards/st_reports"


@pytest.mark.parametrize(
    ("file", "operators", "macs"),
    [
        # Multiply-accumulates from the layers' shapes, by hand or as MLPerf Tiny publishes them.
        ("vww_96_int8.tflite", 29, 7_489_664),
        ("pretrainedResnet_quant.tflite", 14, 12_501_632),
        ("ad01_int8.tflite", 10, 264_192),
    ],
)
def test_tflite_networks_have_their_published_size(file: str, operators: int, macs: int) -> None:
    ops = wired_ops(load_model(shared_data(f"{TINY}/{file}")))
    assert not isinstance(ops, str), ops
    assert (len(ops), sum(op.macs for op in ops)) == (operators, macs)


def test_shortcuts_of_the_residual_network_are_wired() -> None:
    ops = wired_ops(load_model(shared_data(f"{TINY}/pretrainedResnet_quant.tflite")))
    assert not isinstance(ops, str), ops
    # Operands of the three additions: the branch before, and the identity or the 1x1 shortcut.
    sums = [
        (number, number - op.source, number - op.residual)
        for number, op in enumerate(ops)
        if op.op == "add"
    ]
    assert sums == [(3, 2, 0), (7, 6, 5), (11, 10, 9)]


def test_what_no_operator_can_express_has_a_reason() -> None:
    model = load_model(shared_data(f"{TINY}/kws_ref_model.tflite"))
    assert model.ops[0].spec is None
    assert "10x4" in model.ops[0].reason
    assert "10x4" in str(wired_ops(model))
    hybrid = load_model(shared_data(f"{TINY}/kws_ref_model_float32.tflite"))
    assert "float32, int8" in hybrid.ops[0].reason


def test_padding_before_a_strided_convolution_is_folded() -> None:
    model = load_model(shared_data(f"{REPORTS}/st-edge-ai-2.1_model.tflite"))
    pad, conv = model.ops[5], model.ops[6]
    assert (pad.type, conv.type) == ("PAD", "DEPTHWISE_CONV_2D")
    assert conv.spec is not None and conv.after_pad is not None
    assert (conv.spec.h, conv.spec.padding, conv.spec.out_h) == (65, 0, 32)
    assert (conv.after_pad.h, conv.after_pad.padding, conv.after_pad.out_h) == (64, 1, 32)


def test_onnx_shapes_are_those_that_onnxruntime_computes(tmp_path: Path) -> None:
    model = network()
    names = [name for node in model.graph.node for name in node.output]
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    session = ort.InferenceSession(model.SerializeToString())
    results = session.run(None, {"x": np.zeros((1, 3, 32, 32), np.float32)})
    shapes = {name: result.shape for name, result in zip(names, results, strict=True)}
    for op in load_model(save_network(tmp_path)).ops:
        if op.spec is None:
            continue
        channels, *image = (*shapes[op.outputs[0]][1:], 1, 1)[:3]
        assert (op.spec.out_h, op.spec.out_w, op.spec.cout) == (*image, channels)


def test_onnx_activations_groups_and_shortcuts(tmp_path: Path) -> None:
    ops = wired_ops(load_model(save_network(tmp_path)))
    assert ops == (
        OpSpec("conv", 32, 32, 3, 8, 3, 2, 1, "relu", dtype="float32"),
        OpSpec("dwconv", 16, 16, 8, 8, 3, 1, 1, dtype="float32"),
        OpSpec("conv", 16, 16, 8, 8, dtype="float32"),
        OpSpec("add", 16, 16, 8, 8, bias=False, dtype="float32", residual=3),
        OpSpec("avgpool", 16, 16, 8, 8, 0, bias=False, dtype="float32"),
        OpSpec("dense", 1, 1, 8, 4, dtype="float32"),
    )


def test_a_quantised_onnx_counts_as_int8(tmp_path: Path) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = [{"x": np.ones((1, 3, 32, 32), np.float32)}]

        def get_next(self) -> dict[str, np.ndarray] | None:
            return self.left.pop() if self.left else None

    source = save_network(tmp_path)
    for form in (QuantFormat.QDQ, QuantFormat.QOperator):
        target = tmp_path / f"{form}.onnx"
        quantize_static(source, target, Reader(), quant_format=form)
        specs = [op.spec for op in load_model(target).ops if op.spec is not None]
        convolutions = [spec for spec in specs if spec.op in ("conv", "dwconv")]
        assert [spec.dtype for spec in convolutions] == ["int8"] * 3


@pytest.mark.parametrize("cut", [0, 8, 100, 5000, 60000])
def test_damaged_models_are_refused(tmp_path: Path, cut: int) -> None:
    data = shared_data(f"{TINY}/vww_96_int8.tflite").read_bytes()
    path = tmp_path / "cut.tflite"
    path.write_bytes(data[:cut])
    with pytest.raises(InputError):
        load_model(path)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_onnx_are_refused_or_empty(data: bytes) -> None:
    from hybrid_nas.profiling.models.onnx_model import read_onnx

    try:
        model = read_onnx(data, "made-up.onnx")
    except InputError:
        return
    assert isinstance(model.ops, tuple)


@given(
    size=st.integers(4, 64),
    kernel=st.sampled_from((1, 3, 5, 7)),
    stride=st.sampled_from((1, 2)),
    same=st.booleans(),
)
def test_padding_gives_tflites_output_shape(
    size: int, kernel: int, stride: int, same: bool
) -> None:
    # TensorFlow's own rules: ceil(size / stride), and ceil((size - kernel + 1) / stride).
    out = -(-size // stride) if same else -(-(size - kernel + 1) // stride)
    if out < 1:
        return
    total = max(0, (out - 1) * stride + kernel - size) if same else 0
    shape = (size, size, 4)
    found = express(
        Window("dwconv", shape, (out, out, 4), (kernel, kernel), (stride, stride), (total, total))
    )
    assert isinstance(found, OpSpec), found
    assert (found.out_h, found.out_w) == (out, out)
    if total:
        assert abs(2 * found.padding - total) <= 1
    unknown = express(Window("dwconv", shape, (out, out, 4), (kernel, kernel)))
    if isinstance(unknown, OpSpec) and out > 1:
        assert unknown.stride == stride


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"kernel": (10, 4)}, "10x4"),
        ({"stride": (2, 1)}, "2x1"),
        ({"dilation": (2, 2)}, "2x2"),
        ({"out_shape": (6, 6, 8)}, "padding"),
        ({"kind": "dwconv"}, "channels"),
        ({"in_shape": (0, 8, 3)}, "below 1"),
    ],
)
def test_windows_that_an_operator_cannot_express(change: dict[str, object], word: str) -> None:
    window = {"kind": "conv", "in_shape": (16, 16, 3), "out_shape": (8, 8, 8), "kernel": (3, 3)}
    found = express(Window(**{**window, "stride": (2, 2), "padding": (1, 1), **change}))  # type: ignore[arg-type]
    assert isinstance(found, str) and word in found
