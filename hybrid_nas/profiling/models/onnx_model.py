"""Operators of an ONNX file: float, or quantised by QDQ pairs or by QLinear operators."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.profiling.models.model import Model, ModelOp
from hybrid_nas.profiling.models.windows import Expressed, Shape, Window, express
from hybrid_nas.spaces.opspec import Activation, Dtype, OpKind, OpSpec

KINDS: dict[str, OpKind] = {
    "Conv": "conv",
    "QLinearConv": "conv",
    "Gemm": "dense",
    "QGemm": "dense",
    "MatMul": "dense",
    "QLinearMatMul": "dense",
    "Add": "add",
    "QLinearAdd": "add",
    "Mul": "mul",
    "QLinearMul": "mul",
    "AveragePool": "avgpool",
    "QLinearAveragePool": "avgpool",
    "GlobalAveragePool": "avgpool",
    "QLinearGlobalAveragePool": "avgpool",
    "ReduceMean": "avgpool",
    "MaxPool": "maxpool",
}
"""Operators of ONNX (and onnxruntime's quantised ones) that an `OpSpec` may stand for."""

_WEIGHTS_AT = {"QLinearConv": 3, "QGemm": 3, "QLinearMatMul": 3, "QLinearAdd": 3, "QLinearMul": 3}
"""Place of the second operand; 1 elsewhere. Scales and zero points come in between."""
_BIAS_AT = {"QLinearConv": 8, "QGemm": 6}
_PASS = ("QuantizeLinear", "DequantizeLinear")
_FLOAT, _UINT8, _INT8 = 1, 2, 3


def read_onnx(data: bytes, name: str) -> Model:
    """The operators of the graph, in the order of the file, which ONNX requires to be executable.

    Raises:
        InputError: the file is damaged, or its shapes do not fit together.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(data)
        model = onnx.shape_inference.infer_shapes(model)
    except Exception as error:  # protobuf's and onnx's own, which share no base class
        raise InputError(f"{name} is a damaged ONNX file: {error}") from error
    graph = _Graph.of(model.graph)
    ops = tuple(graph.op(index, node) for index, node in enumerate(model.graph.node))
    entry = next((put.name for put in model.graph.input if put.name not in graph.constants), "")
    shape = graph.shapes.get(entry, ())
    image = (shape[2], shape[3], shape[1]) if len(shape) == 4 else None
    if image is None and len(shape) == 2:
        image = (1, 1, shape[1])
    return Model(name, ops, entry, image, "onnx")


@dataclass(frozen=True)
class _Graph:
    """What is known of every value of a graph, by name."""

    shapes: Mapping[str, tuple[int, ...]]
    types: Mapping[str, int]
    constants: Mapping[str, Any]
    producers: Mapping[str, Any]
    consumers: Mapping[str, Sequence[Any]]

    @classmethod
    def of(cls, graph: Any) -> _Graph:
        """Of an ONNX graph with inferred shapes."""
        shapes, types, constants = {}, {}, {}
        for value in (*graph.input, *graph.value_info, *graph.output):
            tensor = value.type.tensor_type
            dims = [dim.dim_value for dim in tensor.shape.dim]
            # A free batch size is one image; any other free dimension stays 0, that is unknown.
            shapes[value.name] = tuple([dims[0] or 1, *dims[1:]]) if dims else ()
            types[value.name] = tensor.elem_type
        for one in graph.initializer:
            shapes[one.name], types[one.name] = tuple(one.dims), one.data_type
            constants[one.name] = one
        producers: dict[str, Any] = {}
        consumers: dict[str, list[Any]] = defaultdict(list)
        for node in graph.node:
            for out in node.output:
                producers[out] = node
            for put in node.input:
                consumers[put].append(node)
            fixed = node.op_type == "Constant"
            if fixed or (node.op_type == "DequantizeLinear" and node.input[0] in constants):
                source = node.output[0] if fixed else node.input[0]
                constants[node.output[0]] = _constant(node) if fixed else constants[source]
                if node.output[0] not in shapes and source in shapes:
                    shapes[node.output[0]] = shapes[source]
        return cls(shapes, types, constants, producers, consumers)

    def op(self, index: int, node: Any) -> ModelOp:
        """The node as an operator."""
        read = tuple(put for put in node.input if put and put not in self.constants)
        kind = KINDS.get(node.op_type)
        if kind in ("add", "mul") and len(read) < 2:
            kind = None  # a bias or a scale of its own
        if kind == "dense" and len(read) != 1:
            kind = None  # a product of two activations, as in attention
        found: Expressed = self._express(node, kind) if kind else ""
        spec = None if isinstance(found, str) else found
        if spec is not None and spec.op == "dwconv":
            kind = "dwconv"
        return ModelOp(
            index=index,
            type=node.op_type,
            name=node.name or node.output[0],
            kind="dwconv" if kind == "conv" and self._depthwise(node) else kind,
            spec=spec,
            reason=found if isinstance(found, str) else "",
            out_shape=self.shapes.get(node.output[0], ())[1:],
            inputs=read,
            outputs=tuple(node.output),
        )

    def _depthwise(self, node: Any) -> bool:
        shape = self.shapes.get(node.input[0], ())
        return len(shape) > 1 and 1 < _attributes(node).get("group", 1) == shape[1]

    def _express(self, node: Any, kind: OpKind) -> Expressed:
        at = _WEIGHTS_AT.get(node.op_type, 1)
        first, out = node.input[0], node.output[0]
        second = node.input[at] if len(node.input) > at and kind in _TWO_OPERANDS else ""
        missing = [name for name in (first, second, out) if name and not self._known(name)]
        if missing:
            return f"the shape of {missing[0]!r} is not known"
        dtype = self._dtype(first, second)
        if dtype is None:
            return "values that are neither float32 nor of 8 bits"
        if self.shapes[first][0] != 1:
            return f"batch size {self.shapes[first][0]}"
        activation = self._activation_after(out)
        if kind == "dense":
            return self._dense(node, first, second, out, activation, dtype)
        if len(self.shapes[first]) != 4:
            return f"an input of {len(self.shapes[first])} dimensions"
        image = _image(self.shapes[first])
        if kind in ("add", "mul"):
            return self._binary(kind, first, second, out, activation, dtype)
        if node.op_type.startswith(("Global", "QLinearGlobal", "ReduceMean")):
            if math.prod(self.shapes[out]) != image[2]:
                return "a mean that is not over all pixels"
            return OpSpec("avgpool", *image, image[2], 0, bias=False, dtype=dtype)
        return self._window(node, kind, second, activation, dtype)

    def _known(self, name: str) -> bool:
        shape = self.shapes.get(name)
        return bool(shape) and all(size > 0 for size in shape or ())

    def _dtype(self, first: str, second: str) -> Dtype | None:
        types = {self._stored_type(name) for name in (first, second) if name}
        if types == {_FLOAT}:
            return "float32"
        return "int8" if types <= {_UINT8, _INT8} else None

    def _stored_type(self, name: str) -> int:
        """Type of a value as it is stored: behind a DequantizeLinear, that of its input."""
        node = self.producers.get(name)
        if node is not None and node.op_type == "DequantizeLinear":
            return self._stored_type(node.input[0])
        if node is not None and node.op_type == "QuantizeLinear" and name not in self.types:
            zero = self.constants.get(node.input[2]) if len(node.input) > 2 else None
            return _UINT8 if zero is None else int(zero.data_type)
        return self.types.get(name, 0)

    def _activation_after(self, name: str) -> Activation:
        """The activation that alone reads a value, quantisation in between left out."""
        readers = self.consumers.get(name, ())
        if len(readers) != 1:
            return "none"
        node = readers[0]
        if node.op_type in _PASS:
            return self._activation_after(node.output[0])
        if node.op_type == "Clip":
            limits = [self._number(put) for put in node.input[1:]]
            limits = limits or [_attributes(node).get(key) for key in ("min", "max")]
            return "relu6" if limits == [0.0, 6.0] else "none"
        simple: dict[str, Activation] = {
            "Relu": "relu",
            "HardSwish": "h_swish",
            "HardSigmoid": "h_sigmoid",
        }
        return simple.get(node.op_type, "none")

    def _number(self, name: str) -> float | None:
        import onnx

        tensor = self.constants.get(name)
        if tensor is None:
            return None
        values = onnx.numpy_helper.to_array(tensor).ravel()
        return float(values[0]) if values.size == 1 else None

    def _dense(
        self, node: Any, first: str, second: str, out: str, activation: Activation, dtype: Dtype
    ) -> Expressed:
        cin, cout = math.prod(self.shapes[first]), math.prod(self.shapes[out])
        if math.prod(self.shapes[second]) != cin * cout:
            return f"a matrix product of {self.shapes[first]} and {self.shapes[second]}"
        bias_at = _BIAS_AT.get(node.op_type, 2)
        readers = self.consumers.get(out, ())
        bias = len(node.input) > bias_at if "Gemm" in node.op_type else False
        bias = bias or any(
            reader.op_type == "Add" and any(put in self.constants for put in reader.input)
            for reader in readers
        )
        return OpSpec("dense", 1, 1, cin, cout, activation=activation, bias=bias, dtype=dtype)

    def _binary(
        self, kind: OpKind, first: str, second: str, out: str, activation: Activation, dtype: Dtype
    ) -> Expressed:
        h, w, channels = _image(self.shapes[out])
        shapes = {self.shapes[first], self.shapes[second]}
        if kind == "add" and shapes != {self.shapes[out]}:
            return "operands of different shapes"
        if kind == "mul" and shapes != {self.shapes[out], (1, channels, 1, 1)}:
            return "operands that are not an image and one factor per channel"
        return OpSpec(
            *(kind, h, w, channels, channels),
            activation=activation,
            bias=False,
            dtype=dtype,
            residual=1,
        )

    def _window(
        self, node: Any, kind: OpKind, weights: str, activation: Activation, dtype: Dtype
    ) -> Expressed:
        attributes = _attributes(node)
        in_shape = _image(self.shapes[node.input[0]])
        group = attributes.get("group", 1)
        if group not in (1, in_shape[2]):
            return f"{group} groups"
        kernel = attributes.get("kernel_shape") or self.shapes[weights][2:]
        if len(kernel) != 2:
            return f"a window of {len(kernel)} dimensions"
        pads = attributes.get("pads")
        padding = None if pads is None else (pads[0] + pads[2], pads[1] + pads[3])
        strides, dilations = attributes.get("strides", (1, 1)), attributes.get("dilations", (1, 1))
        depthwise = kind == "conv" and group > 1
        return express(
            Window(
                kind="dwconv" if depthwise else kind,
                in_shape=in_shape,
                out_shape=_image(self.shapes[node.output[0]]),
                kernel=(kernel[0], kernel[1]),
                stride=(strides[0], strides[1]),
                padding=padding,
                dilation=(dilations[0], dilations[1]),
                activation=activation,
                bias=len(node.input) > _BIAS_AT.get(node.op_type, 2),
                dtype=dtype,
            )
        )


_TWO_OPERANDS = ("conv", "dense", "add", "mul")


def _image(shape: tuple[int, ...]) -> Shape:
    """Height, width and channels of a batch of one in ONNX's order."""
    return shape[2], shape[3], shape[1]


def _attributes(node: Any) -> dict[str, Any]:
    import onnx

    found = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    return {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}


def _constant(node: Any) -> Any:
    return next((one.t for one in node.attribute if one.name == "value"), None)
