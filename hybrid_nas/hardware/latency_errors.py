"""How wrong a latency table is on operators that it has not seen.

`held_out_errors` asks the table's own rows, each predicted by what is fitted to others;
`check` asks rows of another measurement, which no fit has seen at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.latency import LatencyModel, OpLatencies, group_rows
from hybrid_nas.hardware.latency_table import HeldOut, LatencyTable, Measurement
from hybrid_nas.hardware.op_arrays import OP_CLASSES, OpArrays
from hybrid_nas.hardware.op_predictor import INTERVAL_SDS, OpPredictor, take
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.typing import BoolArray, FloatArray, IntArray

WARN_ABOVE, REFUSE_ABOVE = 0.10, 0.20
"""Mean relative errors on whole networks that bring a warning, and that bar hard limits."""

_FOLDS = 10
_LEAST_ROWS = 3  # of a class, to say anything about its error
_DIGITS = 5


def verdict(mean_error: float) -> str:
    """One word for a mean relative error: good, fair, poor or unfit."""
    if mean_error > REFUSE_ABOVE:
        return "unfit"
    if mean_error > WARN_ABOVE:
        return "poor"
    return "good" if mean_error <= WARN_ABOVE / 2 else "fair"


def held_out_errors(table: LatencyTable) -> Mapping[str, HeldOut]:
    """Errors of the table's predictions on its own rows, by class of operators.

    Rows are split into ten folds (or as many as there are rows); each is predicted from the rows of
    the other folds, settings and intervals included. The split depends on the set of rows alone.
    Classes with fewer than three rows are left out.
    """
    ops = sorted(table.rows, key=str)
    arrays = OpArrays.of(ops)
    truth = np.array([table.rows[op].value for op in ops]) * table.identity.unit_ms
    misses: dict[str, list[FloatArray]] = {}
    for (op_class, _), chosen in group_rows(arrays).items():
        if len(chosen) >= _LEAST_ROWS:
            missed = _misses(op_class, take(arrays, chosen), truth[chosen])
            misses.setdefault(op_class, []).append(missed)
    return MappingProxyType({name: _held_out(np.concatenate(misses[name])) for name in misses})


def with_held_out(table: LatencyTable) -> LatencyTable:
    """The table with its `held_out` errors worked out anew."""
    return replace(table, held_out=held_out_errors(table))


def _misses(op_class: str, arrays: OpArrays, truth: FloatArray) -> FloatArray:
    """Relative error of each row, and the same as a share of its half interval: (n, 2)."""
    fold = np.random.default_rng(0).permutation(len(truth)) % min(_FOLDS, len(truth))
    misses = np.zeros((len(truth), 2))
    for number in range(int(fold.max()) + 1):
        kept, own = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        fitted = OpPredictor.fit(op_class, take(arrays, kept), truth[kept])
        found = fitted.predict(take(arrays, own))
        misses[own, 0] = np.abs(found.ms / truth[own] - 1)
        misses[own, 1] = np.abs(np.log(found.ms / truth[own])) / (INTERVAL_SDS * found.log_sd)
    return misses


def _held_out(misses: FloatArray) -> HeldOut:
    errors, shares = misses.T
    return HeldOut(
        mean=round(float(errors.mean()), _DIGITS),
        p95=round(float(np.quantile(errors, 0.95)), _DIGITS),
        worst=round(float(errors.max()), _DIGITS),
        n=len(errors),
        interval_90=round(float((shares <= 1).mean()), _DIGITS),
    )


# -- against another measurement


@dataclass(frozen=True)
class Agreement:
    """How predictions and measurements of n operators agree.

    Attributes:
        n: number of operators.
        mean, median, p95, worst: of absolute relative errors, as fractions.
        bias: mean of relative errors with their sign; above 0 is predicted too slow.
        kendall_tau: rank correlation (tau-b); None with fewer than two operators, or all equal.
        interval_90: share inside 90 % intervals; None for rows that the table holds.
        extrapolated: number predicted beyond what was measured.
    """

    n: int
    mean: float
    median: float
    p95: float
    worst: float
    bias: float
    kendall_tau: float | None
    interval_90: float | None
    extrapolated: int


@dataclass(frozen=True)
class Check:
    """A table against rows of another measurement.

    Attributes:
        unseen: on rows that the table does not hold; None where there are none.
        by_class: the same, per class.
        seen: on rows that the table holds: how well two measurements agree.
        not_predictable: rows per class of which the table knows nothing.
        worst: the operator with the largest error among the unseen, with its error.
    """

    unseen: Agreement | None
    by_class: Mapping[str, Agreement]
    seen: Agreement | None
    not_predictable: Mapping[str, int]
    worst: tuple[OpSpec, float] | None


def check(table: LatencyTable, rows: Iterable[tuple[OpSpec, Measurement]]) -> Check:
    """Errors of `table` on `rows`, whose values are in the table's unit.

    Raises:
        InputError: there are no rows.
    """
    pairs = list(rows)
    if not pairs:
        raise InputError("there is no row to check against: expected at least one")
    ops = [op for op, _ in pairs]
    arrays, model = OpArrays.of(ops), LatencyModel(table)
    truth = np.array([row.value for _, row in pairs]) * table.identity.unit_ms
    known = model.predictable(arrays)
    held = np.array([table.row_of(op) is not None for op in ops])
    usable = np.flatnonzero(known | held)
    predicted = _scatter(model.ops([ops[number] for number in usable]), usable, len(ops))

    def agreement(mask: BoolArray) -> Agreement | None:
        return _agreement(predicted, truth, np.flatnonzero(mask))

    unseen = known & ~held
    by_class = {name: agreement(mask & unseen) for name, mask in arrays.classes.items()}
    lost = {
        name: int(n) for name in OP_CLASSES if (n := (arrays.classes[name] & ~known & ~held).sum())
    }
    errors = np.where(unseen, np.abs(predicted.ms / truth - 1), -1.0)
    at = int(errors.argmax())
    return Check(
        unseen=agreement(unseen),
        by_class={name: found for name in OP_CLASSES if (found := by_class[name]) is not None},
        seen=agreement(held),
        not_predictable=lost,
        worst=(ops[at], float(predicted.ms[at] / truth[at] - 1)) if unseen.any() else None,
    )


def _scatter(part: OpLatencies, places: IntArray, n: int) -> OpLatencies:
    """Latencies of n operators, of which only those at `places` are known; others are 1 ms."""
    whole = OpLatencies(np.ones(n), np.zeros(n), np.zeros(n, bool), np.zeros(n, bool))
    for name in ("ms", "sd_ms", "measured", "extrapolated"):
        getattr(whole, name)[places] = getattr(part, name)
    return whole


def _agreement(predicted: OpLatencies, truth: FloatArray, chosen: IntArray) -> Agreement | None:
    if not len(chosen):
        return None
    from scipy.stats import kendalltau  # slow to import, and nothing else needs it

    ms, true = predicted.ms[chosen], truth[chosen]
    error = ms / true - 1
    tau = float(kendalltau(ms, true).statistic) if len(chosen) > 1 else np.nan
    low, high = predicted.interval_ms()
    inside = (truth >= low) & (truth <= high)
    held = bool(predicted.measured[chosen].all())
    return Agreement(
        n=len(chosen),
        mean=float(np.abs(error).mean()),
        median=float(np.median(np.abs(error))),
        p95=float(np.quantile(np.abs(error), 0.95)),
        worst=float(np.abs(error).max()),
        bias=float(error.mean()),
        kendall_tau=tau if np.isfinite(tau) else None,
        interval_90=None if held else float(inside[chosen].mean()),
        extrapolated=int(predicted.extrapolated[chosen].sum()),
    )
