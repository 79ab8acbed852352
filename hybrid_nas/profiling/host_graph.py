"""Operators as ONNX models for onnxruntime: one, several side by side, or wired as a network.

``int8`` operators are written in QDQ form (dequantise, compute, quantise), which onnxruntime fuses
into integer kernels: activations are uint8, weights int8 with a scale per output channel. (With
int8 activations it leaves convolutions unfused on x86.) ``float32`` operators are written plainly.
Inputs and outputs have the type of the activations, and int8 models are channels last outside:
integer kernels compute in that layout, and onnxruntime cancels the transpositions written here
against its own, so that nothing is converted at the borders. float32 models are channels first (the
blocked layout of those kernels cannot be written in ONNX). Batch size 1. Weights are random: they
do not change the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hybrid_nas.errors import InputError
from hybrid_nas.spaces.opspec import OpSpec

OPSET = 17
_IR_VERSION = 10
_SEED = 0


@dataclass(frozen=True)
class Scale:
    """Value of one step of a uint8 tensor, and the number that stands for zero."""

    step: float
    zero: int


_SCALES = {
    "none": Scale(16 / 255, 128),
    "h_swish": Scale(16 / 255, 128),
    "relu": Scale(6 / 255, 0),
    "relu6": Scale(6 / 255, 0),
    "h_sigmoid": Scale(1 / 255, 0),
}
"""Scale of a tensor by the activation that made it; the clamp of ReLU and ReLU6 is then free."""


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph: its name, (channels, height, width), and scale where it is uint8.

    ``flat`` tensors have the shape (1, channels) instead of (1, channels, 1, 1).
    """

    name: str
    shape: tuple[int, int, int]
    scale: Scale
    flat: bool = False


def network_model(ops: Sequence[OpSpec]) -> onnx.ModelProto:
    """A network; ``input`` is what the first operator reads, ``output`` what the last one makes.

    Raises:
        InputError: there is no operator, types of values are mixed, an operator has no output, or
            reads a tensor of another shape than its producer's output.
    """
    writer = _Writer(_one_dtype(ops))
    tensors = [writer.input("input", _input_shape(ops[0]))]
    for index, op in enumerate(ops):
        data = _producer(tensors, index, op, op.source)
        second = _producer(tensors, index, op, op.residual) if op.residual else None
        tensors.append(writer.op(op, data, second))
    writer.output(tensors[-1], "output")
    return writer.model()


def ops_model(ops: Sequence[OpSpec]) -> onnx.ModelProto:
    """Operators side by side, each with inputs, weights and an output of its own.

    Raises:
        InputError: there is no operator, types of values are mixed, or an operator has no output.
    """
    writer = _Writer(_one_dtype(ops))
    for index, op in enumerate(ops):
        data = writer.input(f"input{index}", _input_shape(op), flat=op.op == "dense")
        second = None
        if op.op in ("add", "mul"):
            shape = _input_shape(op) if op.op == "add" else (op.cin, 1, 1)
            second = writer.input(f"second{index}", shape)
        writer.output(writer.op(op, data, second), f"output{index}")
    return writer.model()


def _one_dtype(ops: Sequence[OpSpec]) -> str:
    dtypes = {op.dtype for op in ops}
    if len(dtypes) != 1:
        raise InputError(
            "a model must have operators of one type of values "
            f"(got {', '.join(sorted(dtypes)) or 'no operator'})"
        )
    return dtypes.pop()


def _input_shape(op: OpSpec) -> tuple[int, int, int]:
    return op.cin, op.h, op.w


def _producer(tensors: Sequence[Tensor], index: int, op: OpSpec, distance: int) -> Tensor:
    """The tensor `distance` operators back, checked to be what `op` reads."""
    if not 1 <= distance <= index + 1:
        raise InputError(
            f"operator {index} ({op.op}) reads the output of operator {index - distance}: "
            "operands come from earlier operators, or from the input (-1)"
        )
    tensor = tensors[index + 1 - distance]
    wanted = {_input_shape(op)}
    if op.op == "mul" and distance == op.residual:
        wanted = {(op.cin, 1, 1)}
    if op.op == "avgpool" and op.kernel:  # an odd image is padded up, see BottleneckBlock
        wanted |= {(op.cin, op.h - dh, op.w - dw) for dh in (0, 1) for dw in (0, 1)}
    if tensor.shape not in wanted:
        raise InputError(
            f"operator {index} ({op.op}) reads (channels, height, width) {_input_shape(op)}; its "
            f"producer (operator {index - distance}) makes {tensor.shape}"
        )
    return tensor


class _Writer:
    """Collects nodes and weights of one model."""

    def __init__(self, dtype: str) -> None:
        self._quantised = dtype == "int8"
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._rng = np.random.default_rng(_SEED)

    # -- tensors and nodes

    def input(self, name: str, shape: tuple[int, int, int], flat: bool = False) -> Tensor:
        channels, *pixels = shape
        if flat:
            outside = [1, channels]
        elif self._quantised:
            outside = [1, *pixels, channels]
        else:
            outside = [1, *shape]
        self._inputs.append(helper.make_tensor_value_info(name, self._type, outside))
        if self._quantised and not flat:
            name = self._node("Transpose", name, perm=[0, 3, 1, 2])
        return Tensor(name, shape, _SCALES["none"], flat)

    def output(self, tensor: Tensor, name: str) -> None:
        channels, *pixels = tensor.shape
        outside = [1, *tensor.shape]
        if tensor.flat:
            outside = [1, channels]
            self._nodes.append(helper.make_node("Identity", [tensor.name], [name]))
        elif self._quantised:
            outside = [1, *pixels, channels]
            self._nodes.append(
                helper.make_node("Transpose", [tensor.name], [name], perm=[0, 2, 3, 1])
            )
        else:
            self._nodes.append(helper.make_node("Identity", [tensor.name], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, self._type, outside))

    @property
    def _type(self) -> int:
        return TensorProto.UINT8 if self._quantised else TensorProto.FLOAT

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(
            self._nodes, "operators", self._inputs, self._outputs, self._weights
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = _IR_VERSION
        return model

    def _node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], name, **attributes))
        return name

    def _constant(self, array: Any) -> str:
        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    # -- quantisation

    def _read(self, tensor: Tensor, flat: bool = False) -> str:
        """What an operator computes with: the tensor's values, as floats in the graph."""
        name = tensor.name
        if flat and not tensor.flat:
            name = self._node("Flatten", name)
        elif tensor.flat and not flat:
            name = self._node("Reshape", name, self._constant(np.array([1, -1, 1, 1])))
        if not self._quantised:
            return name
        return self._node("DequantizeLinear", name, *self._parameters(tensor.scale))

    def _parameters(self, scale: Scale) -> tuple[str, str]:
        return self._constant(np.float32(scale.step)), self._constant(np.uint8(scale.zero))

    def _weight(self, shape: tuple[int, ...], fan_in: int) -> tuple[str, Any]:
        """Weights whose first axis is the output channel, and their steps, (cout,)."""
        values = self._rng.integers(-127, 128, shape, np.int8)
        steps = self._rng.uniform(0.8, 1.2, shape[0]) * np.sqrt(2 / fan_in) / 73  # 73: sd of values
        steps = steps.astype(np.float32)
        if not self._quantised:
            real = values * steps.reshape(-1, *[1] * (len(shape) - 1))
            return self._constant(real.astype(np.float32)), steps
        zeros = np.zeros(shape[0], np.int8)
        stored = (self._constant(values), self._constant(steps), self._constant(zeros))
        return self._node("DequantizeLinear", *stored, axis=0), steps

    def _bias(self, steps: Any, data: Tensor) -> str:
        values = self._rng.uniform(-0.5, 0.5, len(steps))
        if not self._quantised:
            return self._constant(values.astype(np.float32))
        scale = (steps * np.float32(data.scale.step)).astype(np.float32)
        stored = np.round(values / scale).astype(np.int32)
        zeros = np.zeros(len(steps), np.int32)
        inputs = (self._constant(stored), self._constant(scale), self._constant(zeros))
        return self._node("DequantizeLinear", *inputs, axis=0)

    # -- operators

    def op(self, op: OpSpec, data: Tensor, second: Tensor | None) -> Tensor:
        """Append an operator with its activation; `second` is the other operand of add and mul."""
        if min(op.out_h, op.out_w) < 1:
            raise InputError(
                f"{op.op} with kernel {op.kernel}, stride {op.stride} on {op.h}x{op.w} pixels has "
                "no output"
            )
        flat = op.op == "dense"
        x = self._read(data, flat)
        scale = _SCALES[op.activation]
        match op.op:
            case "conv" | "dwconv":
                x = self._conv(op, x, data)
            case "dense":
                weight, steps = self._weight((op.cout, op.cin), op.cin)
                bias = [self._bias(steps, data)] if op.bias else []
                x = self._node("Gemm", x, weight, *bias, transB=1)
            case "add" | "mul":
                if second is None:
                    raise InputError(f"{op.op} has two operands: its residual must not be 0")
                x = self._node("Add" if op.op == "add" else "Mul", x, self._read(second))
            case "avgpool" | "maxpool":
                x = self._pool(op, x, data)
                if op.activation == "none":
                    scale = data.scale
        x = self._activation(op.activation, x)
        if self._quantised:
            x = self._node("QuantizeLinear", x, *self._parameters(scale))
        return Tensor(x, (op.cout, op.out_h, op.out_w), scale, flat)

    def _conv(self, op: OpSpec, x: str, data: Tensor) -> str:
        groups = op.cin if op.op == "dwconv" else 1
        fan_in = op.cin // groups * op.kernel**2
        weight, steps = self._weight((op.cout, op.cin // groups, op.kernel, op.kernel), fan_in)
        bias = [self._bias(steps, data)] if op.bias else []
        return self._node(
            "Conv",
            *(x, weight, *bias),
            kernel_shape=[op.kernel] * 2,
            strides=[op.stride] * 2,
            pads=[op.padding] * 4,
            group=groups,
        )

    def _pool(self, op: OpSpec, x: str, data: Tensor) -> str:
        kind = "AveragePool" if op.op == "avgpool" else "MaxPool"
        if op.kernel == 0:
            return self._node(f"Global{kind}", x)
        _, height, width = data.shape
        begin, p = [op.padding] * 2, op.padding
        end = [p + op.h - height, p + op.w - width]
        window, step = [op.kernel] * 2, [op.stride] * 2
        return self._node(kind, x, kernel_shape=window, strides=step, pads=[*begin, *end])

    def _activation(self, kind: str, x: str) -> str:
        match kind:
            case "relu":
                return self._node("Relu", x)
            case "relu6":
                limits = (self._constant(np.float32(0)), self._constant(np.float32(6)))
                return self._node("Clip", x, *limits)
            case "h_swish":
                return self._node("HardSwish", x)
            case "h_sigmoid":
                return self._node("HardSigmoid", x, alpha=1 / 6, beta=0.5)
            case _:
                return x
