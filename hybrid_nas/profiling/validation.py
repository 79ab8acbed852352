"""Does the sum of operators say what a whole network takes? Measured on random networks.

A network takes ``a * sum + b * n``: caches are warm or cold, calls cost, tensors lie elsewhere than
in a single run. ``a`` and ``b`` are fitted on relative errors, both 0 or more. The error that a
table states is that of networks left out of the fit one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from scipy.optimize import nnls
from scipy.stats import kendalltau

from hybrid_nas.errors import HybridNasError, InputError
from hybrid_nas.hardware.latency import LatencyModel
from hybrid_nas.hardware.latency_table import Correction, LatencyTable, Validation
from hybrid_nas.profiling.backend import Backend
from hybrid_nas.profiling.pool import board_limits, fitting_networks
from hybrid_nas.spaces.architecture import Architecture
from hybrid_nas.spaces.space import SearchSpace
from hybrid_nas.typing import FloatArray

DEFAULT_NETWORKS = 8
LEAST_NETWORKS = 3
"""Two parameters and one network left out."""
_MOST_TRIES = 6
"""Networks tried per network wanted, where a device refuses some."""
_DIGITS = 6  # of the errors in a table
_PURPOSE = 1
"""Validation networks are drawn apart from those whose operators were planned."""


@dataclass(frozen=True)
class NetworkCheck:
    """One network.

    Attributes:
        n_ops: its operators.
        macs: its multiply-accumulates.
        in_table: share of its operators that the table has measured.
        sum_ms: sum of its operators, measured or predicted.
        measured_ms: what it took as a whole.
        predicted_ms: what the table would have said, corrected by the other networks.
    """

    n_ops: int
    macs: int
    in_table: float
    sum_ms: float
    measured_ms: float
    predicted_ms: float = 0.0

    @property
    def error(self) -> float:
        """Relative error of the prediction, as a fraction."""
        return self.predicted_ms / self.measured_ms - 1


@dataclass(frozen=True)
class Validated:
    """A table with its correction and its error, and the networks behind them."""

    table: LatencyTable
    networks: tuple[NetworkCheck, ...]
    refused: tuple[str, ...]

    @property
    def validation(self) -> Validation:
        """What the table says of its own error."""
        assert self.table.validation is not None
        return self.table.validation


Report = Callable[[int, int], None]


def fit_correction(sum_ms: FloatArray, n_ops: FloatArray, measured_ms: FloatArray) -> Correction:
    """The non-negative scale and time per operator with the least squared relative errors.

    Args:
        sum_ms: sums of operators, (n,).
        n_ops: numbers of operators, (n,).
        measured_ms: whole networks, (n,), above 0.

    >>> fit_correction(np.array([1.0, 2.0, 9.0]), np.array([10, 30, 20]),
    ...                np.array([1.2, 2.5, 9.3])).scale.__round__(3)
    0.999
    """
    terms = np.stack([sum_ms, n_ops], axis=1) / measured_ms[:, None]
    scale, per_op = nnls(terms, np.ones(len(measured_ms)))[0]
    return Correction(float(scale), float(per_op))


def leave_one_out(sum_ms: FloatArray, n_ops: FloatArray, measured_ms: FloatArray) -> FloatArray:
    """What each network is predicted to take by a correction fitted to the others, (n,)."""
    predicted = np.empty(len(sum_ms))
    for out in range(len(sum_ms)):
        kept = np.arange(len(sum_ms)) != out
        fitted = fit_correction(sum_ms[kept], n_ops[kept], measured_ms[kept])
        predicted[out] = fitted.scale * sum_ms[out] + fitted.per_op_ms * n_ops[out]
    return predicted


def random_networks(space: SearchSpace, board: str, seed: int, n: int) -> list[Architecture]:
    """Different random networks of the space within the board's memory, for `n` to be measured.

    There are more of them than `n` where the space has them, for those that the device refuses.
    """
    rows, _ = fitting_networks(space, board_limits(board), seed, _PURPOSE)
    return [space.architecture(row) for row in rows[: n * _MOST_TRIES].tolist()]


def validate(
    table: LatencyTable,
    backend: Backend,
    networks: Sequence[Architecture],
    n: int = DEFAULT_NETWORKS,
    *,
    report: Report = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> Validated:
    """Measure whole networks and fit the table's correction to them.

    Args:
        table: its rows are used, its correction and validation replaced.
        backend: the device that the table is of.
        networks: tried in this order until `n` have run; those that the device refuses, or that
            have operators that the table cannot predict, are passed over.
        n: how many to measure.
        report: called with the number measured and `n`.
        stop: asked between networks; true ends the work.

    Raises:
        InputError: the table is of another device; fewer than three networks are asked for.
        HybridNasError: fewer than three could be measured.
        DeviceLostError: the device is gone.
        KeyboardInterrupt: `stop` said so.
    """
    if n < LEAST_NETWORKS:
        raise InputError(f"a validation needs at least {LEAST_NETWORKS} networks (got {n})")
    require_identity(table, backend)
    model = LatencyModel(replace(table, correction=Correction()))
    found: list[NetworkCheck] = []
    refused: list[str] = []
    report(0, n)
    for network in networks:
        if len(found) == n:
            break
        if stop():
            raise KeyboardInterrupt
        try:
            found.append(_check(model, backend, network))
        except InputError as error:
            refused.append(str(error))
        report(len(found), n)
    if len(found) < LEAST_NETWORKS:
        why = f"; the last one refused: {refused[-1]}" if refused else ""
        raise HybridNasError(
            f"only {len(found)} networks could be measured, a validation needs at least "
            f"{LEAST_NETWORKS}{why}"
        )
    return _judge(table, found, refused)


def _check(model: LatencyModel, backend: Backend, network: Architecture) -> NetworkCheck:
    latencies = model.ops(network.ops)
    measured = backend.measure_network(network.ops)
    return NetworkCheck(
        n_ops=len(network.ops),
        macs=network.macs,
        in_table=float(latencies.measured.mean()),
        sum_ms=float(latencies.ms.sum()),
        measured_ms=measured.value * backend.identity.unit_ms,
    )


def _judge(table: LatencyTable, found: Sequence[NetworkCheck], refused: Sequence[str]) -> Validated:
    sums, measured = (
        np.array([getattr(check, name) for check in found]) for name in ("sum_ms", "measured_ms")
    )
    n_ops = np.array([float(check.n_ops) for check in found])
    predicted = leave_one_out(sums, n_ops, measured)
    checks = tuple(
        replace(check, predicted_ms=float(ms)) for check, ms in zip(found, predicted, strict=True)
    )
    errors = np.abs([check.error for check in checks])
    tau = float(kendalltau(predicted, measured).statistic)
    validation = Validation(
        mean=round(float(errors.mean()), _DIGITS),
        worst=round(float(errors.max()), _DIGITS),
        networks=len(checks),
        how=f"{len(checks)} random networks measured whole, each predicted without itself",
        kendall_tau=round(tau, _DIGITS)
        if np.isfinite(tau)
        else None,  # equal latencies have no rank
    )
    checked = replace(
        table, correction=fit_correction(sums, n_ops, measured), validation=validation
    )
    return Validated(checked, checks, tuple(refused))


def require_identity(table: LatencyTable, backend: Backend) -> None:
    """Refuse to go on with a table of another device.

    Raises:
        InputError: naming the first difference.
    """
    for field in fields(table.identity):
        mine, theirs = (getattr(i, field.name) for i in (table.identity, backend.identity))
        if mine != theirs:
            raise InputError(
                f"latency table {table.name} is of {field.name} {mine!r}, this device has "
                f"{theirs!r}: measure a table of its own with 'hybrid-nas latency build --out FILE'"
            )
    if table.kind != backend.kind:
        raise InputError(
            f"latency table {table.name} is {table.kind}, this device gives {backend.kind} times"
        )
