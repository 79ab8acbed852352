"""What n independent units prove about a mean: exact for counts, by betting for means of groups."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.special import bdtr, betaincinv

from hybrid_nas.typing import BoolArray, FloatArray, IntArray

_ROUNDING = 1e-9
_LARGEST_BET = 0.999  # of what a unit that is wholly lost would leave nothing of
_VARIANCES = 0.25 ** np.arange(3)  # of the mean of a group, as shares of that of one input


def conformal_passes(lost: FloatArray, n: int, tolerance: float) -> BoolArray:
    """Where n/(n+1) * mean + 1/(n+1) <= tolerance, for sums `lost` of n losses in [0, 1].

    Conformal risk control (Angelopoulos et al., 2022): thresholds up to the first that fails have
    an expected loss of at most the tolerance on one further unit, where losses only grow.
    """
    passes: BoolArray = lost + 1.0 <= tolerance * (n + 1) * (1.0 + _ROUNDING)
    return passes


def binomial_p_value(lost: FloatArray, trials: IntArray, tolerance: float) -> FloatArray:
    """P(Bin(trials, tolerance) <= lost): the p-value of "the probability is above the tolerance".

    At most delta where the Clopper-Pearson upper bound at level 1 - delta is within the tolerance.
    """
    p: FloatArray = bdtr(lost, trials, tolerance)
    return p


def clopper_pearson_upper(lost: int, trials: int, delta: float) -> float:
    """The one-sided upper bound, at level 1 - delta, for a probability seen `lost` times.

    >>> round(clopper_pearson_upper(0, 59, 0.05), 4)
    0.0495
    """
    return 1.0 if lost >= trials else float(betaincinv(lost + 1, trials - lost, 1.0 - delta))


def bets(n: int, tolerance: float, delta: float) -> FloatArray:
    """Stakes (k,) for means of groups, fixed before any data are seen.

    The best stake against a mean at the tolerance is about sqrt(2 log(1/delta) / (n variance)).
    The variance of a group's mean is that of one input where its inputs are alike, and less where
    they are not: each share of `_VARIANCES` has its stake.
    """
    largest = _LARGEST_BET / (1.0 - tolerance)
    variances = tolerance * (1.0 - tolerance) * _VARIANCES
    stakes = np.sqrt(2.0 * math.log(1.0 / delta) / (n * variances))
    smaller: FloatArray = np.minimum(stakes, largest)
    return smaller


def mixture_log_wealth(log_products: FloatArray) -> FloatArray:
    """log of the mean over bets (last axis): the wealth of who puts equal shares on each of them.

    If the mean of a unit is the tolerance or above, its expectation is at most 1, so it reaches
    1/delta with probability at most delta (Markov; Waudby-Smith & Ramdas, 2024).
    """
    total: FloatArray = np.logaddexp.reduce(log_products, axis=-1)
    return total - math.log(log_products.shape[-1])


def betting_upper(lost: FloatArray, counted: FloatArray, delta: float) -> float:
    """The smallest tolerance, to 1e-6, that bets on n units prove: a bound for E lost / E counted.

    `lost` (n,) and `counted` (n,) are means over the inputs of each unit, lost <= counted <= 1;
    `counted` is 1 but for figures that are shares of the kept inputs.
    """

    def proves(tolerance: float) -> bool:
        stakes = bets(len(lost), tolerance, delta)
        products = np.log1p(stakes * (tolerance * counted - lost)[:, None]).sum(axis=0)
        return float(mixture_log_wealth(products)) >= -math.log(delta)

    low, high = 0.0, 1.0
    while high - low > 1e-6:
        middle = (low + high) / 2.0
        low, high = (low, middle) if proves(middle) else (middle, high)
    return high


def smallest_n(tolerance: float, delta: float | None, *, grouped: bool) -> int:
    """The fewest units that can prove a tolerance: those that prove it where nothing is lost.

    >>> smallest_n(0.01, None, grouped=False), smallest_n(0.01, 0.05, grouped=False)
    (99, 299)
    """
    if delta is None:
        return _first(lambda n: bool(conformal_passes(np.zeros(1), n, tolerance)[0]))
    least = -math.log(delta)
    if not grouped:
        return _first(lambda n: -n * math.log1p(-tolerance) >= least)

    def wins(n: int) -> bool:
        products = n * np.log1p(bets(n, tolerance, delta) * tolerance)
        return float(mixture_log_wealth(products)) >= least

    return _first(wins)


def _first(holds: Callable[[int], bool]) -> int:
    """The smallest n from 1 on for which a condition holds that, once true, stays so."""
    high = 1
    while not holds(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
