"""Runs a network in int8, exact to the bit: what devices and other runtimes are compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.quantise import int8_kernels
from hybrid_nas.quantise.int8_graph import Int8Graph
from hybrid_nas.quantise.int8_kernels import Int8Array, Padding
from hybrid_nas.quantise.requantise import clamp_of
from hybrid_nas.typing import ByteArray


def int8_image(pixels: ByteArray) -> Int8Array:
    """Resized images, uint8 (..., h, w, c), as the network reads them: grey level u is u - 128."""
    image: Int8Array = (pixels ^ np.uint8(0x80)).view(np.int8)
    return image


def run_int8(graph: Int8Graph, images: Int8Array) -> list[Int8Array]:
    """Outputs of all operators, (..., h, w, c), for images (..., h, w, c).

    Raises:
        InputError: the images have another shape than the network reads.
    """
    if images.shape[-3:] != graph.input_shape:
        raise InputError(
            f"the network reads images of {graph.input_shape} (h, w, channels), got {images.shape}"
        )
    outputs: list[Int8Array] = []
    for index, op in enumerate(graph.ops):
        operands = [
            images if index < distance else outputs[index - distance]
            for distance in (op.spec.source, op.spec.residual)
            if distance
        ]
        outputs.append(run_op(graph, index, operands, op.spec.padding))
    return outputs


def run_op(
    graph: Int8Graph, index: int, operands: Sequence[Int8Array], padding: Padding
) -> Int8Array:
    """Output of operator `index` for its operands, (..., h, w, c) each, so padded."""
    op = graph.ops[index]
    spec, x = op.spec, operands[0]
    if spec.op == "add":
        return graph.addition(index)(x, operands[1])
    if spec.op in ("avgpool", "maxpool"):
        low, high = clamp_of(spec.activation, op.output)
        pool = int8_kernels.average_pool if spec.op == "avgpool" else int8_kernels.max_pool
        return pool(x, spec.kernel, spec.stride, padding, low=low, high=high)
    assert op.weight is not None and op.bias is not None
    requantise, zero = graph.requantisation(index), graph.source(index).zero
    if spec.op == "dense":
        flat = x.reshape(*x.shape[:-3], -1)
        y = int8_kernels.dense(flat, op.weight, op.bias, requantise, in_zero=zero)
        return y[..., None, None, :]
    kernel = int8_kernels.conv2d if spec.op == "conv" else int8_kernels.depthwise2d
    return kernel(
        x,
        op.weight,
        op.bias,
        requantise,
        in_zero=zero,
        stride=spec.stride,
        padding=padding,
    )
