"""Latency of operators and networks: a table's rows where there are any, else what is fitted to it.

A table without rows has a model: milliseconds linear in a few counts of the whole network. A table
with rows gets one predictor per class of operators, fitted to them: non-negative least squares, on
relative errors, of terms that say where time goes (per call, per output pixel, per value read and
written, per multiply-accumulate). It carries its own spread, and says when an operator lies outside
what was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import nnls

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.latency_table import LatencyKind, LatencyTable
from hybrid_nas.hardware.op_arrays import OP_CLASSES, OpArrays
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.typing import BoolArray, FloatArray

_MEAN_TO_SD = 1.2533  # of a normal distribution: sd = mean absolute deviation x sqrt(pi / 2)
_DENSE = OpSpec("dense", 1, 1, 1000, 1000)
"""What a router's multiply-accumulates are priced like: a dense layer of a million of them."""


def model_terms(arrays: OpArrays) -> dict[str, FloatArray]:
    """The quantities of a table's model, in millions, per operator: `latency_table.TERMS`."""
    classes = arrays.classes
    dense = classes["pointwise"] | classes["conv"] | classes["dense"]
    return {
        "conv_mmac": np.where(dense, arrays.macs, 0) / 1e6,
        "dwconv_mmac": np.where(classes["dwconv"], arrays.macs, 0) / 1e6,
        "out_melem": arrays.out_elements / 1e6,
        "conv_mweights": np.where(dense, arrays.weights, 0) / 1e6,
        "padded_melem": arrays.padded_elements / 1e6,
    }


def mechanistic_terms(op_class: str, arrays: OpArrays) -> FloatArray:
    """What the time of one class of operators is made of, float64 (n, terms), all non-negative."""
    pixels = (arrays.out_h * arrays.out_w).astype(float)
    one, cin, cout = np.ones(len(arrays)), arrays.cin.astype(float), arrays.cout.astype(float)
    k = arrays.kernel.astype(float)
    if op_class in ("pointwise", "conv"):
        read = k**2 * cin
        columns = [one, pixels, pixels * read, pixels * cout, pixels * read * cout]
    elif op_class == "dwconv":
        border = pixels - _interior_pixels(arrays)
        columns = [one]
        for part in (pixels - border, border):
            columns += [part * cout, part * cout * k, part * cout * k**2]
    elif op_class == "dense":
        columns = [one, cin, cout, cin * cout]
    else:
        columns = [one, arrays.h * arrays.w * cin, pixels * cout]
    return np.stack(columns, axis=1)


def _interior_pixels(arrays: OpArrays) -> FloatArray:
    """Output pixels whose window lies inside the image."""
    sides = []
    for size, out in ((arrays.h, arrays.out_h), (arrays.w, arrays.out_w)):
        first = -(-arrays.padding // arrays.stride)
        last = (size + arrays.padding - arrays.kernel) // arrays.stride
        sides.append(np.clip(np.minimum(last, out - 1) - first + 1, 0, None))
    return np.asarray(sides[0] * sides[1], float)


@dataclass(frozen=True)
class ClassFit:
    """A predictor of one class of operators: coefficients, relative spread, range it saw."""

    coefficients: FloatArray
    relative_sd: float
    low: FloatArray
    high: FloatArray

    @classmethod
    def of(cls, op_class: str, arrays: OpArrays, ms: FloatArray) -> ClassFit:
        """Fit to measured operators of that class."""
        terms = mechanistic_terms(op_class, arrays)
        coefficients, _ = nnls(terms / ms[:, None], np.ones(len(ms)))
        residual = terms @ coefficients / ms - 1
        freedom = max(1, len(ms) - np.count_nonzero(coefficients))
        box = _box(arrays)
        spread = float(np.sqrt((residual**2).sum() / freedom))
        return cls(coefficients, spread, box.min(0), box.max(0))


def _box(arrays: OpArrays) -> FloatArray:
    pixels = arrays.out_h * arrays.out_w
    return np.stack([pixels, arrays.cin, arrays.cout, arrays.kernel], axis=1).astype(float)


@dataclass(frozen=True)
class OpLatencies:
    """Latencies of n operators; each attribute has shape (n,).

    Attributes:
        ms: time, before the whole-network correction.
        sd_ms: its uncertainty: the spread of repeats, or the predictor's error.
        measured: whether the table has that very operator.
        extrapolated: whether it was predicted outside the range of what was measured.
    """

    ms: FloatArray
    sd_ms: FloatArray
    measured: BoolArray
    extrapolated: BoolArray


@dataclass(frozen=True)
class LatencyModel:
    """A table made ready for use: `ops` for single operators, `network_ms` for their sum."""

    table: LatencyTable

    def ops(self, ops: Sequence[OpSpec], arrays: OpArrays | None = None) -> OpLatencies:
        """Latency of each operator.

        Args:
            ops: the operators.
            arrays: the same as columns, where they are at hand already.

        Raises:
            InputError: an operator of a class that the table knows nothing about.
        """
        arrays = OpArrays.of(ops) if arrays is None else arrays
        ms, sd_ms, outside = np.zeros(len(ops)), np.zeros(len(ops)), np.zeros(len(ops), bool)
        measured = np.zeros(len(ops), bool)
        if self.table.rows:
            known = [self.table.rows.get(op.shape) for op in ops]
            unit_ms = self.table.identity.unit_ms
            for number, row in enumerate(known):
                if row is not None:
                    ms[number], sd_ms[number] = row.value * unit_ms, row.spread * unit_ms
                    measured[number] = True
        unknown = ~measured
        if unknown.any():
            ms_new, sd_new, out_new = self._predict(arrays, unknown)
            ms, sd_ms = np.where(unknown, ms_new, ms), np.where(unknown, sd_new, sd_ms)
            outside = unknown & out_new
        return OpLatencies(ms, sd_ms, measured, outside)

    def _predict(
        self, arrays: OpArrays, wanted: BoolArray
    ) -> tuple[FloatArray, FloatArray, BoolArray]:
        ms, sd_ms = np.zeros(len(arrays)), np.zeros(len(arrays))
        outside = np.zeros(len(arrays), bool)
        by_model = self._model_ms(arrays)
        for op_class in OP_CLASSES:
            mask = arrays.classes[op_class] & wanted
            if not mask.any():
                continue
            fit = self._fits.get(op_class)
            if fit is not None:
                value = mechanistic_terms(op_class, arrays) @ fit.coefficients
                box = _box(arrays)
                ms[mask], sd_ms[mask] = value[mask], (value * fit.relative_sd)[mask]
                outside |= mask & ((box < fit.low) | (box > fit.high)).any(1)
            elif by_model is not None:
                ms[mask], sd_ms[mask] = by_model[mask], (by_model * self._model_sd)[mask]
            else:
                raise InputError(
                    f"latency table {self.table.name or self.table.source} has no {op_class} row "
                    f"to predict {op_class} operators from: measure at least one"
                )
        return ms, sd_ms, outside

    def _model_ms(self, arrays: OpArrays) -> FloatArray | None:
        if not self.table.model:
            return None
        terms = model_terms(arrays)
        total = np.zeros(len(arrays))
        for name, factor in self.table.model.items():
            total += factor * terms[name]
        return total

    @cached_property
    def _model_sd(self) -> float:
        validation = self.table.validation
        return _MEAN_TO_SD * validation.mean if validation else 0.0

    @cached_property
    def _fits(self) -> dict[str, ClassFit]:
        ops = list(self.table.rows)
        if not ops:
            return {}
        arrays = OpArrays.of(ops)
        unit_ms = self.table.identity.unit_ms
        ms = np.array([row.value for row in self.table.rows.values()]) * unit_ms
        fits = {}
        for op_class in OP_CLASSES:
            chosen = np.flatnonzero(arrays.classes[op_class])
            if len(chosen):
                part = OpArrays.of([ops[number] for number in chosen])
                fits[op_class] = ClassFit.of(op_class, part, ms[chosen])
        return fits

    def network_ms(self, sum_ms: FloatArray, n_ops: FloatArray) -> FloatArray:
        """What whole networks take, from the sums of their operators and their number."""
        correction = self.table.correction
        return correction.scale * sum_ms + correction.per_op_ms * n_ops

    @cached_property
    def ms_per_router_mac(self) -> float:
        """Price of one multiply-accumulate of a router's dense layers, correction included."""
        single = float(self.ops([_DENSE]).ms[0]) / _DENSE.macs
        return self.table.correction.scale * single

    def kind_of(self, measured: BoolArray) -> LatencyKind:
        """What a network's latency may be called, given which of its operators the table has."""
        if self.table.kind == "measured" and not measured.all():
            return "predicted"
        return self.table.kind
