"""Operators of a TFLite file, read with the generated classes of the ``tflite`` package."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from functools import cache
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.profiling.models.model import Model, ModelOp
from hybrid_nas.profiling.models.windows import Expressed, Window, express
from hybrid_nas.spaces.opspec import Activation, Dtype, OpKind, OpSpec

KINDS: dict[str, OpKind] = {
    "CONV_2D": "conv",
    "DEPTHWISE_CONV_2D": "dwconv",
    "FULLY_CONNECTED": "dense",
    "ADD": "add",
    "MUL": "mul",
    "AVERAGE_POOL_2D": "avgpool",
    "MEAN": "avgpool",
    "MAX_POOL_2D": "maxpool",
}
"""Operators of TFLite that an `OpSpec` may stand for."""

_MALFORMED = (struct.error, IndexError, ValueError, TypeError, AttributeError, KeyError)
"""What the generated classes raise on a file whose offsets point nowhere."""


@cache
def builtin_names() -> dict[int, str]:
    """TFLite's operators by their code."""
    import tflite

    return {code: name for name, code in vars(tflite.BuiltinOperator).items() if name.isupper()}


@dataclass(frozen=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    type: str
    constant: bool


def read_tflite(data: bytes, name: str) -> Model:
    """The operators of the main subgraph.

    Raises:
        InputError: the file is damaged.
    """
    import tflite

    try:
        model = tflite.Model.GetRootAs(data, 0)
        graph = model.Subgraphs(0)
        tensors = [_tensor(model, graph.Tensors(number)) for number in range(graph.TensorsLength())]
        reader = _Reader(model, tensors)
        ops: list[ModelOp] = []
        for index in range(graph.OperatorsLength()):
            ops.append(reader.op(index, graph.Operators(index), ops))
        entry = tensors[graph.Inputs(0)]
    except _MALFORMED as error:
        raise InputError(
            f"{name} is a damaged TFLite file: {error or type(error).__name__}"
        ) from error
    shape = entry.shape[1:]
    image = (shape[0], shape[1], shape[2]) if len(shape) == 3 else None
    if image is None and len(shape) == 1:
        image = (1, 1, shape[0])
    return Model(name, tuple(ops), entry.name, image)


def _tensor(model: Any, tensor: Any) -> _Tensor:
    shape = tuple(int(size) for size in tensor.ShapeAsNumpy()) if tensor.ShapeLength() else ()
    buffer = model.Buffers(tensor.Buffer())
    text = (tensor.Name() or b"").decode(errors="replace")
    return _Tensor(text, shape, _type_names().get(tensor.Type(), "?"), buffer.DataLength() > 0)


@cache
def _type_names() -> dict[int, str]:
    import tflite

    return {code: name for name, code in vars(tflite.TensorType).items() if name.isupper()}


@cache
def _activations() -> dict[int, Activation]:
    from tflite.ActivationFunctionType import ActivationFunctionType

    return {
        ActivationFunctionType.NONE: "none",
        ActivationFunctionType.RELU: "relu",
        ActivationFunctionType.RELU6: "relu6",
    }


@dataclass(frozen=True)
class _Reader:
    model: Any
    tensors: list[_Tensor]

    def op(self, index: int, operator: Any, before: list[ModelOp]) -> ModelOp:
        """The operator, given those before it."""
        code = self.model.OperatorCodes(operator.OpcodeIndex())
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        kind_name = builtin_names().get(number, f"BUILTIN_{number}")
        if kind_name == "CUSTOM":
            kind_name = (code.CustomCode() or b"CUSTOM").decode(errors="replace")
        inputs = [self.tensors[n] for n in operator.InputsAsNumpy() if n >= 0]
        outputs = [self.tensors[n] for n in operator.OutputsAsNumpy() if n >= 0]
        read = [tensor for tensor in inputs if not tensor.constant]
        kind = KINDS.get(kind_name)
        found: Expressed = "no operator"
        if kind is not None:
            found = self._express(kind_name, operator, inputs, outputs)
            # Scaling by a constant, a bias of its own: no operator of two activations.
            if kind in ("add", "mul") and len(read) < 2:
                kind = None
        spec = None if isinstance(found, str) else found
        return ModelOp(
            index=index,
            type=kind_name,
            name=outputs[0].name if outputs else "",
            kind=kind,
            spec=spec if kind else None,
            reason=found if isinstance(found, str) and kind else "",
            after_pad=self._after_pad(spec, inputs, outputs, before),
            out_shape=outputs[0].shape[1:] if outputs else (),
            inputs=tuple(tensor.name for tensor in read),
            outputs=tuple(tensor.name for tensor in outputs),
        )

    def _express(
        self, type_name: str, operator: Any, inputs: list[_Tensor], outputs: list[_Tensor]
    ) -> Expressed:
        dtype = _dtype(
            [*inputs[:2], outputs[0]] if type_name != "MEAN" else [inputs[0], outputs[0]]
        )
        if dtype not in ("int8", "float32"):
            return dtype
        first, out = inputs[0], outputs[0]
        if first.shape[:1] != (1,) and type_name != "FULLY_CONNECTED":
            return f"batch size {first.shape[0] if first.shape else 'unknown'}"
        options = _options(type_name, operator)
        code = 0 if type_name == "MEAN" else options.FusedActivationFunction()
        activation = _activations().get(code)
        if activation is None:
            return f"fused activation {code}"
        known: Dtype = "int8" if dtype == "int8" else "float32"
        if type_name == "FULLY_CONNECTED":
            return _dense(inputs, out, activation, known)
        if type_name == "MEAN":
            return _mean(first, out, known)
        if len(first.shape) != 4 or len(out.shape) != 4:
            return f"an input of {len(first.shape)} dimensions"
        if type_name in ("ADD", "MUL"):
            return _binary(type_name, inputs, out, activation, known)
        return express(_window(type_name, options, inputs, out, activation, known))

    def _after_pad(
        self,
        spec: OpSpec | None,
        inputs: list[_Tensor],
        outputs: list[_Tensor],
        before: list[ModelOp],
    ) -> OpSpec | None:
        """`spec` on the unpadded input, where a padding operator comes right before."""
        if spec is None or spec.op not in ("conv", "dwconv") or spec.padding or not before:
            return None
        pad = before[-1]
        if pad.type not in ("PAD", "PADV2") or pad.outputs != (inputs[0].name,) or not pad.inputs:
            return None
        small = next(tensor.shape for tensor in self.tensors if tensor.name == pad.inputs[0])
        if len(small) != 4 or small[3] != spec.cin:
            return None
        total = (spec.h - small[1], spec.w - small[2])
        window = Window(
            kind=spec.op,
            in_shape=(small[1], small[2], small[3]),
            out_shape=(spec.out_h, spec.out_w, spec.cout),
            kernel=(spec.kernel, spec.kernel),
            stride=(spec.stride, spec.stride),
            padding=total,
            activation=spec.activation,
            bias=spec.bias,
            dtype=spec.dtype,
        )
        found = express(window)
        return None if isinstance(found, str) else found


def _dtype(tensors: list[_Tensor]) -> str:
    """``int8`` or ``float32``, or why it is neither."""
    types = [tensor.type for tensor in tensors]
    if set(types) == {"INT8"}:
        return "int8"
    if set(types) == {"FLOAT32"}:
        return "float32"
    return f"values of type {', '.join(dict.fromkeys(types)).lower()}"


def _options(type_name: str, operator: Any) -> Any:
    import tflite

    names = {
        "CONV_2D": "Conv2DOptions",
        "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
        "FULLY_CONNECTED": "FullyConnectedOptions",
        "ADD": "AddOptions",
        "MUL": "MulOptions",
        "AVERAGE_POOL_2D": "Pool2DOptions",
        "MAX_POOL_2D": "Pool2DOptions",
        "MEAN": "ReducerOptions",
    }
    options = getattr(tflite, names[type_name])()
    table = operator.BuiltinOptions()
    if table is None:
        raise ValueError(f"a {type_name} without options")
    options.Init(table.Bytes, table.Pos)
    return options


def _window(
    type_name: str,
    options: Any,
    inputs: list[_Tensor],
    out: _Tensor,
    activation: Activation,
    dtype: Dtype,
) -> Window:
    from tflite.Padding import Padding

    _, h, w, cin = inputs[0].shape
    if type_name.endswith("POOL_2D"):
        kernel, dilation = (options.FilterHeight(), options.FilterWidth()), (1, 1)
    else:
        kernel = (inputs[1].shape[1], inputs[1].shape[2])
        dilation = (options.DilationHFactor(), options.DilationWFactor())
    stride = (options.StrideH(), options.StrideW())
    same = options.Padding() == Padding.SAME
    padding = tuple(
        max(0, (math.ceil(size / step) - 1) * step + k - size) if same else 0
        for size, step, k in zip((h, w), stride, kernel, strict=True)
    )
    return Window(
        kind=KINDS[type_name],
        in_shape=(h, w, cin),
        out_shape=(out.shape[1], out.shape[2], out.shape[3]),
        kernel=kernel,
        stride=stride,
        padding=(padding[0], padding[1]),
        dilation=dilation,
        activation=activation,
        bias=len(inputs) > 2,
        dtype=dtype,
    )


def _dense(inputs: list[_Tensor], out: _Tensor, activation: Activation, dtype: Dtype) -> Expressed:
    cout, cin = inputs[1].shape
    if math.prod(inputs[0].shape) != cin or math.prod(out.shape) != cout:
        return f"a matrix product with {math.prod(out.shape) // cout} rows"
    bias = len(inputs) > 2
    return OpSpec("dense", 1, 1, cin, cout, activation=activation, bias=bias, dtype=dtype)


def _mean(first: _Tensor, out: _Tensor, dtype: Dtype) -> Expressed:
    if len(first.shape) != 4 or math.prod(out.shape) != first.shape[3]:
        return "a mean that is not over all pixels"
    _, h, w, channels = first.shape
    return OpSpec("avgpool", h, w, channels, channels, 0, bias=False, dtype=dtype)


def _binary(
    type_name: str, inputs: list[_Tensor], out: _Tensor, activation: Activation, dtype: Dtype
) -> Expressed:
    shapes = {tensor.shape for tensor in inputs}
    _, h, w, channels = out.shape
    scale = (1, 1, 1, channels)
    if type_name == "ADD":
        if shapes != {out.shape}:
            return "operands of different shapes"
    elif shapes != {out.shape, scale}:
        return "operands that are not an image and one factor per channel"
    kind = KINDS[type_name]
    return OpSpec(
        *(kind, h, w, channels, channels),
        activation=activation,
        bias=False,
        dtype=dtype,
        residual=1,
    )
