"""Every operator of an int8 file by itself: fed with what the integer reference feeds it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybrid_nas.export.onnx_int8 import side_by_side
from hybrid_nas.export.onnx_models import to_bytes
from hybrid_nas.export.onnx_run import OnnxFile
from hybrid_nas.quantise.int8_graph import Int8Graph
from hybrid_nas.quantise.int8_kernels import Int8Array
from hybrid_nas.quantise.int8_reference import run_int8
from hybrid_nas.spaces.opspec import OpSpec


@dataclass(frozen=True)
class NodeDifference:
    """onnxruntime beside the integer reference on equal operands.

    Attributes:
        index: of the operator.
        spec: its shape.
        worst: largest difference, steps.
        share: of values that differ.
    """

    index: int
    spec: OpSpec
    worst: int
    share: float


def node_differences(
    graph: Int8Graph, images: Int8Array, *, integer_kernels: bool = True
) -> tuple[NodeDifference, ...]:
    """Compare each operator.

    Convolutions and dense layers round alike. Additions and averages may be a step off: onnxruntime
    computes them in float.

    Args:
        graph: the network.
        images: as the network reads them, (n, h, w, c).
        integer_kernels: compare onnxruntime's integer kernels, and not its float ones between
            rounding. On x86 processors without VNNI instructions its integer kernels saturate, and
            differ by more than rounding does.

    Raises:
        HybridNasError: onnxruntime cannot run an operator.
    """
    session = OnnxFile(to_bytes(side_by_side(graph)), integer_kernels=integer_kernels)
    outputs = run_int8(graph, images)

    def operand(producer: int) -> Int8Array:
        steps = images if producer < 0 else outputs[producer]
        return steps.transpose(0, 3, 1, 2)

    feed = {}
    for index, spec in enumerate(graph.specs):
        feed[f"input{index}"] = operand(index - spec.source)
        if spec.residual:
            feed[f"second{index}"] = operand(index - spec.residual)
    found = session.each(**feed)
    differences = []
    for index, spec in enumerate(graph.specs):
        wanted = operand(index).astype(np.int64)
        off = np.abs(found[f"output{index}"].reshape(wanted.shape) - wanted)
        differences.append(NodeDifference(index, spec, int(off.max()), float((off > 0).mean())))
    return tuple(differences)
