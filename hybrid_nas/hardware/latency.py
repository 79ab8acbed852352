"""Latency of operators and networks: a table's rows where there are any, else what is fitted to it.

A table without rows has a model: milliseconds linear in a few counts of the whole network. A table
with rows gets one `OpPredictor` per class of operators (and type of values), which carries its own
uncertainty and says when an operator lies beyond what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.latency_table import LatencyKind, LatencyTable
from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.hardware.op_predictor import INTERVAL_SDS, OpPredictor, take
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.typing import BoolArray, FloatArray, IntArray

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


Group = tuple[str, int]
"""Operators that are predicted together: a class of them, and the bytes of one value."""


def group_rows(arrays: OpArrays) -> dict[Group, IntArray]:
    """Indices of the operators of each group that there is."""
    found = {}
    for op_class, mask in arrays.classes.items():
        for size in np.unique(arrays.itemsize[mask]).tolist():
            found[op_class, size] = np.flatnonzero(mask & (arrays.itemsize == size))
    return found


@lru_cache(maxsize=32)
def fit_predictors(rows: tuple[tuple[OpSpec, float], ...]) -> Mapping[Group, OpPredictor]:
    """A predictor of each group of operators that has a row, from rows (operator, milliseconds).

    Fits are kept: another `LatencyModel` of the same table costs next to nothing.
    """
    arrays, ms = OpArrays.of(op for op, _ in rows), np.array([value for _, value in rows])
    return {
        group: OpPredictor.fit(group[0], take(arrays, chosen), ms[chosen])
        for group, chosen in group_rows(arrays).items()
    }


@dataclass(frozen=True)
class OpLatencies:
    """Latencies of n operators; each attribute has shape (n,).

    Attributes:
        ms: time, before the whole-network correction.
        sd_ms: its uncertainty: the spread of repeats, or the predictor's error.
        measured: whether the table has a row of the operator (`LatencyTable.row_of`).
        extrapolated: whether it was predicted beyond what was measured.
    """

    ms: FloatArray
    sd_ms: FloatArray
    measured: BoolArray
    extrapolated: BoolArray

    def interval_ms(self) -> tuple[FloatArray, FloatArray]:
        """Low and high ends of 90 % intervals; they lie evenly about `ms` on a log scale."""
        factor = np.exp(INTERVAL_SDS * self.sd_ms / self.ms)
        return self.ms / factor, self.ms * factor


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
        n = len(ops)
        found = OpLatencies(np.zeros(n), np.zeros(n), np.zeros(n, bool), np.zeros(n, bool))
        if self.table.rows:
            unit_ms = self.table.identity.unit_ms
            for number, op in enumerate(ops):
                row = self.table.row_of(op)
                if row is not None:
                    found.ms[number] = row.value * unit_ms
                    found.sd_ms[number] = row.spread * unit_ms
                    found.measured[number] = True
        unknown = np.flatnonzero(~found.measured)
        if len(unknown):
            self._predict(take(arrays, unknown), unknown, found)
        return found

    def predictable(self, arrays: OpArrays) -> BoolArray:
        """Whether the table has anything to predict each operator from."""
        if self.table.model:
            return np.ones(len(arrays), bool)
        known = np.zeros(len(arrays), bool)
        for group, chosen in group_rows(arrays).items():
            known[chosen] = group in self._predictors
        return known

    def lack(self, arrays: OpArrays) -> str:
        """Why the latency of these operators cannot be known, if it cannot; else empty."""
        unknown = np.flatnonzero(~self.predictable(arrays))
        groups = group_rows(take(arrays, unknown)) if len(unknown) else {}
        return "; ".join(map(self._lack_of, groups))

    def _lack_of(self, group: Group) -> str:
        op_class, dtype = group[0], "int8" if group[1] == 1 else "float32"
        return (
            f"latency table {self.table.name or self.table.source} has no {op_class} row of "
            f"{dtype} to predict {op_class} operators from"
        )

    def _predict(self, arrays: OpArrays, places: IntArray, found: OpLatencies) -> None:
        """Write predictions for `arrays` into `found`, at `places`."""
        for group, chosen in group_rows(arrays).items():
            part, at = take(arrays, chosen), places[chosen]
            predictor = self._predictors.get(group)
            if predictor is not None:
                predicted = predictor.predict(part)
                found.ms[at] = predicted.ms
                found.sd_ms[at] = predicted.ms * predicted.log_sd
                found.extrapolated[at] = predicted.extrapolated
            elif self.table.model:
                found.ms[at] = ms = self._model_ms(part)
                found.sd_ms[at] = ms * self._model_sd
            else:
                raise InputError(
                    f"{self._lack_of(group)}: measure at least one, or give another --table, "
                    "--runtime or --board"
                )

    def _model_ms(self, arrays: OpArrays) -> FloatArray:
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
    def _predictors(self) -> Mapping[Group, OpPredictor]:
        unit_ms = self.table.identity.unit_ms
        return fit_predictors(
            tuple((op, row.value * unit_ms) for op, row in self.table.rows.items())
        )

    def network_ms(self, sum_ms: FloatArray, n_ops: FloatArray) -> FloatArray:
        """What whole networks take, from the sums of their operators and their number."""
        correction = self.table.correction
        return correction.scale * sum_ms + correction.per_op_ms * n_ops

    def energy_mj(self, network_ms: float) -> float | None:
        """Energy of a network that takes so long, in millijoules; None where power is unknown."""
        energy = self.table.energy
        return None if energy is None else network_ms * energy.power_mw / 1e3

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
