"""The list of operators and tensors that TFLM's benchmark prints of a model built into it.

    Op#2 CONV_2D(T#51, T#10, T#53[10064, ...]) -> [T#54]
    T#51(MobilenetV1/Conv2d_1_depthwise/Relu6) shape:[1, 48, 48, 8], type:INT8

It has the shapes, but neither strides (which follow from the shapes) nor activations (which take
no time of their own in int8 kernels; ``none`` is written).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from hybrid_nas.profiling.models.model import Model, ModelOp
from hybrid_nas.profiling.models.tflite_model import KINDS
from hybrid_nas.profiling.models.windows import Expressed, Shape, Window, express
from hybrid_nas.spaces.opspec import Dtype, OpKind, OpSpec

_OP = re.compile(r"Op#(\d+)\s+([A-Z0-9_]+)\(([^()]{0,2000}?)\)\s*->\s*\[([^\]]{0,200})\]")
_TENSOR = re.compile(
    r"T#(\d+)\(([^\n]{0,300}?)\)\s+shape:\s*\[([\d,\s]{0,80})\],\s+type:\s*(\w+)(\s+RO\b)?"
)
_REFERENCE = re.compile(r"T#(\d+)")


@dataclass(frozen=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    type: str
    constant: bool


def listed_model(text: str, name: str) -> Model | None:
    """The model that a log lists, or None where it lists none."""
    if "Op#0 " not in text:
        return None
    tensors = {
        int(match[1]): _Tensor(
            match[2],
            tuple(int(size) for size in match[3].split(",") if size.strip()),
            match[4],
            constant=match[5] is not None,
        )
        for match in _TENSOR.finditer(text)
    }
    ops: list[ModelOp] = []
    for match in _OP.finditer(text):
        if int(match[1]) < len(ops):
            break  # the next subgraph, or a second model
        inputs = [tensors.get(int(n)) for n in _REFERENCE.findall(match[3])]
        outputs = [tensors.get(int(n)) for n in _REFERENCE.findall(match[4])]
        ops.append(_op(len(ops), match[2], inputs, outputs))
    return Model(f"the model listed in {name}", tuple(ops)) if tensors and ops else None


def _op(
    index: int, word: str, inputs: list[_Tensor | None], outputs: list[_Tensor | None]
) -> ModelOp:
    known = [tensor for tensor in (*inputs, *outputs) if tensor is not None]
    complete = len(known) == len(inputs) + len(outputs) and bool(inputs) and bool(outputs)
    kind = KINDS.get(word)
    read = [tensor for tensor in inputs if tensor is not None and not tensor.constant]
    if kind in ("add", "mul") and len(read) < 2:
        kind = None
    found: Expressed = "its tensors are not listed"
    if kind and complete:
        found = _express(kind, known[: len(inputs)], known[len(inputs)])
    out = outputs[0] if outputs else None
    return ModelOp(
        index=index,
        type=word,
        name=out.name if out else "",
        kind=kind,
        spec=found if kind and isinstance(found, OpSpec) else None,
        reason=found if kind and isinstance(found, str) else "",
        out_shape=out.shape[1:] if out else (),
    )


def _express(kind: OpKind, inputs: list[_Tensor], out: _Tensor) -> Expressed:
    first = inputs[0]
    types = {first.type, out.type}
    if types == {"INT8"}:
        dtype: Dtype = "int8"
    elif types == {"FLOAT32"}:
        dtype = "float32"
    else:
        return f"values of type {', '.join(sorted(types)).lower()}"
    if kind == "dense":
        if len(inputs) < 2 or len(inputs[1].shape) != 2:
            return "weights that are no matrix"
        cout, cin = inputs[1].shape
        if math.prod(first.shape) != cin:
            return "a matrix product with several rows"
        return OpSpec("dense", 1, 1, cin, cout, bias=len(inputs) > 2, dtype=dtype)
    if len(first.shape) != 4 or len(out.shape) != 4 or first.shape[0] != 1:
        return f"an input of shape {list(first.shape)}"
    image: Shape = (first.shape[1], first.shape[2], first.shape[3])
    result: Shape = (out.shape[1], out.shape[2], out.shape[3])
    if kind in ("add", "mul"):
        if image != result or any(tensor.shape != first.shape for tensor in inputs):
            return "operands of different shapes"
        return OpSpec(kind, *image, image[2], bias=False, dtype=dtype, residual=1)
    if kind in ("avgpool", "maxpool"):
        if result[:2] != (1, 1):
            return "a pooling window that the log does not show: give --model"
        return OpSpec(kind, *image, image[2], 0, bias=False, dtype=dtype)
    if len(inputs) < 2 or len(inputs[1].shape) != 4:
        return "weights that are no window"
    kernel = (inputs[1].shape[1], inputs[1].shape[2])
    return express(Window(kind, image, result, kernel, bias=len(inputs) > 2, dtype=dtype))
