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
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from hybrid_nas.spaces.blocks import BottleneckBlock, ConvBlock, DenseBlock, MBConvBlock, PoolBlock
from hybrid_nas.supernet.standalone import StandaloneNet
from hybrid_nas.typing import Float32Array

OPSET = 17
_IR_VERSION = 10


def fold_batch_norm(conv: Any, norm: Any | None) -> tuple[Float32Array, Float32Array]:
    """Weights and bias of a convolution with its batch norm folded in, float32."""
    weight = conv.weight.detach().double()
    if norm is None:
        bias = np.zeros(len(weight)) if conv.bias is None else conv.bias.detach().double().numpy()
        return weight.numpy().astype(np.float32), bias.astype(np.float32)
    scale = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
    bias = norm.bias.detach().double() - norm.running_mean.double() * scale
    folded = weight * scale.reshape(-1, 1, 1, 1)
    return folded.numpy().astype(np.float32), bias.numpy().astype(np.float32)


class _GraphWriter:
    """Collects nodes and weights; every method returns the name of the tensor it makes."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def constant(self, array: Any) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def activation(self, x: str, layer: nn.Module | None) -> str:
        match layer:
            case nn.ReLU6():
                low, high = self.constant(np.float32(0)), self.constant(np.float32(6))
                return self.node("Clip", x, low, high)
            case nn.ReLU():
                return self.node("Relu", x)
            case nn.Hardswish():
                return self.node("HardSwish", x)
            case nn.Hardsigmoid():
                return self.node("HardSigmoid", x, alpha=1 / 6, beta=0.5)
            case _:
                return x

    def conv(self, x: str, conv: Any, norm: Any | None) -> str:
        weight, bias = fold_batch_norm(conv, norm)
        pads = [*conv.padding, *conv.padding]
        return self.node(
            "Conv",
            x,
            self.constant(weight),
            self.constant(bias),
            kernel_shape=list(conv.kernel_size),
            strides=list(conv.stride),
            pads=pads,
            group=conv.groups,
        )

    def conv_bn(self, x: str, part: Any) -> str:
        x = self.conv(x, part.conv, getattr(part, "bn", None))
        return self.activation(x, getattr(part, "act", None))

    def mean(self, x: str) -> str:
        return self.node("GlobalAveragePool", x)

    def mbconv(self, x: str, part: Any) -> str:
        if part.inverted_bottleneck is not None:
            x = self.conv_bn(x, part.inverted_bottleneck)
        x = self.conv_bn(x, part.depth_conv)
        if hasattr(part.depth_conv, "se"):
            fc = part.depth_conv.se.fc
            squeezed = self.activation(self.conv(self.mean(x), fc.reduce, None), fc.relu)
            scale = self.activation(self.conv(squeezed, fc.expand, None), fc.h_sigmoid)
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
            shortcut = self.conv(shortcut, part.downsample.conv, part.downsample.bn)
        for conv in (part.conv1, part.conv2, part.conv3):
            x = self.conv_bn(x, conv)
        return self.node("Relu", self.node("Add", x, shortcut))

    def classifier(self, features: str, part: Any) -> str:
        weight = self.constant(part.linear.weight.detach().numpy())
        bias = self.constant(part.linear.bias.detach().numpy())
        return self.node("Gemm", features, weight, bias, transB=1)


def to_onnx(network: StandaloneNet, cuts: Sequence[int] = ()) -> onnx.ModelProto:
    """ONNX model of a calibrated network on the CPU, in evaluation mode.

    Input ``image`` is float32 (n, c, h, w), preprocessed; outputs are ``features`` (n, f), what the
    classifier reads, and ``logits`` (n, classes); then, for each of `cuts`, ``stage1`` and so on
    (n, channels), what is there before the block of that number, pooled. The batch size is free.
    """
    graph = _GraphWriter()
    x = features = "image"
    stages: dict[str, str] = {}
    for number, (block, part) in enumerate(network.parts):
        if number in cuts:
            pooled = graph.node("Flatten", graph.mean(x), axis=1)
            stages[pooled] = f"stage{len(stages) + 1}"
        inlet = x
        match block:
            case ConvBlock():
                x = graph.conv_bn(x, part)
            case MBConvBlock():
                x = graph.mbconv(x, part)
            case BottleneckBlock():
                x = graph.bottleneck(x, part, block)
            case PoolBlock(kernel=0):
                x = graph.mean(x)
            case PoolBlock():
                edge = [block.kernel // 2] * 4
                window, step = [block.kernel] * 2, [block.stride] * 2
                x = graph.node("MaxPool", x, kernel_shape=window, strides=step, pads=edge)
            case DenseBlock():
                features = graph.node("Flatten", x, axis=1)
                x = graph.classifier(features, part)
        if getattr(block, "skip", False):
            x = graph.node("Add", x, inlet)
    height, width, channels = network.architecture.input_shape
    rename = {features: "features", x: "logits", **stages}
    for node in graph.nodes:
        node.input[:] = [rename.get(name, name) for name in node.input]
        node.output[:] = [rename.get(name, name) for name in node.output]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            network.architecture.name or "network",
            [
                helper.make_tensor_value_info(
                    "image", TensorProto.FLOAT, ["n", channels, height, width]
                )
            ],
            [
                helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", None]),
                helper.make_tensor_value_info(
                    "logits", TensorProto.FLOAT, ["n", network.architecture.classes]
                ),
                *(
                    helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", None])
                    for name in stages.values()
                ),
            ],
            graph.weights,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    model.ir_version = _IR_VERSION
    return model
