"""onnxruntime's profile: a JSON list of events, one per node and run, in microseconds.

The shapes of activations are there, and of weights that were not packed. Strides follow from the
shapes; without weights the model is needed. Nodes in onnxruntime's blocked layout (``nchwc``)
compute on channels padded to the block: what was computed is what is written. Of three runs and
more the first one is left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from hybrid_nas.profiling.imports.log import Facts, Log, Row, Source
from hybrid_nas.profiling.imports.words import onnx_word
from hybrid_nas.profiling.models.windows import Expressed, Shape, Window, express
from hybrid_nas.spaces.opspec import Dtype, OpKind, OpSpec
from hybrid_nas.yaml_fields import is_number

_KERNEL = "_kernel_time"
_BYTES = ("uint8", "int8")
_FEW_RUNS = 2
_ADD: frozenset[OpKind] = frozenset(("add",))
_NO_WEIGHTS = "a convolution whose weights the profile does not list: give --model"

Tensor = tuple[str, tuple[int, ...]]
"""Type and dimensions."""


def is_profile(document: object) -> bool:
    """Whether a JSON document is a profile of onnxruntime."""
    if not isinstance(document, list):
        return False
    return any(isinstance(event, dict) and event.get("cat") == "Node" for event in document)


def read_profile(source: Source) -> Log:
    """One row per node, with the times of all runs, in the order of the first run.

    Raises:
        InputError: an event is not built as onnxruntime's are.
    """
    events: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for number, event in enumerate(json.loads(source.text), 1):
        if not isinstance(event, dict) or event.get("cat") != "Node":
            continue
        name = event.get("name")
        if not isinstance(name, str) or not name.endswith(_KERNEL):
            continue
        arguments, duration = event.get("args"), event.get("dur")
        if not isinstance(arguments, dict) or not _is_time(duration):
            raise source.fail(
                _line(source, name),
                f"event {number} ({name}) must have 'args' and 'dur', 0 or more (got "
                f"{str(duration)[:40]!r})",
            )
        key = name.removesuffix(_KERNEL), str(arguments.get("node_index", ""))
        events.setdefault(key, []).append(event)
    rows = tuple(_row(source, key[0], runs) for key, runs in events.items())
    return Log("onnxruntime", rows, Facts(runtime="onnxruntime", kernels=_providers(events)))


def _is_time(value: object) -> bool:
    return is_number(value) and isinstance(value, int | float) and value >= 0


def _line(source: Source, name: str) -> int:
    return 1 + source.text.count("\n", 0, max(0, source.text.find(json.dumps(name))))


def _providers(events: Mapping[Any, Sequence[Mapping[str, Any]]]) -> str:
    found = {str(runs[0]["args"].get("provider", "")) for runs in events.values()}
    return "+".join(sorted(found - {""}))


def _row(source: Source, name: str, runs: Sequence[Mapping[str, Any]]) -> Row:
    arguments = runs[0]["args"]
    word = str(arguments.get("op_name", ""))
    inputs = _tensors(arguments.get("input_type_shape"))
    outputs = _tensors(arguments.get("output_type_shape"))
    kinds, role, absorbs = onnx_word(word)
    found: Expressed = ""
    if kinds & {"add", "mul"} and not _two_tensors(inputs):
        kinds, role = frozenset(), "other"
    if kinds:
        found = _express(name, word, kinds, inputs, outputs)
    if kinds == {"conv", "dwconv"} and len(inputs) > 2 and outputs and inputs[-1] == outputs[0]:
        absorbs, found = _ADD, "a convolution with an addition fused into it"
    if isinstance(found, OpSpec) and found.op in kinds:
        kinds = frozenset((found.op,))
    return Row(
        line=_line(source, f"{name}{_KERNEL}"),
        word=word,
        values=tuple(float(event["dur"]) for event in _warm(runs)),
        unit="us",
        name=name,
        kinds=kinds,
        role=role,
        absorbs=absorbs,
        spec=found if isinstance(found, OpSpec) else None,
        reason=found if isinstance(found, str) else "",
        dtype=found.dtype if isinstance(found, OpSpec) else None,
        out_shape=outputs[0][1][1:] if outputs and "nchwc" not in name else (),
    )


def _warm(runs: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Without the first run, which allocates and packs, where there are enough others."""
    return runs[1:] if len(runs) > _FEW_RUNS else runs


def _tensors(listed: object) -> list[Tensor]:
    """``[{"float": [1, 3, 32, 32]}, ...]``; what is built otherwise is left out."""
    found = []
    for entry in listed if isinstance(listed, list) else []:
        for dtype, dims in entry.items() if isinstance(entry, dict) else ():
            if isinstance(dims, list) and all(type(size) is int for size in dims):
                found.append((str(dtype), tuple(dims)))
    return found


def _two_tensors(inputs: Sequence[Tensor]) -> bool:
    """Whether two operands of the same rank are read; scales and zero points are in between."""
    ranks = [len(shape) for _, shape in inputs if shape not in ((), (1,))]
    return len(ranks) > 1 and ranks[0] == ranks[1]


def _express(
    name: str,
    word: str,
    kinds: frozenset[OpKind],
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
) -> Expressed:
    data = [tensor for tensor in inputs if len(tensor[1]) > 1]
    if not data or not outputs:
        return "tensors that the profile does not list: give --model"
    dtype = _dtype(data[0][0], outputs[0][0])
    if dtype is None:
        return f"values of type {data[0][0]}"
    first, out = data[0][1], outputs[0][1]
    if kinds == {"dense"}:
        if len(first) != 2 or first[0] != 1 or len(out) != 2:
            return "a matrix product with several rows"
        return OpSpec("dense", 1, 1, first[1], out[1], bias=word != "MatMul", dtype=dtype)
    if len(first) != 4 or len(out) != 4 or first[0] != 1:
        return f"an input of shape {list(first)}"
    shapes = [tensor[1] for tensor in data]
    if kinds == {"add"} and (shapes[1:2] != [first] or out != first):
        return "operands of different shapes"
    if kinds <= {"avgpool", "maxpool"} and "Global" not in word:
        return "a pooling whose window the profile does not list: give --model"
    weights = shapes[1] if kinds <= {"conv", "dwconv"} and len(shapes) > 1 else ()
    if kinds <= {"conv", "dwconv"} and len(weights) != 4:
        return _NO_WEIGHTS
    last = _channels_last(word, shapes, out)
    if last is None:
        return "a layout (channels first or last) that the profile does not say: give --model"
    image, result = _image(first, last), _image(out, last)
    if kinds == {"add"}:
        return OpSpec("add", *image, image[2], bias=False, dtype=dtype, residual=1)
    if kinds == {"mul"}:
        factor = (1, 1, 1, result[2]) if last else (1, result[2], 1, 1)
        if sorted(shapes) != sorted([factor, out]):
            return "operands that are not an image and one factor per channel"
        return OpSpec("mul", *result, result[2], bias=False, dtype=dtype, residual=1)
    if kinds <= {"avgpool", "maxpool"}:
        return OpSpec("avgpool", *image, image[2], 0, bias=False, dtype=dtype)
    if weights[0] != result[2]:
        return _NO_WEIGHTS
    if weights[1] not in (1, image[2]) and "nchwc" not in name:
        return f"{image[2] // max(1, weights[1])} groups"
    depthwise = weights[1] == 1 and weights[0] == image[2] > 1
    kind: OpKind = "dwconv" if depthwise else "conv"
    bias = len(inputs) > 2
    return express(Window(kind, image, result, (weights[2], weights[3]), bias=bias, dtype=dtype))


def _dtype(first: str, out: str) -> Dtype | None:
    if (first, out) == ("float", "float"):
        return "float32"
    return "int8" if first in _BYTES and out in _BYTES else None


def _channels_last(
    word: str, shapes: Sequence[tuple[int, ...]], out: tuple[int, ...]
) -> bool | None:
    """Whether the last dimension of an image is its channels; None where that stays open.

    onnxruntime changes the layout of quantised operators (``channels_last=1``) without changing
    their names: a convolution's weights, a mean, or one factor per channel show it.
    """
    if not word.startswith("QLinear"):
        return word.startswith("Nhwc")
    if "Conv" in word:
        fits = out[1] == shapes[1][0], out[3] == shapes[1][0]
    else:
        vector = min((*shapes, out), key=math.prod)
        fits = vector[2:] == (1, 1), vector[1:3] == (1, 1)
    return fits[1] if fits[0] != fits[1] else None


def _image(shape: Sequence[int], channels_last: bool) -> Shape:
    if channels_last:
        return shape[1], shape[2], shape[3]
    return shape[2], shape[3], shape[1]
