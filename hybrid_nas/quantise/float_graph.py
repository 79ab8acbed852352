"""A calibrated network as a list of operators with folded weights: what is quantised and exported.

The operators are those of ``Architecture.ops``, in the same order and with the same wiring, so that
what planners and latency tables say of them holds for what is trained and exported.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hybrid_nas.spaces.blocks import (
    Block,
    BottleneckBlock,
    ConvBlock,
    DenseBlock,
    MBConvBlock,
    block_ops,
)
from hybrid_nas.spaces.opspec import Activation, OpSpec
from hybrid_nas.supernet.onnx_graph import fold_batch_norm
from hybrid_nas.supernet.standalone import StandaloneNet


@dataclass(frozen=True, eq=False)
class FloatOp:
    """One operator.

    Attributes:
        spec: shape and wiring.
        weight: float32, (cout, cin, k, k) of a convolution, (c, 1, k, k) of a depthwise one,
            (cout, cin) of a dense layer; None where there is none.
        bias: float32 (cout,); None where there is no weight.
    """

    spec: OpSpec
    weight: Tensor | None = None
    bias: Tensor | None = None


def float_graph(network: StandaloneNet) -> tuple[FloatOp, ...]:
    """The operators of a calibrated network on the CPU, batch norm folded into the weights."""
    ops: list[FloatOp] = []
    for block, part in network.parts:
        layers = _weighted_layers(block, part)
        for spec in block_ops(block):
            ops.append(_with_weights(spec, *next(layers)) if spec.weights else FloatOp(spec))
    return tuple(ops)


def _with_weights(spec: OpSpec, layer: Any, norm: Any | None) -> FloatOp:
    if isinstance(layer, nn.Linear):
        return FloatOp(spec, layer.weight.detach().clone(), layer.bias.detach().clone())
    weight, bias = map(torch.from_numpy, fold_batch_norm(layer, norm))
    return FloatOp(spec, weight.flatten(1) if spec.op == "dense" else weight, bias)


def _weighted_layers(block: Block, part: Any) -> Iterator[tuple[Any, Any | None]]:
    """Layers with weights and their batch norms, in the order of the block's operators."""
    match block:
        case ConvBlock():
            yield part.conv, getattr(part, "bn", None)
        case MBConvBlock():
            if part.inverted_bottleneck is not None:
                yield part.inverted_bottleneck.conv, part.inverted_bottleneck.bn
            yield part.depth_conv.conv, part.depth_conv.bn
            if block.se_channels:
                yield part.depth_conv.se.fc.reduce, None
                yield part.depth_conv.se.fc.expand, None
            yield part.point_linear.conv, part.point_linear.bn
        case BottleneckBlock():
            for conv in (part.conv1, part.conv2, part.conv3):
                yield conv.conv, conv.bn
            if block.project:
                yield part.downsample.conv, part.downsample.bn
        case DenseBlock():
            yield part.linear, None


_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "relu": functional.relu,
    "relu6": functional.relu6,
    "h_swish": functional.hardswish,
    "h_sigmoid": functional.hardsigmoid,
}


def run_op(
    spec: OpSpec, x: Tensor, second: Tensor | None, weight: Tensor | None, bias: Tensor | None
) -> Tensor:
    """Output of one operator on a batch of images, (n, c, h, w), activation included."""
    match spec.op:
        case "conv" | "dwconv":
            assert weight is not None
            groups = spec.cin if spec.op == "dwconv" else 1
            y = functional.conv2d(x, weight, bias, spec.stride, spec.padding, groups=groups)
        case "dense":
            assert weight is not None
            y = functional.linear(x.flatten(1), weight, bias)[:, :, None, None]
        case "add":
            assert second is not None
            y = x + second
        case "mul":
            assert second is not None
            y = x * second
        case "avgpool" if spec.kernel == 0:
            y = x.mean((2, 3), keepdim=True)
        case "avgpool":
            y = functional.avg_pool2d(x, spec.kernel, spec.stride, spec.padding, ceil_mode=True)
        case "maxpool":
            y = functional.max_pool2d(x, spec.kernel, spec.stride, spec.padding)
    return _ACTIVATIONS[spec.activation](y)


def run_graph(
    specs: Sequence[OpSpec],
    image: Tensor,
    step: Callable[[int, Tensor, Tensor | None], Tensor],
    taps: Collection[int] = (),
) -> list[Tensor]:
    """Outputs of all operators; ``step(index, x, second)`` computes one from its operands.

    An output is dropped (replaced by an empty tensor) once nothing reads it any more, but for the
    last one, the classifier's input and those of `taps`.
    """
    last_use = {}
    for index, spec in enumerate(specs):
        last_use[index - spec.source] = index
        if spec.residual:
            last_use[index - spec.residual] = index
    keep = {len(specs) - 1, len(specs) - 1 - specs[-1].source, *taps}
    outputs: list[Tensor] = []
    nothing = image.new_empty(0)

    def read(index: int) -> Tensor:
        return image if index < 0 else outputs[index]

    for index, spec in enumerate(specs):
        second = read(index - spec.residual) if spec.residual else None
        outputs.append(step(index, read(index - spec.source), second))
        for used in (index - spec.source, index - spec.residual):
            if 0 <= used < index and last_use[used] == index and used not in keep:
                outputs[used] = nothing
    return outputs


@dataclass(frozen=True, eq=False)
class GraphOutputs:
    """What a network says of n images.

    Attributes:
        features: what the classifier reads, (n, f).
        logits: (n, classes).
        tapped: outputs of the operators that were asked for, (n, c, h, w).
    """

    features: Tensor
    logits: Tensor
    tapped: tuple[Tensor, ...] = ()

    @classmethod
    def of(
        cls, specs: Sequence[OpSpec], outputs: Sequence[Tensor], taps: Sequence[int]
    ) -> GraphOutputs:
        """From all operators' outputs."""
        features = outputs[len(specs) - 1 - specs[-1].source]
        tapped = tuple(outputs[index] for index in taps)
        return cls(features.flatten(1), outputs[-1].flatten(1), tapped)


def run_float(ops: Sequence[FloatOp], image: Tensor, taps: Sequence[int] = ()) -> GraphOutputs:
    """Outputs for preprocessed images (n, c, h, w)."""

    def step(index: int, x: Tensor, second: Tensor | None) -> Tensor:
        op = ops[index]
        return run_op(op.spec, x, second, op.weight, op.bias)

    specs = [op.spec for op in ops]
    return GraphOutputs.of(specs, run_graph(specs, image, step, taps), taps)
