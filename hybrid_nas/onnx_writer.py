"""Writing ONNX graphs node by node: what all writers of this package have in common.

Names say what is where: a writer that gives none gets ``t0``, ``t1`` for tensors and ``w0``, ``w1``
for constants. A node has the name of the tensor it makes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from hybrid_nas.spaces.opspec import Activation, OpSpec

OPSET = 17
_IR_VERSION = 10
"""Of opset 20: later than opset 17 needs, and read by all versions of onnxruntime from 1.18 on."""

Shape = Sequence[int | str | None]


@dataclass(frozen=True)
class Wire:
    """A tensor between operators.

    Attributes:
        name: in the graph.
        shape: (channels, height, width).
        flat: whether it has the shape (1, channels), as dense layers write it, and not
            (1, channels, height, width).
    """

    name: str
    shape: tuple[int, int, int]
    flat: bool = False


class OnnxWriter:
    """Collects nodes and constants; methods that add some return the name of the tensor made."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    # -- the model

    def input(self, name: str, dtype: int, shape: Shape) -> str:
        """Declare an input; `dtype` is one of ``TensorProto``, a word in `shape` a free size."""
        self._inputs.append(helper.make_tensor_value_info(name, dtype, list(shape)))
        return name

    def output(self, name: str, dtype: int, shape: Shape) -> None:
        """Declare that the tensor of that name is an output."""
        self._outputs.append(helper.make_tensor_value_info(name, dtype, list(shape)))

    def model(self, name: str) -> onnx.ModelProto:
        """What was written, as a model of opset `OPSET`."""
        graph = helper.make_graph(self._nodes, name, self._inputs, self._outputs, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = _IR_VERSION
        return model

    # -- nodes

    def node(
        self, kind: str, *inputs: str, name: str = "", unused: int = 0, **attributes: Any
    ) -> str:
        """Append a node; what it makes after its first output, `unused` tensors, is not given."""
        name = name or f"t{len(self._nodes)}"
        outputs = [name, *(f"{name}_unused{number}" for number in range(unused))]
        self._nodes.append(helper.make_node(kind, list(inputs), outputs, name, **attributes))
        return name

    def constant(self, array: Any, name: str = "") -> str:
        """Store an array, or a NumPy scalar."""
        name = name or f"w{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def flatten(self, x: str, name: str = "") -> str:
        """(n, c, h, w) as (n, c h w)."""
        return self.node("Flatten", x, name=name, axis=1)

    def pooled(self, x: str) -> str:
        """Mean of all pixels, (n, c, 1, 1)."""
        return self.node("GlobalAveragePool", x)

    def shaped(self, wire: Wire, *, flat: bool) -> str:
        """The tensor of `wire`, with two axes if `flat`, and with four if not."""
        if flat == wire.flat:
            return wire.name
        if flat:
            return self.flatten(wire.name)
        return self.node("Reshape", wire.name, self.constant(np.array([1, -1, 1, 1])))

    def conv(
        self,
        x: str,
        weight: str,
        bias: Sequence[str],
        *,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
    ) -> str:
        """A convolution with a square window; `bias` names one tensor or none."""
        return self.node(
            "Conv",
            *(x, weight, *bias),
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[padding] * 4,
            group=groups,
        )

    def gemm(self, x: str, weight: str, bias: Sequence[str] = (), *, name: str = "") -> str:
        """A dense layer: `x` (n, cin), `weight` (cout, cin); `bias` names one tensor or none."""
        return self.node("Gemm", x, weight, *bias, name=name, transB=1)

    def activation(self, kind: Activation, x: str) -> str:
        """`x` itself where there is none."""
        match kind:
            case "relu":
                return self.node("Relu", x)
            case "relu6":
                limits = (self.constant(np.float32(0)), self.constant(np.float32(6)))
                return self.node("Clip", x, *limits)
            case "h_swish":
                return self.node("HardSwish", x)
            case "h_sigmoid":
                return self.node("HardSigmoid", x, alpha=1 / 6, beta=0.5)
            case "none":
                return x

    def operator(
        self, spec: OpSpec, x: str, *operands: str, size: tuple[int, int] | None = None
    ) -> str:
        """An operator without its activation.

        Args:
            spec: its shape.
            x: what it reads, (1, c) of a dense layer and (1, c, h, w) otherwise.
            operands: the second operand of ``add`` and ``mul``; weight (cout, cin / groups, k, k)
                or (cout, cin), and bias if there is one, where there are weights.
            size: height and width that `x` has. An odd image that is pooled without a rest has one
                row and column less than `spec` says.
        """
        match spec.op:
            case "conv" | "dwconv":
                weight, *bias = operands
                return self.conv(
                    x,
                    weight,
                    bias,
                    kernel=spec.kernel,
                    stride=spec.stride,
                    padding=spec.padding,
                    groups=spec.cin if spec.op == "dwconv" else 1,
                )
            case "dense":
                weight, *bias = operands
                return self.gemm(x, weight, bias)
            case "add":
                return self.node("Add", x, *operands)
            case "mul":
                return self.node("Mul", x, *operands)
            case "avgpool" | "maxpool":
                return self._pool(spec, x, size or (spec.h, spec.w))

    def _pool(self, spec: OpSpec, x: str, size: tuple[int, int]) -> str:
        kind = "AveragePool" if spec.op == "avgpool" else "MaxPool"
        if spec.kernel == 0:
            return self.node(f"Global{kind}", x)
        begin, p = [spec.padding] * 2, spec.padding
        end = [p + spec.h - size[0], p + spec.w - size[1]]
        window, step = [spec.kernel] * 2, [spec.stride] * 2
        return self.node(kind, x, kernel_shape=window, strides=step, pads=[*begin, *end])
