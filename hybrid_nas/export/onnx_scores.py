"""Signals and confidences of a base's scores as float32 ONNX nodes.

`routing.signals` and `routing.confidence` compute them in float64. What would round away in float32
is arranged otherwise: the probability that is left to the other classes is summed from them, and
log(1 + x) of a small x is x log(u) / (u - 1) with u = 1 + x (Goldberg, "What Every Computer
Scientist Should Know About Floating-Point Arithmetic", 1991, theorem 4).
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from onnx import TensorProto

from hybrid_nas.errors import InputError
from hybrid_nas.onnx_writer import OnnxWriter
from hybrid_nas.routing.signals import LOG_ODDS_BOUND

_TINY = np.exp(-2 * LOG_ODDS_BOUND)


class ScoreNodes:
    """Nodes over the scores (1, classes); what methods return is (1, width).

    Args:
        writer: where to.
        scores: the name of the tensor.
        n_classes: its width.
    """

    def __init__(self, writer: OnnxWriter, scores: str, n_classes: int) -> None:
        self._writer, self.scores, self._n_classes = writer, scores, n_classes

    def confidence(self, name: str) -> str:
        """A plain confidence as send score."""
        write = {
            "msp": lambda: self._msp,
            "margin": lambda: self._node("Add", self._msp, self._column(self._largest, 1)),
            "entropy": lambda: self._entropy,
            "max-logit": lambda: self._node("Neg", self._highest),
        }
        if name not in write:
            raise InputError(f"{name!r} is no confidence: expected one of {', '.join(write)}")
        return write[name]()

    def stats(self) -> list[str]:
        """The summaries, in the order of the block ``stats``."""
        first, second = (self._column(self._largest, column) for column in (0, 1))
        ratio = self._log_ratio(first, second)
        log_sum = self._node("Add", self._highest, self._log_total)
        return [
            self._node("Clip", self._log_odds(), *self._constants(-LOG_ODDS_BOUND, LOG_ODDS_BOUND)),
            self._entropy,
            self._largest,
            self._node("Min", ratio, *self._constants(LOG_ODDS_BOUND)),
            self._highest,
            log_sum,
            self._deviation(),
        ]

    def one_hot(self) -> str:
        """The predicted class, the first one of equals."""
        every = self._writer.constant(np.arange(self._n_classes, dtype=np.int64)[None])
        return self._node("Cast", self._node("Equal", every, self._class), to=TensorProto.FLOAT)

    # -- parts that several signals share; each is written once

    @cached_property
    def _class(self) -> str:
        return self._node("ArgMax", self.scores, axis=1, keepdims=1)

    @cached_property
    def _highest(self) -> str:
        return self._node("ReduceMax", self.scores, axes=[1], keepdims=1)

    @cached_property
    def _below(self) -> str:
        """Scores less the highest."""
        return self._node("Sub", self.scores, self._highest)

    @cached_property
    def _others(self) -> str:
        """exp of `_below`, and 0 for the predicted class."""
        return self._node("Mul", self._node("Exp", self._below), self._not_predicted)

    @cached_property
    def _not_predicted(self) -> str:
        return self._node("Sub", *self._constants(1.0), self.one_hot())

    @cached_property
    def _rest(self) -> str:
        """Sum of `_others`: (1 - p) / p of the predicted class."""
        return self._sum(self._others)

    @cached_property
    def _total(self) -> str:
        return self._node("Add", self._rest, *self._constants(1.0))

    @cached_property
    def _msp(self) -> str:
        return self._node("Div", self._rest, self._total)

    @cached_property
    def _log_total(self) -> str:
        """log(1 + rest), exact for a small rest."""
        excess = self._node("Sub", self._total, *self._constants(1.0))
        nothing = self._node("Equal", excess, *self._constants(0.0))
        safe = self._node("Where", nothing, *self._constants(1.0), excess)
        quotient = self._node("Div", self._node("Log", self._total), safe)
        exact = self._node("Mul", self._rest, quotient)
        return self._node("Where", nothing, self._rest, exact)

    @cached_property
    def _entropy(self) -> str:
        """log(total) - sum p (score - highest), of which the predicted class has no part."""
        weighted = self._sum(self._node("Mul", self._others, self._below))
        return self._node("Sub", self._log_total, self._node("Div", weighted, self._total))

    @cached_property
    def _largest(self) -> str:
        """The largest probabilities, three at most, descending."""
        count = self._writer.constant(np.array([min(3, self._n_classes)]))
        powers = self._node("Exp", self._node("TopK", self._below, count, axis=1, unused=1))
        return self._node("Div", powers, self._total)

    # -- helpers

    def _log_odds(self) -> str:
        certain = self._node("Div", *self._constants(1.0), self._total)
        return self._log_ratio(certain, self._msp)

    def _log_ratio(self, above: str, below: str) -> str:
        """log(above / below), both bounded from below so that their quotient exists."""
        bounded = [self._node("Max", name, *self._constants(_TINY)) for name in (above, below)]
        return self._node("Sub", *(self._node("Log", name) for name in bounded))

    def _deviation(self) -> str:
        mean = self._node("ReduceMean", self.scores, axes=[1], keepdims=1)
        off = self._node("Sub", self.scores, mean)
        squares = self._node("Mul", off, off)
        return self._node("Sqrt", self._node("ReduceMean", squares, axes=[1], keepdims=1))

    def _column(self, x: str, column: int) -> str:
        return self._node("Gather", x, self._writer.constant(np.array([column])), axis=1)

    def _sum(self, x: str) -> str:
        return self._node("ReduceSum", x, self._writer.constant(np.array([1])), keepdims=1)

    def _constants(self, *values: float) -> list[str]:
        return [self._writer.constant(np.float32(value)) for value in values]

    def _node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        return self._writer.node(kind, *inputs, **attributes)
