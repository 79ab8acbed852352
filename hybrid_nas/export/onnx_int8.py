"""A network's operators in int8 as ONNX nodes in QDQ form: dequantise, compute, quantise.

Scales and zero points are those of `Int8Graph`, to the bit; weights are int8 with one scale per
output channel (axis 0), biases int32. A runtime with integer kernels fuses each operator into one
of them; one without computes the same in float, and can differ from the reference by one step where
a value lies between two.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
from onnx import TensorProto

from hybrid_nas.export.onnx_float import output_wire, wire_up
from hybrid_nas.onnx_writer import OnnxWriter, Wire
from hybrid_nas.quantise.int8_graph import Int8Graph, Int8Op
from hybrid_nas.quantise.int8_kernels import Int8Array, Integers
from hybrid_nas.quantise.requantise import clamp_of
from hybrid_nas.quantise.scheme import Q_MAX, Q_MIN, Affine
from hybrid_nas.spaces.opspec import Activation
from hybrid_nas.typing import Float32Array

_LEVEL_OF_ZERO = 128


class Int8Writer:
    """Writes the operators of one graph."""

    def __init__(self, writer: OnnxWriter, graph: Int8Graph) -> None:
        self._writer, self._graph = writer, graph

    def image(self, image: Wire) -> Wire:
        """Grey levels u, uint8, as the int8 steps u - 128 that the network reads."""
        affine, constant = self._graph.input, self._writer.constant
        scale = constant(np.float32(affine.scale))
        levels = constant(np.uint8(affine.zero + _LEVEL_OF_ZERO))
        real = self._writer.node("DequantizeLinear", image.name, scale, levels)
        return Wire(self._quantised(real, affine), image.shape)

    def write(self, image: Wire) -> list[Wire]:
        """Outputs of all operators, int8, on an int8 image."""
        return wire_up(self._graph.specs, image, self.operator)

    def operator(self, index: int, x: Wire, second: tuple[Wire, ...]) -> Wire:
        """Output of operator `index`, int8, of int8 operands."""
        op = self._graph.ops[index]
        inlet = self.real(x, index - op.spec.source, flat=op.spec.op == "dense")
        operands = [self.real(wire, index - op.spec.residual, flat=False) for wire in second]
        operands += self._weights(index, op)
        y = self._writer.operator(op.spec, inlet, *operands, size=x.shape[1:])
        y = self._writer.activation(needed_activation(op), y)
        return output_wire(op.spec, self._quantised(y, op.output))

    def real(self, wire: Wire, index: int, *, flat: bool) -> str:
        """What the output of operator `index` (-1: the image) stands for, in two axes if `flat`.

        Every reader has a node of its own, as fusing into integer kernels asks for.
        """
        steps, scheme = (
            self._writer.shaped(wire, flat=flat),
            self._scheme(self._graph.affine(index)),
        )
        return self._writer.node("DequantizeLinear", steps, *scheme)

    def _quantised(self, real: str, affine: Affine) -> str:
        return self._writer.node("QuantizeLinear", real, *self._scheme(affine))

    def _scheme(self, affine: Affine) -> tuple[str, str]:
        constant = self._writer.constant
        return constant(np.float32(affine.scale)), constant(np.int8(affine.zero))

    def _weights(self, index: int, op: Int8Op) -> list[str]:
        if op.weight is None or op.scales is None or op.bias is None:
            return []
        bias_scales = np.float32(self._graph.source(index).scale) * op.scales
        return [
            self._per_channel(_onnx_layout(op.spec.op, op.weight), op.scales, f"op{index}_weight"),
            self._per_channel(op.bias, bias_scales, f"op{index}_bias"),
        ]

    def _per_channel(self, steps: Integers, scales: Float32Array, name: str) -> str:
        constant = self._writer.constant
        zeros = constant(np.zeros(len(scales), steps.dtype))
        stored = (constant(steps, name), constant(scales, f"{name}_scale"), zeros)
        return self._writer.node("DequantizeLinear", *stored, axis=0)


def needed_activation(op: Int8Op) -> Activation:
    """The activation, unless the output's range clamps as it does: then it is not written, since
    not all runtimes fuse an operator with an activation behind it.
    """
    if clamp_of(op.spec.activation, op.output) == (Q_MIN, Q_MAX):
        return "none"
    return op.spec.activation


def side_by_side(graph: Int8Graph) -> onnx.ModelProto:
    """All operators, each with inputs of its own, to feed them with given operands.

    Of operator 7, ``input7`` and (of an addition) ``second7`` are read and ``output7`` is written,
    int8; all have the shape (1, c, h, w), outputs of dense layers (1, c).
    """
    writer = OnnxWriter()
    operators = Int8Writer(writer, graph)

    def inlet(name: str, producer: int) -> Wire:
        height, width, channels = graph.input_shape
        found = Wire(name, (channels, height, width))
        if producer >= 0:
            found = replace(output_wire(graph.specs[producer], name), flat=False)
        writer.input(name, TensorProto.INT8, [1, *found.shape])
        return found

    for index, spec in enumerate(graph.specs):
        x = inlet(f"input{index}", index - spec.source)
        second = (inlet(f"second{index}", index - spec.residual),) if spec.residual else ()
        made = operators.operator(index, x, second)
        name = writer.node("Identity", made.name, name=f"output{index}")
        outside = made.shape[:1] if made.flat else made.shape
        writer.output(name, TensorProto.INT8, [1, *outside])
    return writer.model("operators")


def _onnx_layout(kind: str, weight: Int8Array) -> Int8Array:
    """(cout, cin / groups, k, k), or (cout, cin), from the layout that kernels read."""
    match kind:
        case "conv":
            return weight.transpose(0, 3, 1, 2)
        case "dwconv":
            return weight.transpose(2, 0, 1)[:, None]
        case _:
            return weight
