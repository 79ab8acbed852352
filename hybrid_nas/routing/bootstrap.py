"""Bootstrap intervals over groups, for many means of the same inputs at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybrid_nas.typing import FloatArray, IntArray

RESAMPLES = 2000
LEVEL = 0.95
_CHUNK_DRAWS = 2_000_000


@dataclass(frozen=True)
class Interval:
    """A mean with the ends of its percentile interval."""

    value: float
    low: float
    high: float


def bootstrap_means(
    values: FloatArray,
    groups: IntArray | None = None,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> list[Interval]:
    """Percentile intervals for the mean of each column of values (n, m), resampling whole groups.

    All columns see the same resamples. A difference between two methods is *paired* when its column
    is their difference on each input, so give the differences.
    """
    if groups is None:
        sums, sizes = values, np.ones(len(values))
    else:
        numbers = np.unique(groups, return_inverse=True)[1]
        sizes = np.bincount(numbers).astype(np.float64)
        sums = _group_sums(values, numbers)
    draws = _resampled_means(sums, sizes, resamples, np.random.default_rng(seed))
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(draws, [tail, 1.0 - tail], axis=0)
    means = values.mean(axis=0)
    return [
        Interval(float(mean), float(a), float(b))
        for mean, a, b in zip(means, low, high, strict=True)
    ]


def _group_sums(values: FloatArray, numbers: IntArray) -> FloatArray:
    return np.stack([np.bincount(numbers, weights=column) for column in values.T], axis=1)


def _resampled_means(
    sums: FloatArray, sizes: FloatArray, resamples: int, random: np.random.Generator
) -> FloatArray:
    """Means (resamples, m) of groups drawn with replacement: counts @ sums / counts @ sizes."""
    n_groups = len(sizes)
    chunk = max(1, _CHUNK_DRAWS // n_groups)
    means = []
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        drawn = random.integers(0, n_groups, size=(rows, n_groups))
        drawn += np.arange(rows)[:, None] * n_groups
        counts = np.bincount(drawn.ravel(), minlength=rows * n_groups).reshape(rows, n_groups)
        means.append((counts @ sums) / (counts @ sizes)[:, None])
    return np.concatenate(means)
