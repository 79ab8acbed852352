"""The table of layers in ST's reports, with the shapes of their tensors.

    c_id   name (*_layer)  id  layer_type  macc     rom   tensors               shape (array id)
    1      conv2d_1        1   Conv2D      1769488  496   I: conversion_0_output  int8(1x128x128x3)
                                                          W: conv2d_1_weights     int8(16x3x3x3)
                                                          O: conv2d_1_output      int8(1x64x64x16)

Strides follow from the shapes. Which activation is fused is not said: ``none`` is written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from hybrid_nas.profiling.imports.words import st_word
from hybrid_nas.profiling.models.windows import Expressed, Window, express
from hybrid_nas.spaces.opspec import Dtype, OpKind, OpSpec

_START = re.compile(r"^\s*C-Layers\b")
_FIRST = re.compile(r"^\s*(\d+)\s{2,}(\S+)\s+(?:\d+\s+)?([A-Za-z]\S*)")
_TENSOR = re.compile(r"\b([IOW]): ?(\S+)\s+(?:(\w+)\(([\dx]+)\)|\(([\d, ]+)\)\s*(?:/ ?)?(\w+)?)")
_END = re.compile(r"^\s*(Setting validation|Number of operations|Complexity report)")


@dataclass(frozen=True)
class Layer:
    """One layer: its name, and the operator or why there is none."""

    name: str = ""
    kind: OpKind | None = None
    spec: OpSpec | None = None
    reason: str = ""


@dataclass
class _Draft:
    name: str
    word: str
    tensors: list[tuple[str, str, tuple[int, ...], str]] = field(default_factory=list)


def layers(text: str) -> Mapping[int, Layer]:
    """Layers by c_id; empty where the report lists none."""
    drafts: dict[int, _Draft] = {}
    current: _Draft | None = None
    inside = False
    for line in text.splitlines():
        if _START.match(line):
            inside, current = True, None
            continue
        if not inside:
            continue
        if _END.match(line):
            inside = False
            continue
        first = _FIRST.match(line)
        if first:
            current = drafts.setdefault(int(first[1]), _Draft(first[2], first[3]))
        for match in _TENSOR.finditer(line):
            if current is not None:
                dims, dtype = (match[4], match[3]) if match[4] else (match[5], match[6] or "")
                shape = tuple(int(size) for size in re.split(r"[x,]\s*", dims) if size)
                current.tensors.append((match[1], match[2], shape, dtype))
    return {number: _layer(draft) for number, draft in drafts.items()}


def _layer(draft: _Draft) -> Layer:
    kinds, _, _ = st_word(draft.word)
    by_role: dict[str, list[tuple[tuple[int, ...], str]]] = {"I": [], "O": [], "W": []}
    for role, name, shape, stated in draft.tensors:
        if role != "W" or len(shape) > 1 or "weight" in name:
            by_role[role].append((shape, stated))
    inputs, outputs, weights = by_role["I"], by_role["O"], by_role["W"]
    if not kinds or not inputs or not outputs:
        return Layer(draft.name)
    types = {one for _, one in (*inputs, *outputs, *weights)}
    dtype = _dtype(types)
    if dtype is None:
        return Layer(draft.name, reason=f"values of type {', '.join(sorted(types))}")
    bias = any(role == "W" and len(shape) == 1 for role, _, shape, _ in draft.tensors)
    kind, found = _express(
        draft, [shape for shape, _ in inputs], outputs[0][0], weights, bias, dtype
    )
    if isinstance(found, str):
        return Layer(draft.name, kind, reason=found)
    return Layer(draft.name, kind, found)


def _dtype(types: set[str]) -> Dtype | None:
    if types <= {"f32", "float", "float32"}:
        return "float32"
    return "int8" if types <= {"int8", "s8", "i8"} else None


def _express(
    draft: _Draft,
    inputs: list[tuple[int, ...]],
    out: tuple[int, ...],
    weights: list[tuple[tuple[int, ...], str]],
    bias: bool,
    dtype: Dtype,
) -> tuple[OpKind | None, Expressed]:
    kinds, _, _ = st_word(draft.word)
    first = inputs[0]
    if kinds == {"dense"}:
        cin, cout = math.prod(first), math.prod(out)
        if not weights or math.prod(weights[0][0]) != cin * cout:
            return "dense", "a matrix product with several rows"
        return "dense", OpSpec("dense", 1, 1, cin, cout, bias=bias, dtype=dtype)
    if len(first) != 4 or len(out) != 4 or first[0] != 1:
        return None, f"an input of shape {first}"
    image, result = (first[1], first[2], first[3]), (out[1], out[2], out[3])
    if kinds & {"add", "mul"}:
        kind: OpKind = "add" if "add" in draft.word.lower() or "add" in draft.name else "mul"
        if len(inputs) != 2 or inputs[0] != inputs[1] or image != result or kind == "mul":
            return kind, "an operation on two tensors that is no addition of equal shapes"
        return kind, OpSpec("add", *image, image[2], bias=False, dtype=dtype, residual=1)
    if not kinds & {"conv", "dwconv"}:
        return None, "a pooling whose window the report does not show: give --model"
    if not weights or len(weights[0][0]) != 4:
        return None, "a convolution without listed weights"
    shape = weights[0][0]
    # Depthwise weights stand as (channels, h, w, 1) or as (1, h, w, channels).
    depthwise = (shape[0] == image[2] == result[2] and shape[3] == 1 and image[2] > 1) or (
        shape[0] == 1 and shape[3] == image[2] == result[2] > 1
    )
    kind = "dwconv" if depthwise else "conv"
    window = Window(kind, image, result, (shape[1], shape[2]), bias=bias, dtype=dtype)
    return kind, express(window)
