"""A network's operators as float32 ONNX nodes, batch norm folded."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from onnx import TensorProto

from hybrid_nas.onnx_writer import OnnxWriter, Wire
from hybrid_nas.quantise.float_graph import FloatOp
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.supernet.preprocess import MEAN, STD

IMAGE = "image"

Step = Callable[[int, Wire, tuple[Wire, ...]], Wire]


def image_input(writer: OnnxWriter, input_shape: tuple[int, int, int]) -> Wire:
    """Declare the image, uint8 (1, h, w, c) as cameras and image libraries give it; channels first
    inside.
    """
    height, width, channels = input_shape
    writer.input(IMAGE, TensorProto.UINT8, [1, height, width, channels])
    first = writer.node("Transpose", IMAGE, perm=[0, 3, 1, 2])
    return Wire(first, (channels, height, width))


def normalised(writer: OnnxWriter, image: Wire) -> Wire:
    """Grey levels as the float network reads them: `supernet.preprocess.normalise`."""
    levels = writer.node("Cast", image.name, to=TensorProto.FLOAT)
    scaled = writer.node("Mul", levels, writer.constant(np.float32(1 / (255 * STD))))
    shifted = writer.node("Sub", scaled, writer.constant(np.float32(MEAN / STD)))
    return Wire(shifted, image.shape)


def wire_up(specs: Sequence[OpSpec], image: Wire, step: Step) -> list[Wire]:
    """Outputs of all operators; ``step(index, x, second)`` writes one, `second` empty or one."""
    wires: list[Wire] = []

    def read(index: int) -> Wire:
        return image if index < 0 else wires[index]

    for index, spec in enumerate(specs):
        second = (read(index - spec.residual),) if spec.residual else ()
        wires.append(step(index, read(index - spec.source), second))
    return wires


def output_wire(spec: OpSpec, name: str) -> Wire:
    """What an operator writes."""
    return Wire(name, (spec.cout, spec.out_h, spec.out_w), flat=spec.op == "dense")


def write_float(writer: OnnxWriter, ops: Sequence[FloatOp], image: Wire) -> list[Wire]:
    """Outputs of all operators on a preprocessed image."""

    def step(index: int, x: Wire, second: tuple[Wire, ...]) -> Wire:
        op = ops[index]
        operands = [writer.shaped(wire, flat=False) for wire in second]
        for tensor, what in ((op.weight, "weight"), (op.bias, "bias")):
            if tensor is not None:
                array = tensor.detach().cpu().numpy().astype(np.float32)
                operands.append(writer.constant(array, f"op{index}_{what}"))
        inlet = writer.shaped(x, flat=op.spec.op == "dense")
        y = writer.operator(op.spec, inlet, *operands, size=x.shape[1:])
        return output_wire(op.spec, writer.activation(op.spec.activation, y))

    return wire_up([op.spec for op in ops], image, step)
