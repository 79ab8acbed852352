"""Statistics and plain confidences of int8 scores, in float32 as the device computes them.

The twins of `routing.signals` and `routing.confidence`, which work in float64 on real scores.
Probabilities are kept as multiples of the largest, e_k = exp(scale * (q_k - q_max)): the rest,
1 - p1 = sum of the other e_k / sum of all, does not round to 0 near certainty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybrid_nas.export import device_math as fn
from hybrid_nas.quantise.int8_graph import Int32Array
from hybrid_nas.quantise.int8_kernels import Int8Array
from hybrid_nas.quantise.scheme import Affine
from hybrid_nas.routing.signals import LOG_ODDS_BOUND
from hybrid_nas.typing import Float32Array, IntArray

_BOUND = np.float32(LOG_ODDS_BOUND)
_LEAST_REST = np.float32(2.0**-18)  # its log-odds are beyond the bound
_LEVELS = 256


@dataclass(frozen=True, eq=False)
class Ranked:
    """int8 scores (n, classes) in order: what statistics and confidences are made of.

    Attributes:
        affine: a score is ``scale * (q - zero)``.
        best: the predicted class (n,), the first one of equals.
        largest: (n, 3 or 2), descending.
        rest, distance: (n,), sums over all classes but the predicted one, in their order, of e_k
            and of e_k times how far score k is below the largest.
    """

    affine: Affine
    scores: Int8Array
    best: IntArray
    largest: Int32Array
    rest: Float32Array
    distance: Float32Array

    @classmethod
    def of(cls, scores: Int8Array, affine: Affine) -> Ranked:
        """Sort and sum up."""
        n, classes = scores.shape
        wide = scores.astype(np.int32)
        best = scores.argmax(axis=1)
        kept = min(3, classes)
        largest = np.partition(wide, range(classes - kept, classes), axis=1)[:, : -kept - 1 : -1]
        # There are few different distances from the largest score: look their functions up.
        x = np.arange(_LEVELS, dtype=np.int32).astype(np.float32) * np.float32(affine.scale)
        e = fn.exp_minus(x)
        below = largest[:, :1] - wide
        rest, distance = e[below], (e * x)[below]
        rest[np.arange(n), best] = distance[np.arange(n), best] = 0.0
        return cls(affine, scores, best, largest, fn.sum_in_order(rest), fn.sum_in_order(distance))

    @property
    def highest(self) -> Float32Array:
        """The largest score (n,)."""
        return (self.largest[:, 0] - np.int32(self.affine.zero)).astype(np.float32) * self._scale

    @property
    def msp(self) -> Float32Array:
        """1 - p1 (n,)."""
        return self.rest / self._total

    @property
    def margin(self) -> Float32Array:
        """1 - (p1 - p2) (n,)."""
        return (self.rest + self._relative(1)) / self._total

    @property
    def entropy(self) -> Float32Array:
        """In nats (n,): both terms are positive, nothing cancels."""
        return fn.log1p(self.rest) + self.distance / self._total

    @property
    def max_logit(self) -> Float32Array:
        """Minus the largest score (n,)."""
        return -self.highest

    @property
    def stats(self) -> Float32Array:
        """The block `stats` (n, 9), or (n, 8) of two classes, columns as `routing.signals` has."""
        classes = self.scores.shape[1]
        certainty = -fn.log(np.maximum(self.rest, _LEAST_REST))
        columns = [np.minimum(certainty, _BOUND), self.entropy]
        columns += [self._relative(rank) / self._total for rank in range(self.largest.shape[1])]
        columns += [np.minimum(self._below(1), _BOUND), self.highest]
        columns += [self.highest + fn.log1p(self.rest)]
        wide = self.scores.astype(np.int64)
        variance = classes * (wide * wide).sum(axis=1) - wide.sum(axis=1) ** 2
        root = fn.sqrt(variance.astype(np.float32))
        columns += [(root / np.float32(classes)) * self._scale]
        return np.stack(columns, axis=1)

    @property
    def _scale(self) -> np.float32:
        return np.float32(self.affine.scale)

    @property
    def _total(self) -> Float32Array:
        return np.float32(1.0) + self.rest

    def _below(self, rank: int) -> Float32Array:
        steps: Int32Array = self.largest[:, 0] - self.largest[:, rank]
        return steps.astype(np.float32) * self._scale

    def _relative(self, rank: int) -> Float32Array:
        return fn.exp_minus(self._below(rank))


def confidence(ranked: Ranked, name: str) -> Float32Array:
    """The send score (n,) of a plain confidence (`routing.confidence.CONFIDENCES`)."""
    match name:
        case "msp":
            return ranked.msp
        case "entropy":
            return ranked.entropy
        case "margin":
            return ranked.margin
        case _:
            return ranked.max_logit
