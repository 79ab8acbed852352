"""The tools' names of operators, and which kinds of `OpSpec` they may mean."""

from __future__ import annotations

import re

from hybrid_nas.profiling.imports.log import Role
from hybrid_nas.profiling.models.onnx_model import KINDS as ONNX_KINDS
from hybrid_nas.profiling.models.tflite_model import KINDS as TFLITE_KINDS
from hybrid_nas.spaces.opspec import OpKind

Meaning = tuple[frozenset[OpKind], Role, frozenset[OpKind]]
"""Kinds that a word may mean, the role of its row, kinds that may be fused into it."""

_NONE: frozenset[OpKind] = frozenset()
_POOLS: frozenset[OpKind] = frozenset(("avgpool", "maxpool"))
_ACTIVATIONS = re.compile(
    r"relu|prelu|nonlinearity|\bnl\b|clip|sigmoid|logistic|tanh|h_?swish|hard_?swish|silu", re.I
)
_PADS = re.compile(r"^(mirror_?)?pad(v2)?\b", re.I)


def tflite_word(word: str) -> Meaning:
    """An operator of TFLite: ``CONV_2D``, ``SOFTMAX``.

    >>> tflite_word("CONV_2D")[1], tflite_word("PADV2")[1], tflite_word("RESHAPE")[1]
    ('op', 'pad', 'other')
    """
    kind = TFLITE_KINDS.get(word)
    return (frozenset((kind,)), "op", _NONE) if kind else (_NONE, _role(word), _NONE)


def onnx_word(word: str) -> Meaning:
    """An operator of ONNX, or one that onnxruntime's optimiser made of several."""
    base = re.sub(r"^(Fused|Nhwc|NhwcFused)(?=[A-Z])", "", word)
    kind = ONNX_KINDS.get(base)
    if kind is None:
        return _NONE, _role(word), _NONE
    if kind == "conv":
        return frozenset(("conv", "dwconv")), "op", _NONE
    return frozenset((kind,)), "op", _NONE


_ST: tuple[tuple[str, frozenset[OpKind], frozenset[OpKind]], ...] = (
    (r"conv.*pool", frozenset(("conv", "dwconv")), _POOLS),
    (r"depthwise|dw_?conv", frozenset(("dwconv",)), _NONE),
    (r"conv(olution)?(al)?[ _]?(2d)?|2d convolution", frozenset(("conv", "dwconv")), _NONE),
    (r"dense|gemm|fully", frozenset(("dense",)), _NONE),
    (r"eltwise/add|\badd\b", frozenset(("add",)), _NONE),
    (r"eltwise/mul|\bmul\b", frozenset(("mul",)), _NONE),
    (r"eltwise", frozenset(("add", "mul")), _NONE),
    (r"pool|reduce.?mean", _POOLS, _NONE),
)


def st_word(word: str) -> Meaning:
    """A node of X-CUBE-AI or ST Edge AI: ``Conv2D (0x103)``, ``10011/(Merged Conv2d / Pool)``.

    >>> sorted(st_word("Conv2D (0x103)")[0]), st_word("NL (0x107)")[1], st_word("Conversion")[1]
    (['conv', 'dwconv'], 'activation', 'other')
    """
    bare = re.sub(r"\(0x[0-9a-f]+\)|^\d+/", "", word, flags=re.I)
    if re.search(r"conver|transpose[ _]?conv|deconv", bare, re.I):
        return _NONE, "other", _NONE
    for pattern, kinds, absorbs in _ST:
        if re.search(pattern, bare, re.I):
            return kinds, "op", absorbs
    return _NONE, _role(bare), _NONE


def vela_word(word: str) -> Meaning:
    """An operator of Vela's internal graph: ``Conv2DBias``, ``AvgPool``.

    >>> sorted(vela_word("DepthwiseConv2DBias")[0])
    ['dwconv']
    """
    kinds: dict[str, OpKind] = {
        "Conv2D": "conv",
        "Conv2DBias": "conv",
        "DepthwiseConv2D": "dwconv",
        "DepthwiseConv2DBias": "dwconv",
        "FullyConnected": "dense",
        "Add": "add",
        "Mul": "mul",
        "AvgPool": "avgpool",
        "MaxPool": "maxpool",
        "Mean": "avgpool",
    }
    kind = kinds.get(word)
    return (frozenset((kind,)), "op", _NONE) if kind else (_NONE, _role(word), _NONE)


def _role(word: str) -> Role:
    if _PADS.search(word.strip()):
        return "pad"
    return "activation" if _ACTIVATIONS.search(word) else "other"
