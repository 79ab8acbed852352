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
from onnx import TensorProto

from hybrid_nas.errors import InputError
from hybrid_nas.onnx_writer import OnnxWriter, Wire
from hybrid_nas.spaces.opspec import OpSpec

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


@dataclass(frozen=True, kw_only=True)
class Tensor(Wire):
    """A tensor of the graph, with its scale where it is uint8."""

    scale: Scale


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
    """Writes operators with random weights into one model."""

    def __init__(self, dtype: str) -> None:
        self._quantised = dtype == "int8"
        self._graph = OnnxWriter()
        self._rng = np.random.default_rng(_SEED)

    # -- borders

    def input(self, name: str, shape: tuple[int, int, int], flat: bool = False) -> Tensor:
        self._graph.input(name, self._type, self._outside(shape, flat))
        if self._quantised and not flat:
            name = self._graph.node("Transpose", name, perm=[0, 3, 1, 2])
        return Tensor(name, shape, flat, scale=_SCALES["none"])

    def output(self, tensor: Tensor, name: str) -> None:
        if self._quantised and not tensor.flat:
            self._graph.node("Transpose", tensor.name, name=name, perm=[0, 2, 3, 1])
        else:
            self._graph.node("Identity", tensor.name, name=name)
        self._graph.output(name, self._type, self._outside(tensor.shape, tensor.flat))

    def _outside(self, shape: tuple[int, int, int], flat: bool) -> list[int]:
        channels, *pixels = shape
        if flat:
            return [1, channels]
        return [1, *pixels, channels] if self._quantised else [1, *shape]

    @property
    def _type(self) -> int:
        return TensorProto.UINT8 if self._quantised else TensorProto.FLOAT

    def model(self) -> onnx.ModelProto:
        return self._graph.model("operators")

    # -- quantisation

    def _read(self, tensor: Tensor, flat: bool = False) -> str:
        """What an operator computes with: the tensor's values, as floats in the graph."""
        name = self._graph.shaped(tensor, flat=flat)
        if not self._quantised:
            return name
        return self._graph.node("DequantizeLinear", name, *self._parameters(tensor.scale))

    def _parameters(self, scale: Scale) -> tuple[str, str]:
        constant = self._graph.constant
        return constant(np.float32(scale.step)), constant(np.uint8(scale.zero))

    def _per_channel(self, values: Any, steps: Any) -> str:
        """Constants with a step for each of the first axis, dequantised."""
        stored = (values, steps, np.zeros(len(steps), values.dtype))
        names = (self._graph.constant(array) for array in stored)
        return self._graph.node("DequantizeLinear", *names, axis=0)

    def _weight(self, shape: tuple[int, ...], fan_in: int) -> tuple[str, Any]:
        """Weights whose first axis is the output channel, and their steps, (cout,)."""
        values = self._rng.integers(-127, 128, shape, np.int8)
        steps = self._rng.uniform(0.8, 1.2, shape[0]) * np.sqrt(2 / fan_in) / 73  # 73: sd of values
        steps = steps.astype(np.float32)
        if not self._quantised:
            real = values * steps.reshape(-1, *[1] * (len(shape) - 1))
            return self._graph.constant(real.astype(np.float32)), steps
        return self._per_channel(values, steps), steps

    def _bias(self, steps: Any, data: Tensor) -> str:
        values = self._rng.uniform(-0.5, 0.5, len(steps))
        if not self._quantised:
            return self._graph.constant(values.astype(np.float32))
        scale = (steps * np.float32(data.scale.step)).astype(np.float32)
        return self._per_channel(np.round(values / scale).astype(np.int32), scale)

    # -- operators

    def op(self, op: OpSpec, data: Tensor, second: Tensor | None) -> Tensor:
        """Append an operator with its activation; `second` is the other operand of add and mul."""
        if min(op.out_h, op.out_w) < 1:
            raise InputError(
                f"{op.op} with kernel {op.kernel}, stride {op.stride} on {op.h}x{op.w} pixels has "
                "no output"
            )
        flat, scale = op.op == "dense", _SCALES[op.activation]
        if op.op in ("avgpool", "maxpool") and op.activation == "none":
            scale = data.scale
        x = self._read(data, flat)
        operands = self._operands(op, data, second)
        x = self._graph.operator(op, x, *operands, size=data.shape[1:])
        x = self._graph.activation(op.activation, x)
        if self._quantised:
            x = self._graph.node("QuantizeLinear", x, *self._parameters(scale))
        return Tensor(x, (op.cout, op.out_h, op.out_w), flat, scale=scale)

    def _operands(self, op: OpSpec, data: Tensor, second: Tensor | None) -> list[str]:
        """What an operator reads besides `data`."""
        if op.op in ("add", "mul"):
            if second is None:
                raise InputError(f"{op.op} has two operands: its residual must not be 0")
            return [self._read(second)]
        if not op.weights:
            return []
        fan_in = op.weights // op.cout
        filters = () if op.op == "dense" else (op.kernel, op.kernel)
        weight, steps = self._weight((op.cout, fan_in // op.kernel**2, *filters), fan_in)
        return [weight, self._bias(steps, data)] if op.bias else [weight]
