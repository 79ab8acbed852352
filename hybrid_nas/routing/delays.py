"""How long an answer takes: a fixed time, a log-normal one, or times that were measured.

Every kind answers three questions, which is all that mean, p95 and availability need: how likely an
answer is within a time, within what time a share of answers is there, and how long a device waits
on average when it gives up after a while.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri

from hybrid_nas.errors import InputError

P95_SDS = float(ndtri(0.95))
"""Standard deviations between the median and the 95 % quantile of a normal distribution."""


class Delay(Protocol):
    """A distribution of times in milliseconds, none below 0."""

    def share_within(self, ms: float) -> float:
        """P(T <= ms)."""

    def quantile_ms(self, share: float) -> float:
        """The shortest time within which a share of (0, 1] of the answers is there."""

    def mean_wait_ms(self, patience_ms: float) -> float:
        """E[min(T, patience)]; infinite patience gives the mean."""


@dataclass(frozen=True)
class FixedDelay:
    """Always the same time."""

    ms: float = 0.0

    def __post_init__(self) -> None:
        _check_time("a fixed delay", self.ms)

    def share_within(self, ms: float) -> float:
        """See `Delay`."""
        return float(ms >= self.ms)

    def quantile_ms(self, share: float) -> float:
        """See `Delay`."""
        return self.ms

    def mean_wait_ms(self, patience_ms: float) -> float:
        """See `Delay`."""
        return min(self.ms, max(patience_ms, 0.0))


@dataclass(frozen=True)
class LogNormalDelay:
    """Log-normal, given by what is usually published: median and 95 % quantile.

    >>> round(LogNormalDelay(300.0, 1200.0).quantile_ms(0.95))
    1200
    """

    median_ms: float
    p95_ms: float

    def __post_init__(self) -> None:
        _check_time("a delay's median", self.median_ms)
        _check_time("a delay's p95", self.p95_ms)
        if not 0 < self.median_ms < self.p95_ms:
            raise InputError(
                "a delay's median_ms must be above 0 and below its p95_ms "
                f"(got {self.median_ms:g} and {self.p95_ms:g}); give {{ms: ...}} for a fixed time"
            )

    @property
    def _mu(self) -> float:
        return float(np.log(self.median_ms))

    @property
    def _sigma(self) -> float:
        return float(np.log(self.p95_ms / self.median_ms)) / P95_SDS

    def share_within(self, ms: float) -> float:
        """See `Delay`."""
        return float(ndtr((np.log(ms) - self._mu) / self._sigma)) if ms > 0 else 0.0

    def quantile_ms(self, share: float) -> float:
        """See `Delay`; infinite for a share of 1."""
        return float(np.exp(self._mu + self._sigma * ndtri(share)))

    def mean_wait_ms(self, patience_ms: float) -> float:
        """See `Delay`; the limited expected value of the log-normal distribution."""
        if patience_ms <= 0:
            return 0.0
        mean = self._mu + self._sigma**2 / 2
        if np.isinf(patience_ms):
            return float(np.exp(mean))
        z = (np.log(patience_ms) - self._mu) / self._sigma
        early = float(np.exp(mean + log_ndtr(z - self._sigma)))  # no overflow for a heavy tail
        return early + patience_ms * float(ndtr(-z))


@dataclass(frozen=True)
class MeasuredDelay:
    """Times that were measured, each as likely as the others."""

    samples_ms: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.samples_ms:
            raise InputError("a delay's samples_ms must have at least one time")
        for sample in self.samples_ms:
            _check_time("each of a delay's samples_ms", sample)

    @cached_property
    def _sorted(self) -> np.ndarray:
        return np.sort(np.array(self.samples_ms, float))

    def share_within(self, ms: float) -> float:
        """See `Delay`."""
        return float(np.searchsorted(self._sorted, ms, side="right")) / len(self._sorted)

    def quantile_ms(self, share: float) -> float:
        """See `Delay`."""
        place = int(np.ceil(share * len(self._sorted) - 1e-9)) - 1
        return float(self._sorted[max(place, 0)])

    def mean_wait_ms(self, patience_ms: float) -> float:
        """See `Delay`."""
        return float(np.minimum(self._sorted, max(patience_ms, 0.0)).mean())


def _check_time(what: str, ms: float) -> None:
    if not (np.isfinite(ms) and ms >= 0):
        raise InputError(f"{what} must be a time of at least 0 ms (got {ms:g})")
