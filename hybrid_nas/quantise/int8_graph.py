"""A network in int8: the one thing that every export is written from.

Weights are laid out as kernels read them, scales are float32, as files and devices store them, and
wiring is that of `OpSpec`. `hybrid_nas.quantise.int8_reference` runs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybrid_nas.errors import InputError
from hybrid_nas.quantise.fake_quant import FakeQuantNet
from hybrid_nas.quantise.int8_kernels import Addition, Int8Array, Requantisation
from hybrid_nas.quantise.requantise import addition, conv_requantisation
from hybrid_nas.quantise.scheme import IMAGE, WEIGHT_MAX, Affine, weight_scales
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.typing import Float32Array

Int32Array = npt.NDArray[np.int32]

KERNEL_ACTIVATIONS = ("none", "relu", "relu6")
KERNEL_OPS = ("conv", "dwconv", "dense", "add", "avgpool", "maxpool")

_BIAS_MAX = 1 << 30
"""Largest bias, in its own steps: products of 32,000 inputs still fit beside it in 32 bits."""


@dataclass(frozen=True, eq=False)
class Int8Op:
    """One operator.

    Attributes:
        spec: shape and wiring.
        output: scale and zero point of what it writes.
        weight: int8, (cout, k, k, cin) of a convolution, (k, k, c) of a depthwise one, (cout, cin)
            of a dense layer; None where there is none.
        scales: of the weights, float32 (cout,).
        bias: int32 (cout,), in units of input scale times weight scale.
    """

    spec: OpSpec
    output: Affine
    weight: Int8Array | None = None
    scales: Float32Array | None = None
    bias: Int32Array | None = None

    @property
    def constant_bytes(self) -> int:
        """Weights, and bias and scale of each channel, 4 bytes each."""
        if self.weight is None or self.bias is None:
            return 0
        return int(self.weight.size) + 8 * len(self.bias)


@dataclass(frozen=True, eq=False)
class Int8Graph:
    """Operators in execution order, and what they read.

    Attributes:
        input_shape: (height, width, channels) of the image.
        input: scale and zero point of the image.
        ops: the last one gives the scores of the classes.
    """

    input_shape: tuple[int, int, int]
    input: Affine
    ops: tuple[Int8Op, ...]

    @property
    def specs(self) -> tuple[OpSpec, ...]:
        """Shapes and wiring."""
        return tuple(op.spec for op in self.ops)

    @property
    def classes(self) -> int:
        """Number of scores."""
        return self.ops[-1].spec.cout

    @property
    def features_index(self) -> int:
        """Operator whose output the classifier reads; -1 for the image."""
        return len(self.ops) - 1 - self.ops[-1].spec.source

    def affine(self, index: int) -> Affine:
        """Of the output of operator `index`; of the image for -1."""
        return self.input if index < 0 else self.ops[index].output

    def source(self, index: int) -> Affine:
        """Of what operator `index` reads."""
        return self.affine(index - self.ops[index].spec.source)

    def requantisation(self, index: int) -> Requantisation:
        """Of an operator with weights."""
        op = self.ops[index]
        assert op.scales is not None
        return conv_requantisation(self.source(index), op.scales, op.output, op.spec.activation)

    def addition(self, index: int) -> Addition:
        """Of an addition."""
        op = self.ops[index]
        second = self.affine(index - op.spec.residual)
        return addition(self.source(index), second, op.output, op.spec.activation)


def float32_scale(affine: Affine) -> Affine:
    """The same scheme with its scale as float32 has it."""
    return Affine(float(np.float32(affine.scale)), affine.zero)


def int8_graph(network: FakeQuantNet, input_shape: tuple[int, int, int]) -> Int8Graph:
    """What a calibrated network becomes on a device.

    Args:
        network: calibrated.
        input_shape: (height, width, channels) of its image.

    Raises:
        InputError: an operator or activation has no int8 kernel.
    """
    check_kernels(network.specs)
    image = float32_scale(IMAGE)
    outputs: list[Affine] = []
    ops: list[Int8Op] = []
    for index, spec in enumerate(network.specs):
        source = image if index < spec.source else outputs[index - spec.source]
        outputs.append(float32_scale(network.affine(index)))
        if str(index) not in network.weights:
            ops.append(Int8Op(spec, outputs[index]))
            continue
        weight = network.weights[str(index)].detach().cpu()
        exact = network.biases[str(index)].detach().cpu().numpy().astype(np.float64)
        scales = _wide_enough(weight_scales(weight).numpy(), exact, source)
        shape = (-1, *[1] * (weight.ndim - 1))
        rounded = np.rint(weight.numpy() / scales.reshape(shape)).clip(-WEIGHT_MAX, WEIGHT_MAX)
        bias = np.rint(exact / (source.scale * scales.astype(np.float64))).astype(np.int32)
        laid_out = _kernel_layout(spec, rounded.astype(np.int8))
        ops.append(Int8Op(spec, outputs[index], laid_out, scales, bias))
    return Int8Graph(input_shape, image, tuple(ops))


def _wide_enough(
    scales: Float32Array, bias: npt.NDArray[np.float64], source: Affine
) -> Float32Array:
    """Weight scales (cout,), raised where the bias would not fit behind weights as small.

    Weights of 0, as batch norm leaves them in a channel that is only its shift, or an input of 0,
    have next to no scale of their own.
    """
    least = np.abs(bias) / (source.scale * _BIAS_MAX)
    wide: Float32Array = np.maximum(scales, least).astype(np.float32)
    return wide


def _kernel_layout(spec: OpSpec, weight: Int8Array) -> Int8Array:
    match spec.op:
        case "conv":
            moved = weight.transpose(0, 2, 3, 1)
        case "dwconv":
            moved = weight[:, 0].transpose(1, 2, 0)
        case _:
            moved = weight
    return np.ascontiguousarray(moved)


def check_kernels(specs: Sequence[OpSpec]) -> None:
    """Refuse operators that there is no int8 kernel for.

    Raises:
        InputError: naming the first one.
    """
    for index, spec in enumerate(specs):
        if spec.op not in KERNEL_OPS:
            raise InputError(
                f"operator {index} ({spec.op}) has no int8 kernel: networks with "
                "squeeze-and-excitation cannot be exported in int8, choose a space without it"
            )
        if spec.activation not in KERNEL_ACTIVATIONS:
            raise InputError(
                f"operator {index} ({spec.op}) has the activation {spec.activation}, which has no "
                f"int8 kernel: expected one of {', '.join(KERNEL_ACTIVATIONS)}"
            )
