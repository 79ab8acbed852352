"""A calibrated network as an ONNX graph with batch norm folded into the convolutions.

The graph is written node by node: tracing through torch takes a second per network, this takes
milliseconds, and a search scores hundreds. Folding: ``w' = w * g / sqrt(v + eps)``,
``b' = beta - mean * g / sqrt(v + eps)`` (Jacob et al., CVPR 2018, equation 14).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto
from torch import nn

from hybrid_nas.onnx_writer import OnnxWriter
from hybrid_nas.spaces.blocks import BottleneckBlock, ConvBlock, DenseBlock, MBConvBlock, PoolBlock
from hybrid_nas.supernet.standalone import StandaloneNet
from hybrid_nas.typing import Float32Array, FloatArray


def fold_batch_norm(conv: Any, norm: Any | None) -> tuple[Float32Array, Float32Array]:
    """Weights and bias of a convolution with its batch norm folded in, float32."""
    weight = _float64(conv.weight)
    if norm is None:
        bias = np.zeros(len(weight)) if conv.bias is None else _float64(conv.bias)
        return weight.astype(np.float32), bias.astype(np.float32)
    scale = _float64(norm.weight) / np.sqrt(_float64(norm.running_var) + norm.eps)
    bias = _float64(norm.bias) - _float64(norm.running_mean) * scale
    return (weight * scale.reshape(-1, 1, 1, 1)).astype(np.float32), bias.astype(np.float32)


def _float64(tensor: Any) -> FloatArray:
    array: FloatArray = tensor.detach().numpy().astype(np.float64)
    return array


class _LayerWriter(OnnxWriter):
    """Writes layers of `ofa` with the activations that follow them."""

    def act(self, x: str, layer: nn.Module | None) -> str:
        match layer:
            case nn.ReLU6():
                return self.activation("relu6", x)
            case nn.ReLU():
                return self.activation("relu", x)
            case nn.Hardswish():
                return self.activation("h_swish", x)
            case nn.Hardsigmoid():
                return self.activation("h_sigmoid", x)
            case _:
                return x

    def layer(self, x: str, conv: Any, norm: Any | None) -> str:
        weight, bias = fold_batch_norm(conv, norm)
        return self.conv(
            x,
            self.constant(weight),
            [self.constant(bias)],
            kernel=conv.kernel_size[0],
            stride=conv.stride[0],
            padding=conv.padding[0],
            groups=conv.groups,
        )

    def conv_bn(self, x: str, part: Any) -> str:
        x = self.layer(x, part.conv, getattr(part, "bn", None))
        return self.act(x, getattr(part, "act", None))

    def mbconv(self, x: str, part: Any) -> str:
        if part.inverted_bottleneck is not None:
            x = self.conv_bn(x, part.inverted_bottleneck)
        x = self.conv_bn(x, part.depth_conv)
        if hasattr(part.depth_conv, "se"):
            fc = part.depth_conv.se.fc
            squeezed = self.act(self.layer(self.pooled(x), fc.reduce, None), fc.relu)
            scale = self.act(self.layer(squeezed, fc.expand, None), fc.h_sigmoid)
            x = self.node("Mul", x, scale)
        return self.conv_bn(x, part.point_linear)

    def bottleneck(self, x: str, part: Any, block: BottleneckBlock) -> str:
        shortcut = x
        if block.project:
            if block.stride > 1:
                window = [block.stride, block.stride]
                shortcut = self.node(
                    "AveragePool", x, kernel_shape=window, strides=window, ceil_mode=1
                )
            shortcut = self.layer(shortcut, part.downsample.conv, part.downsample.bn)
        for conv in (part.conv1, part.conv2, part.conv3):
            x = self.conv_bn(x, conv)
        return self.node("Relu", self.node("Add", x, shortcut))

    def classifier(self, features: str, part: Any) -> str:
        weight = self.constant(part.linear.weight.detach().numpy())
        bias = self.constant(part.linear.bias.detach().numpy())
        return self.gemm(features, weight, [bias], name="logits")


def to_onnx(network: StandaloneNet, cuts: Sequence[int] = ()) -> onnx.ModelProto:
    """ONNX model of a calibrated network on the CPU, in evaluation mode.

    Input ``image`` is float32 (n, c, h, w), preprocessed; outputs are ``features`` (n, f), what the
    classifier reads, and ``logits`` (n, classes); then, for each of `cuts`, ``stage1`` and so on
    (n, channels), what is there before the block of that number, pooled. The batch size is free.
    """
    graph = _LayerWriter()
    height, width, channels = network.architecture.input_shape
    x = graph.input("image", TensorProto.FLOAT, ["n", channels, height, width])
    stages: list[str] = []
    for number, (block, part) in enumerate(network.parts):
        if number in cuts:
            name = f"stage{len(stages) + 1}"
            stages.append(graph.flatten(graph.pooled(x), name))
        inlet = x
        match block:
            case ConvBlock():
                x = graph.conv_bn(x, part)
            case MBConvBlock():
                x = graph.mbconv(x, part)
            case BottleneckBlock():
                x = graph.bottleneck(x, part, block)
            case PoolBlock(kernel=0):
                x = graph.pooled(x)
            case PoolBlock():
                edge = [block.kernel // 2] * 4
                window, step = [block.kernel] * 2, [block.stride] * 2
                x = graph.node("MaxPool", x, kernel_shape=window, strides=step, pads=edge)
            case DenseBlock():
                x = graph.classifier(graph.flatten(x, "features"), part)
        if getattr(block, "skip", False):
            x = graph.node("Add", x, inlet)
    graph.output("features", TensorProto.FLOAT, ["n", None])
    graph.output("logits", TensorProto.FLOAT, ["n", network.architecture.classes])
    for name in stages:
        graph.output(name, TensorProto.FLOAT, ["n", None])
    return graph.model(network.architecture.name or "network")
