"""An int8 network as the tensors and operators of a TFLite file.

The classifier becomes a convolution as large as its input: a matrix product with one scale per
channel is a recent version of FULLY_CONNECTED, which older microcontroller runtimes compute with
the first scale only, without a word. The convolution is the same sum, and all have it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hybrid_nas.errors import InputError
from hybrid_nas.export.tflite_borders import Border, Written, border_pixels, written_windows
from hybrid_nas.quantise.int8_graph import Int8Graph, Int8Op
from hybrid_nas.quantise.scheme import Q_MIN, Affine
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.typing import Float32Array

Constant = npt.NDArray[Any]
Option = int | str | tuple[int, ...]


@dataclass(frozen=True, eq=False)
class TfliteTensor:
    """A tensor of the file.

    Attributes:
        name: unique in the file.
        shape: of activations with a batch axis of 1, channels last.
        scales, zero: its quantisation; float32 (1,), or (channels,) along `axis`; None for shapes
            and the like.
        data: int8 or int32 constants; None where the network computes it.
    """

    name: str
    shape: tuple[int, ...]
    scales: Float32Array | None = None
    zero: int = 0
    axis: int = 0
    data: Constant | None = None

    @property
    def elements(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class TfliteOp:
    """An operator of the file; `inputs` and `output` number its tensors.

    Attributes:
        kind: name of TFLite's builtin operator.
        options: of the schema's options table, by the schema's names.
    """

    kind: str
    inputs: tuple[int, ...]
    output: int
    options: dict[str, Option] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class TfliteGraph:
    """Tensors, and operators in execution order.

    Attributes:
        entry: tensor of the image.
        result: tensor of the scores, (1, classes).
    """

    tensors: tuple[TfliteTensor, ...]
    ops: tuple[TfliteOp, ...]
    entry: int
    result: int


def tflite_graph(graph: Int8Graph, border: Border = "auto") -> TfliteGraph:
    """What TFLite calls the operators of a network.

    Raises:
        InputError: an average pool has a border that TFLite cannot express.
    """
    return _Lowering(graph, border).run()


class _Lowering:
    def __init__(self, graph: Int8Graph, border: Border) -> None:
        self.graph = graph
        self.windows = written_windows(graph.specs, graph.input_shape, border)
        self.tensors: list[TfliteTensor] = []
        self.ops: list[TfliteOp] = []
        self.produced: list[int] = []

    def run(self) -> TfliteGraph:
        graph = self.graph
        self.produced.append(self._activation("image", graph.input_shape, graph.input))
        for index, op in enumerate(graph.ops):
            self.produced.append(self._operator(index, op))
        scores = self._scores(self.produced[-1])
        return TfliteGraph(tuple(self.tensors), tuple(self.ops), self.produced[0], scores)

    # -- tensors

    def _tensor(self, tensor: TfliteTensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _activation(self, name: str, shape: tuple[int, ...], affine: Affine) -> int:
        scales = np.array([affine.scale], np.float32)
        return self._tensor(TfliteTensor(name, (1, *shape), scales, affine.zero))

    def _integers(self, name: str, values: list[Any]) -> int:
        data = np.array(values, np.int32)
        return self._tensor(TfliteTensor(name, data.shape, data=data))

    # -- operators

    def _operator(self, index: int, op: Int8Op) -> int:
        spec, name = op.spec, f"{index}.{op.spec.op}"
        source = self.produced[index + 1 - spec.source]
        match spec.op:
            case "add":
                second = self.produced[index + 1 - spec.residual]
                return self._append("ADD", name, (source, second), op, {})
            case "avgpool" | "maxpool":
                return self._pool(index, op, name, source)
            case "dense":
                return self._dense(index, op, name, source)
            case _:
                return self._convolution(index, op, name, source)

    def _append(
        self, kind: str, name: str, inputs: tuple[int, ...], op: Int8Op, options: dict[str, Option]
    ) -> int:
        spec = op.spec
        output = self._activation(name, (spec.out_h, spec.out_w, spec.cout), op.output)
        fused = {"none": "NONE", "relu": "RELU", "relu6": "RELU6"}[spec.activation]
        self.ops.append(
            TfliteOp(kind, inputs, output, {**options, "FusedActivationFunction": fused})
        )
        return output

    def _convolution(self, index: int, op: Int8Op, name: str, source: int) -> int:
        spec, way, weight = op.spec, self.windows[index], op.weight
        assert weight is not None
        depthwise = spec.op == "dwconv"
        if depthwise:
            weight = weight[None]
        if way == "kernel":
            weight = np.pad(weight, ((0, 0), (0, 1), (0, 1), (0, 0)))
        if way == "pad":
            source = self._padded(name, spec, source)
        options = _window(spec.stride, way)
        if depthwise:
            options["DepthMultiplier"] = 1
        kind = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        inputs = (source, *self._constants(index, op, name, weight))
        return self._append(kind, name, inputs, op, options)

    def _dense(self, index: int, op: Int8Op, name: str, source: int) -> int:
        assert op.weight is not None
        weight = op.weight.reshape(-1, *self.tensors[source].shape[1:])
        inputs = (source, *self._constants(index, op, name, weight))
        return self._append("CONV_2D", name, inputs, op, _window(1, "VALID"))

    def _constants(self, index: int, op: Int8Op, name: str, weight: Constant) -> tuple[int, int]:
        """Weight and bias."""
        assert op.scales is not None and op.bias is not None
        axis = 3 if op.spec.op == "dwconv" else 0
        scales = op.scales.astype(np.float32)
        weights = TfliteTensor(f"{name}.weight", weight.shape, scales, axis=axis, data=weight)
        products = scales * np.float32(self.graph.source(index).scale)
        bias = TfliteTensor(f"{name}.bias", op.bias.shape, products, data=op.bias)
        return self._tensor(weights), self._tensor(bias)

    def _pool(self, index: int, op: Int8Op, name: str, source: int) -> int:
        spec, way = op.spec, self.windows[index]
        if way == "pad":
            if spec.op == "avgpool":
                raise InputError(
                    f"operator {index} pools {spec.h}x{spec.w} with kernel {spec.kernel}, stride "
                    f"{spec.stride} and padding {spec.padding}: TFLite has no such window"
                )
            source = self._padded(name, spec, source, Q_MIN)
        height, width = (spec.kernel, spec.kernel) if spec.kernel else (spec.h, spec.w)
        options = {"FilterHeight": height, "FilterWidth": width, **_window(spec.stride, way)}
        kind = "AVERAGE_POOL_2D" if spec.op == "avgpool" else "MAX_POOL_2D"
        return self._append(kind, name, (source,), op, options)

    def _padded(self, name: str, spec: OpSpec, source: int, value: int | None = None) -> int:
        """The input with its border: of the zero point, or of `value`."""
        borders = ((0, 0), *border_pixels(spec), (0, 0))
        small = self.tensors[source]
        shape = tuple(size + sum(pair) for size, pair in zip(small.shape, borders, strict=True))
        inputs: tuple[int, ...] = (
            source,
            self._integers(f"{name}.paddings", [list(pair) for pair in borders]),
        )
        if value is not None:
            filled = replace(small, name=f"{name}.border", shape=(1,), data=np.array([value], "i1"))
            inputs = (*inputs, self._tensor(filled))
        output = self._tensor(replace(small, name=f"{name}.padded", shape=shape))
        self.ops.append(TfliteOp("PAD" if value is None else "PADV2", inputs, output))
        return output

    def _scores(self, last: int) -> int:
        """The scores as (1, classes)."""
        before = self.tensors[last]
        shape = (1, before.elements)
        wanted = self._integers("scores.shape", list(shape))
        output = self._tensor(replace(before, name="scores", shape=shape))
        self.ops.append(TfliteOp("RESHAPE", (last, wanted), output, {"NewShape": shape}))
        return output


def _window(stride: int, way: Written) -> dict[str, Option]:
    padding = "SAME" if way in ("SAME", "kernel") else "VALID"
    return {"StrideH": stride, "StrideW": stride, "Padding": padding}
