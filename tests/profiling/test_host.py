"""This computer as a backend: graphs are right, fuse into what is to be timed, and are timed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from hybrid_nas.errors import HybridNasError, InputError
from hybrid_nas.profiling.backend import Backend, Refused, Timed
from hybrid_nas.profiling.host import HostBackend
from hybrid_nas.profiling.host_graph import network_model, ops_model
from hybrid_nas.profiling.host_machine import UNKNOWN_HZ, clock_hz, core_name
from hybrid_nas.profiling.host_session import HostSession
from hybrid_nas.profiling.robust import Rounds
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.spaces.opspec import Dtype, OpSpec
from tests.profiling.backend_contract import BackendContract

QUICK = Rounds(rounds=2, samples=5)
SQUEEZE = (
    OpSpec("conv", 12, 12, 3, 16, 3, 2, 1, "h_swish"),
    OpSpec("dwconv", 6, 6, 16, 16, 5, 1, 2, "relu"),
    OpSpec("avgpool", 6, 6, 16, 16, kernel=0, bias=False),
    OpSpec("dense", 1, 1, 16, 8, activation="relu"),
    OpSpec("dense", 1, 1, 8, 16, activation="h_sigmoid"),
    OpSpec("mul", 6, 6, 16, 16, bias=False, source=4, residual=1),
    OpSpec("conv", 6, 6, 16, 16),
    OpSpec("add", 6, 6, 16, 16, bias=False, residual=7),
    OpSpec("maxpool", 6, 6, 16, 16, 3, 2, 1, bias=False),
    OpSpec("avgpool", 4, 4, 16, 16, 2, 2, bias=False, activation="relu6"),
    OpSpec("avgpool", 2, 2, 16, 16, kernel=0, bias=False),
    OpSpec("dense", 1, 1, 16, 10),
)
"""Every kind of operator; the second last pool reads a 3x3 image that is padded up."""


def as_type(ops: Sequence[OpSpec], dtype: Dtype) -> tuple[OpSpec, ...]:
    return tuple(replace(op, dtype=dtype) for op in ops)


def run(model: onnx.ModelProto, *inputs: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [argument.name for argument in session.get_inputs()]
    return session.run(None, dict(zip(names, inputs, strict=True)))


def in_torch(ops: Sequence[OpSpec], model: onnx.ModelProto, image: np.ndarray) -> np.ndarray:
    """The same network in torch, with the model's weights taken in order."""
    weights = iter(
        torch.from_numpy(numpy_helper.to_array(one).copy())
        for one in model.graph.initializer
        if one.dims and one.data_type == onnx.TensorProto.FLOAT
    )
    functional = torch.nn.functional
    made = [torch.from_numpy(image)]
    for index, op in enumerate(ops):
        x = made[index + 1 - op.source]
        match op.op:
            case "conv" | "dwconv":
                groups = op.cin if op.op == "dwconv" else 1
                x = functional.conv2d(
                    x, next(weights), next(weights), op.stride, op.padding, groups=groups
                )
            case "dense":
                x = functional.linear(x.flatten(1), next(weights), next(weights))[..., None, None]
            case "add":
                x = x + made[index + 1 - op.residual]
            case "mul":
                x = x * made[index + 1 - op.residual]
            case "maxpool":
                x = functional.max_pool2d(x, op.kernel, op.stride, op.padding)
            case "avgpool" if op.kernel == 0:
                x = x.mean((2, 3), keepdim=True)
            case _:
                x = functional.avg_pool2d(x, op.kernel, op.stride, op.padding, ceil_mode=True)
        names = {"h_swish": "hardswish", "h_sigmoid": "hardsigmoid"}
        if op.activation != "none":
            x = getattr(functional, names.get(op.activation, op.activation))(x)
        made.append(x)
    return made[-1].flatten(1).numpy()


class TestHost(BackendContract):
    unsupported = (OpSpec("conv", 2, 2, 4, 4, kernel=5),)  # a window larger than the image

    @pytest.fixture
    def backend(self) -> Iterator[Backend]:
        with HostBackend(QUICK, QUICK) as backend:
            yield backend


def test_a_network_computes_what_torch_does() -> None:
    ops = as_type(SQUEEZE, "float32")
    model = network_model(ops)
    onnx.checker.check_model(model, full_check=True)
    image = np.random.default_rng(1).normal(size=(1, 3, 12, 12)).astype(np.float32)
    np.testing.assert_allclose(run(model, image)[0], in_torch(ops, model, image), atol=1e-4)


def test_a_quantised_network_computes_what_its_text_says() -> None:
    """Against ONNX's reference evaluator, which does not fuse: rounding may differ by a step."""
    model = network_model(SQUEEZE)
    onnx.checker.check_model(model, full_check=True)
    image = np.random.default_rng(2).integers(0, 256, (1, 12, 12, 3), np.uint8)
    found = run(model, image)[0].astype(int)
    model.opset_import[0].version = 19  # the evaluator has no earlier DequantizeLinear
    expected = ReferenceEvaluator(model).run(None, {"input": image})[0].astype(int)
    assert found.shape == (1, 10)
    assert len(set(found[0].tolist())) > 5  # neither saturated nor dead
    assert np.abs(found - expected).max() <= 3


def kernels(tmp_path: Path, model: onnx.ModelProto) -> Counter[str]:
    """Kinds of kernels in onnxruntime's optimised model."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)


def test_an_int8_network_is_integer_kernels_alone(tmp_path: Path) -> None:
    """One for each operator: no conversion, and no change of layout but that of a single pixel."""
    space = load_space("mcunet")
    ops = space.architecture(space.sample(1, np.random.default_rng(0))[0]).ops
    kinds = Counter(op.op for op in ops)
    assert kernels(tmp_path, network_model(ops)) == Counter(
        QLinearConv=kinds["conv"] + kinds["dwconv"],
        QLinearAdd=kinds["add"],
        QLinearGlobalAveragePool=1,
        QGemm=1,
        Transpose=1,
        Flatten=1,
    )


@pytest.mark.parametrize(
    ("op", "kernel"),
    [
        (OpSpec("conv", 8, 8, 16, 32, activation="relu6"), "QLinearConv"),
        (OpSpec("dwconv", 8, 8, 16, 16, 3, 2, 1, "relu6"), "QLinearConv"),
        (OpSpec("add", 8, 8, 16, 16, bias=False, residual=3), "QLinearAdd"),
        (OpSpec("mul", 8, 8, 16, 16, bias=False, residual=1), "QLinearMul"),
        (OpSpec("avgpool", 8, 8, 16, 16, kernel=0, bias=False), "QLinearGlobalAveragePool"),
        (OpSpec("maxpool", 8, 8, 16, 16, 3, 2, 1, bias=False), "MaxPool"),
        (OpSpec("dense", 1, 1, 16, 32), "QGemm"),
    ],
    ids=lambda value: value.op if isinstance(value, OpSpec) else value,
)
def test_an_int8_operator_is_its_kernel_alone(tmp_path: Path, op: OpSpec, kernel: str) -> None:
    found = kernels(tmp_path, ops_model([op] * 3))
    if op.op in ("avgpool", "maxpool"):  # onnxruntime leaves lone pools channels first
        del found["Transpose"]
    assert found == {kernel: 3}


@st.composite
def operators(draw: st.DrawFn) -> OpSpec:
    """Any operator that spaces can have, small."""
    kind = draw(st.sampled_from(["conv", "dwconv", "dense", "add", "mul", "avgpool", "maxpool"]))
    h, w, cin = (draw(st.integers(1, 9)) for _ in range(3))
    act = draw(st.sampled_from(["none", "relu", "relu6", "h_swish", "h_sigmoid"]))
    dtype = draw(st.sampled_from(["int8", "float32"]))
    kernel = draw(st.sampled_from([1, 3, 5, 7]))
    stride, window = draw(st.integers(1, 2)), (kernel, kernel // 2)
    bias = draw(st.booleans())
    cout = draw(st.integers(1, 9)) if kind in ("conv", "dense") else cin
    if kind == "dense":
        return OpSpec("dense", 1, 1, cin, cout, activation=act, bias=bias, dtype=dtype)
    if kind in ("add", "mul"):
        return OpSpec(kind, h, w, cin, cin, activation=act, bias=False, dtype=dtype, residual=2)
    if kind == "avgpool" and draw(st.booleans()):
        return OpSpec(kind, h, w, cin, cin, kernel=0, activation=act, bias=False, dtype=dtype)
    return OpSpec(kind, h, w, cin, cout, window[0], stride, window[1], act, bias, dtype)


@settings(max_examples=60, deadline=None)
@given(operators())
def test_any_operator_runs_and_has_the_shape_it_says(op: OpSpec) -> None:
    model = ops_model([op])
    sizes = [
        [dim.dim_value for dim in argument.type.tensor_type.shape.dim]
        for argument in model.graph.input
    ]
    inputs = [np.ones(size, np.uint8 if op.dtype == "int8" else np.float32) for size in sizes]
    found = run(model, *inputs)[0]
    channels_last = op.dtype == "int8"
    pixels = (op.out_h, op.out_w)
    shape = (*pixels, op.cout) if channels_last else (op.cout, *pixels)
    assert found.shape == ((1, op.cout) if op.op == "dense" else (1, *shape))


@pytest.mark.parametrize(
    ("ops", "message"),
    [
        ((), "one type of values .got no operator"),
        ((SQUEEZE[0], replace(SQUEEZE[1], dtype="float32")), "got float32, int8"),
        ((SQUEEZE[0], replace(SQUEEZE[1], cin=8, cout=8)), r"operator 1 .* makes \(16, 6, 6\)"),
        ((replace(SQUEEZE[0], source=2),), "operator 0 .* operator -2"),
        ((OpSpec("add", 4, 4, 8, 8, bias=False),), "two operands"),
    ],
)
def test_networks_that_do_not_fit_together_are_refused(
    ops: tuple[OpSpec, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        network_model(ops)


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_operators_and_networks_are_timed(dtype: Dtype) -> None:
    small = OpSpec("conv", 8, 8, 16, 16, dtype=dtype)
    large = OpSpec("conv", 64, 64, 64, 64, dtype=dtype)  # 256 times the work
    with HostBackend(QUICK, QUICK) as backend:
        answers = list(backend.measure([small, large]))
        network = backend.measure_network([large, large])
    assert all(isinstance(answer, Timed) for answer in answers)
    found = {answer.op: answer.measurement for answer in answers}
    assert found.keys() == {small, large}
    assert found[large].value > 10 * found[small].value > 0
    assert network.value > found[large].value
    assert all(1 <= one.count <= QUICK.rounds * QUICK.samples for one in found.values())


def test_what_onnxruntime_cannot_run_is_refused_and_the_rest_is_timed() -> None:
    bad = OpSpec("conv", 2, 2, 4, 4, kernel=5)  # a window larger than the image
    good = OpSpec("conv", 4, 4, 4, 4)
    with HostBackend(QUICK, QUICK) as backend:
        answers = {type(answer): answer for answer in backend.measure([bad, good])}
        with pytest.raises(InputError, match="no output"):
            backend.measure_network([bad])
    assert answers[Refused].op == bad
    assert answers[Refused].reason == "conv with kernel 5, stride 1 on 2x2 pixels has no output"
    assert answers[Timed].op == good


def test_the_identity_is_complete_and_stays_the_same() -> None:
    with HostBackend() as one, HostBackend() as other:
        assert one.identity == other.identity
    identity = one.identity
    assert (identity.board, identity.runtime, identity.unit) == ("host", "onnxruntime", "us")
    assert identity.runtime_version == onnxruntime.__version__
    assert identity.clock_hz > 0 and identity.core
    assert (one.kind, identity.placement, identity.cache) == ("measured", "ram", "warm")
    one.close()


def test_profiles_count_the_runs_since_the_session_was_opened(tmp_path: Path) -> None:
    session = HostSession(ops_model([OpSpec("conv", 32, 32, 32, 32)] * 2), tmp_path / "p")
    for _ in range(3):
        session.run()
    profile = session.end_profile()
    assert profile.us.shape == (3,) and (profile.us > 0).all()
    assert profile.nodes == 2
    assert not list(tmp_path.iterdir())


def test_a_model_that_is_none_is_one_line() -> None:
    with pytest.raises(HybridNasError, match=r"^onnxruntime: [^\n]+$"):
        HostSession(onnx.ModelProto())


def test_the_processor_is_read_from_where_linux_writes_it(tmp_path: Path) -> None:
    cpuinfo, highest = tmp_path / "cpuinfo", tmp_path / "khz"
    cpuinfo.write_text("model name\t: Fast  CPU\ncpu MHz\t\t: 2596.134\nmodel name\t: Other\n")
    assert core_name(cpuinfo) == "Fast CPU"
    assert clock_hz(cpuinfo, highest) == 2_600_000_000
    highest.write_text("4200000\n")
    assert clock_hz(cpuinfo, highest) == 4_200_000_000
    absent = tmp_path / "absent"
    assert clock_hz(absent, absent) == UNKNOWN_HZ
    assert core_name(absent)
