"""What every exporter gets: one network, in float and in int8."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hybrid_nas.quantise.float_graph import FloatOp
from hybrid_nas.quantise.int8_graph import Int8Graph
from hybrid_nas.spaces.architecture import Architecture

Precision = Literal["fp32", "int8"]


@dataclass(frozen=True, eq=False)
class ExportedNetwork:
    """A calibrated classifier.

    Attributes:
        name: a word for file names and identifiers: letters, digits, underscores.
        architecture: its blocks.
        float_ops: its operators with float weights, batch norm folded; input (x - 127.5) / 127.5 of
            grey levels x.
        graph: the same operators in int8; None where an operator has no int8 kernel.
        classes: names, in the order of its scores.
    """

    name: str
    architecture: Architecture
    float_ops: tuple[FloatOp, ...]
    graph: Int8Graph | None
    classes: tuple[str, ...]
