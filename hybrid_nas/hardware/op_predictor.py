"""Latency of operators that were never measured, from measured ones of the same class.

Non-negative least squares, on relative errors, of mechanistic terms; then a Gaussian process on the
logarithm of what they leave over. Its standard deviation is scaled so that leave-one-out intervals
hold the share of rows that they promise (split conformal prediction's quantile; Vovk et al.,
"Algorithmic Learning in a Random World", 2005). With few rows there is no process, and the
deviation is that of the residuals drawn towards a wide guess.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from scipy.optimize import nnls
from scipy.special import stdtrit

from hybrid_nas.hardware.gaussian_process import GaussianProcess
from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.hardware.op_terms import box, features, mechanistic_terms
from hybrid_nas.typing import BoolArray, FloatArray, IntArray

INTERVAL = 0.9
"""Share of unseen operators that an interval should hold."""
INTERVAL_SDS = 1.6448536269514722
"""Half an interval in standard deviations: the normal distribution's 95 % point."""

_LEAST_ROWS = 8  # for a Gaussian process
_GUESS_SD, _GUESS_ROWS = 0.2, 2  # with few rows: as if two more had missed by 20 %
_FOLDS = 20
_SHARE_PENALTY = 0.01  # beside sums of squared relative errors over the rows
_LEAST_SHARE = 0.01  # of the fastest row: terms may vanish where no row had them vanish
_LEAST_INFLATION = 0.1


@dataclass(frozen=True, eq=False)
class Prediction:
    """Of n operators: milliseconds, sd of their logarithm, whether beyond the rows; each (n,)."""

    ms: FloatArray
    log_sd: FloatArray
    extrapolated: BoolArray


@dataclass(frozen=True, eq=False)
class OpPredictor:
    """A predictor of one class of operators.

    Attributes:
        op_class: one of `OP_CLASSES`.
        coefficients: of its mechanistic terms, in milliseconds.
        least_ms: no operator is predicted to take less.
        log_sd: without a process: the deviation of every prediction.
        low, high: the box that the rows span.
        process: on standardised features; None with few rows.
        center, scale: of the features.
        inflation: what the process's deviations are multiplied by.
    """

    op_class: str
    coefficients: FloatArray
    least_ms: float
    log_sd: float
    low: FloatArray
    high: FloatArray
    process: GaussianProcess | None = None
    center: FloatArray | float = 0.0
    scale: FloatArray | float = 1.0
    inflation: float = 1.0

    @classmethod
    def fit(cls, op_class: str, arrays: OpArrays, ms: FloatArray) -> OpPredictor:
        """Fit to measured operators of that class: `ms` has shape (n,), n at least 1."""
        terms, rows = mechanistic_terms(op_class, arrays), box(arrays)
        least_ms = float(ms.min()) * _LEAST_SHARE
        coefficients = _relative_nnls(terms, ms)
        residual = np.log(ms / np.maximum(terms @ coefficients, least_ms))
        freedom = max(0, len(ms) - int(np.count_nonzero(coefficients)))
        plain = cls(
            op_class=op_class,
            coefficients=coefficients,
            least_ms=least_ms,
            log_sd=_sd_of_few(residual, freedom),
            low=rows.min(0),
            high=rows.max(0),
        )
        if len(ms) < _LEAST_ROWS:
            return plain
        raw = features(op_class, arrays)
        scale = np.where(np.ptp(raw, axis=0) > 0, raw.std(0), np.inf)  # a constant says nothing
        center = raw.mean(0)
        process = GaussianProcess.fit((raw - center) / scale, residual)
        inflation = _inflation(process, _residuals_without_fold(terms, ms, least_ms))
        return replace(plain, process=process, center=center, scale=scale, inflation=inflation)

    def predict(self, arrays: OpArrays) -> Prediction:
        """Latency of n operators of the class."""
        terms, rows = mechanistic_terms(self.op_class, arrays), box(arrays)
        ms = np.maximum(terms @ self.coefficients, self.least_ms)
        outside: BoolArray = np.any((rows < self.low) | (rows > self.high), axis=1)
        if self.process is None:
            return Prediction(ms, np.full(len(ms), self.log_sd), outside)
        points = (features(self.op_class, arrays) - self.center) / self.scale
        mean, sd = self.process.predict(points)
        # farther from the rows than any row is from the others
        far = sd > self.process.leave_one_out_sd.max() * (1 + 1e-9)
        return Prediction(ms * np.exp(mean), sd * self.inflation, np.asarray(outside | far))


def take(arrays: OpArrays, chosen: IntArray) -> OpArrays:
    """The operators at the indices `chosen`."""
    return OpArrays(*(getattr(arrays, field.name)[chosen] for field in fields(arrays)))


def _relative_nnls(terms: FloatArray, ms: FloatArray) -> FloatArray:
    """Non-negative coefficients that minimise the squared relative errors of ``terms @ c``.

    A small penalty on each term's mean share of the time decides what few rows leave open: the
    share is spread over several terms, and sooner over those that count the most, because a
    constant taken for all of a large operator's time would be far off for a small one.
    """
    parts = terms / ms[:, None]
    scale = parts.mean(0)
    scale = np.where(scale > 0, scale, 1.0)
    counts = np.maximum(terms.mean(0), 1.0)
    penalty = np.sqrt(_SHARE_PENALTY) * (counts.max() / counts) ** (1 / 8)
    system = np.concatenate([parts / scale, np.diag(penalty)])
    wanted = np.concatenate([np.ones(len(ms)), np.zeros(len(scale))])
    return np.asarray(nnls(system, wanted)[0] / scale)


def _sd_of_few(residual: FloatArray, freedom: int) -> float:
    """Deviation of predictions from few residuals.

    The residuals' variance and a guess are averaged by degrees of freedom; Student's quantile
    widens it, so that normal intervals are as wide as those of so few residuals should be.
    """
    known = freedom + _GUESS_ROWS
    variance = (_GUESS_ROWS * _GUESS_SD**2 + float((residual**2).sum())) / known
    return float(np.sqrt(variance) * stdtrit(known, 0.5 + INTERVAL / 2) / INTERVAL_SDS)


def _fold_of(n: int) -> IntArray:
    """Number of the fold that each of n rows is in."""
    return np.asarray(np.random.default_rng(0).permutation(n) % _FOLDS)


def _residuals_without_fold(terms: FloatArray, ms: FloatArray, least_ms: float) -> FloatArray:
    """Of each row, float64 (n, folds): what terms fitted without each fold leave over."""
    fold = _fold_of(len(ms))
    columns = []
    for number in range(min(_FOLDS, len(ms))):
        others = fold != number
        value = terms @ _relative_nnls(terms[others], ms[others])
        columns.append(np.log(ms / np.maximum(value, least_ms)))
    return np.stack(columns, axis=1)


def _inflation(process: GaussianProcess, residuals: FloatArray) -> float:
    """What makes the intervals of rows left out hold the share `INTERVAL` of them."""
    n = len(residuals)
    own = _fold_of(n)
    rows = np.arange(n)
    missed = residuals[rows, own] - process.without_own_value(residuals)[own, rows]
    share = min(1.0, np.ceil((n + 1) * INTERVAL) / n)
    ratio = np.quantile(np.abs(missed) / process.leave_one_out_sd, share, method="higher")
    return max(float(ratio) / INTERVAL_SDS, _LEAST_INFLATION)
