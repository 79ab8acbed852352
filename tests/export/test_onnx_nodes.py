"""Every operator in onnxruntime against the integer reference, on equal operands."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from hybrid_nas.export import onnx_nodes
from hybrid_nas.export.onnx_int8 import needed_activation, side_by_side
from hybrid_nas.export.onnx_nodes import node_differences
from hybrid_nas.quantise.int8_graph import Int8Graph, Int8Op
from hybrid_nas.quantise.int8_reference import int8_image
from hybrid_nas.quantise.scheme import Affine
from hybrid_nas.spaces.opspec import Activation, OpSpec
from tests.export.onnx_networks import exported
from tests.quantise.networks import grey_levels


def saturates() -> bool:
    """Whether onnxruntime's integer kernels lose carries here, as on x86 without VNNI."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return False
    information = Path("/proc/cpuinfo")
    return not information.exists() or "vnni" not in information.read_text()


INTEGERS = pytest.mark.skipif(saturates(), reason="8-bit products saturate without VNNI")


@pytest.mark.parametrize(
    ("space", "seed", "integer_kernels"),
    [
        pytest.param("mcunet", 0, True, marks=INTEGERS),
        pytest.param("mcunet", 1, True, marks=INTEGERS),
        pytest.param("ofa-proxyless-w1.3", 0, True, marks=INTEGERS),
        ("mcunet", 1, False),
    ],
)
def test_operators_are_within_a_step(space: str, seed: int, integer_kernels: bool) -> None:
    graph = exported(space, seed).graph
    assert graph is not None
    images = int8_image(grey_levels(graph.input_shape, 1, seed))
    found = node_differences(graph, images, integer_kernels=integer_kernels)
    assert [one.spec for one in found] == list(graph.specs)
    assert max(one.worst for one in found) <= 1
    for one in found:
        if integer_kernels and one.spec.op in ("conv", "dwconv", "dense"):
            assert one.share == 0, one
        # additions in float against 21 bits; means of few pixels often end in a half
        share = 1.0 if one.spec.op == "avgpool" else max(0.01, 2 / one.spec.out_elements)
        assert one.share <= share, one


def operators(activation: Activation, output: Affine) -> Int8Graph:
    """All kinds of operators with outputs that reach beyond what the activation lets through."""
    random = np.random.default_rng(0)
    image, wide = Affine(2 / 255, 0), Affine(0.05, -20)

    def weighted(spec: OpSpec, shape: tuple[int, ...], out: Affine, source: Affine) -> Int8Op:
        scales = random.uniform(0.002, 0.01, spec.cout).astype(np.float32)
        bias = np.rint(random.normal(size=spec.cout) * 2 / (source.scale * scales))
        weight = random.integers(-127, 128, shape).astype(np.int8)
        return Int8Op(spec, out, weight, scales, bias.astype(np.int32))

    conv = OpSpec("conv", 9, 9, 3, 8, 3, 1, 1, activation)
    ops = (
        weighted(conv, (8, 3, 3, 3), output, image),
        weighted(OpSpec("dwconv", 9, 9, 8, 8, 5, 1, 2, activation), (5, 5, 8), wide, output),
        Int8Op(OpSpec("add", 9, 9, 8, 8, bias=False, residual=2, activation=activation), output),
        Int8Op(OpSpec("maxpool", 9, 9, 8, 8, 3, 2, 1, activation, bias=False), output),
        Int8Op(OpSpec("avgpool", 5, 5, 8, 8, 2, 1, 0, activation, bias=False), output),
        Int8Op(OpSpec("avgpool", 4, 4, 8, 8, 0, bias=False), output),
        weighted(OpSpec("dense", 1, 1, 8, 10, activation=activation), (10, 8), wide, output),
    )
    return Int8Graph((9, 9, 3), image, ops)


@pytest.mark.parametrize("integer_kernels", [pytest.param(True, marks=INTEGERS), False])
@pytest.mark.parametrize("activation", ["none", "relu", "relu6"])
@pytest.mark.parametrize("output", [Affine(0.06, -30), Affine(0.02, -128)])
def test_clamps_that_bite(activation: Activation, output: Affine, integer_kernels: bool) -> None:
    graph = operators(activation, output)
    images = int8_image(grey_levels(graph.input_shape, 3))
    found = node_differences(graph, images, integer_kernels=integer_kernels)
    assert max(one.worst for one in found) <= 1
    written = {needed_activation(op) for op in graph.ops}
    assert written == ({"none", activation} if activation != "none" else {"none"})


def test_a_wrong_scale_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison is of the file's own scales with the graph's."""
    graph = operators("none", Affine(0.06, -30))

    def coarser(one: Int8Graph) -> onnx.ModelProto:
        changed = replace(one.ops[0], output=Affine(0.12, -30))
        return side_by_side(replace(one, ops=(changed, *one.ops[1:])))

    monkeypatch.setattr(onnx_nodes, "side_by_side", coarser)
    found = onnx_nodes.node_differences(graph, int8_image(grey_levels(graph.input_shape, 2)))
    assert found[0].worst > 10
