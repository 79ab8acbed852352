"""A fitted router as float32 ONNX nodes: signals, one or two layers, send score, decision.

The same function as `FittedRouter.send_score`, which computes in float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.export.onnx_scores import ScoreNodes
from hybrid_nas.onnx_writer import OnnxWriter
from hybrid_nas.routing.fitted import FittedRouter
from hybrid_nas.routing.network import Layer, RouterNetwork
from hybrid_nas.routing.objectives import OBJECTIVES
from hybrid_nas.routing.signals import Block
from hybrid_nas.typing import FloatArray

_FROM_SCORES: tuple[Block, ...] = ("stats", "class", "logits")


@dataclass(frozen=True)
class Decision:
    """Names of a router's outputs: ``send_score`` float32 (1,), ``send`` bool (1,)."""

    send_score: str
    send: str


def signals_read(router: FittedRouter) -> tuple[str, ...]:
    """What a router reads: ``scores`` and ``features``, or the pooled features of a ``stage``."""
    if router.network is None:
        return ("scores",)
    blocks = router.design.blocks
    names = ["scores"] if any(block in _FROM_SCORES for block in blocks) else []
    return (*names, *(block for block in blocks if block not in _FROM_SCORES))


def write_router(
    writer: OnnxWriter, router: FittedRouter, signals: Mapping[str, str], threshold: float
) -> Decision:
    """Append a router.

    Args:
        writer: where to.
        router: its own thresholds are not looked at.
        signals: names of the float32 tensors (1, n) that `signals_read` names.
        threshold: a higher score means send.

    Raises:
        InputError: the router's method is none that can be written.
    """
    if router.network is None:
        score = ScoreNodes(writer, signals["scores"], router.n_classes).confidence(router.method)
    else:
        columns = _columns(writer, router, signals)
        network = router.network.keep(OBJECTIVES[router.method].heads)
        score = _objective(writer, router.method, _heads(writer, network, columns))
    flat = writer.node("Reshape", score, writer.constant(np.array([1])), name="send_score")
    largest = float(np.finfo(np.float32).max)  # of a coverage of 1: nothing is sent
    limit = writer.constant(np.array([min(threshold, largest)], np.float32), "threshold")
    return Decision(flat, writer.node("Greater", flat, limit, name="send"))


def _columns(writer: OnnxWriter, router: FittedRouter, signals: Mapping[str, str]) -> str:
    """The router's signals side by side, (1, d)."""
    scores = ScoreNodes(writer, signals.get("scores", ""), router.n_classes)
    columns: list[str] = []
    for block in router.design.blocks:
        match block:
            case "stats":
                columns += scores.stats()
            case "class":
                columns.append(scores.one_hot())
            case "logits":
                columns.append(scores.scores)
            case "features" | "stage1" | "stage2":
                columns.append(signals[block])
    return columns[0] if len(columns) == 1 else writer.node("Concat", *columns, axis=1)


def _heads(writer: OnnxWriter, network: RouterNetwork, signals: str) -> list[str]:
    """Outputs of the heads, (1, 1) each.

    Standardised before the first layer and not in it: a signal far from 0 that hardly varies would
    lose its digits.
    """
    away = writer.node("Sub", signals, _float32(writer, network.mean))
    x = writer.node("Div", away, _float32(writer, network.scale))
    if network.hidden is not None:
        x = writer.node("Relu", _layer(writer, network.hidden, x))
    x = _layer(writer, network.out, x)
    if len(network.heads) == 1:
        return [x]
    return [
        writer.node("Gather", x, writer.constant(np.array([head])), axis=1)
        for head in range(len(network.heads))
    ]


def _layer(writer: OnnxWriter, layer: Layer, x: str) -> str:
    return writer.gemm(x, _float32(writer, layer.weights.T), [_float32(writer, layer.bias)])


def _float32(writer: OnnxWriter, array: FloatArray) -> str:
    return writer.constant(array.astype(np.float32))


def _objective(writer: OnnxWriter, method: str, heads: list[str]) -> str:
    """The send score, (1, 1), of the method's heads."""
    match method:
        case "signed-gain":
            only_cloud, only_base = (writer.node("Sigmoid", head) for head in heads)
            return writer.node("Sub", only_cloud, only_base)
        case "oracle-label" | "oracle-label-penalised":
            return writer.node("Sigmoid", heads[0])
        case "gain-regression" | "two-stage" | "soft-gain":
            return heads[0]
        case _:
            raise InputError(f"the send score of {method} cannot be written in ONNX")
