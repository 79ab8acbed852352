"""How strongly inputs speak for a promise, at every threshold."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy.special import xlogy

from hybrid_nas.routing.guarantees import bounds
from hybrid_nas.routing.guarantees.figures import Losses
from hybrid_nas.routing.guarantees.path import KeepPath
from hybrid_nas.routing.guarantees.promise import Promise
from hybrid_nas.typing import BoolArray, FloatArray, IntArray


def passes(promise: Promise, path: KeepPath, count: Losses) -> BoolArray:
    """Whether the calibration inputs speak for the promise, at each position of the path."""
    tolerance, delta = promise.tolerance, promise.delta
    if delta is None:
        lost = path.unit_sums(count.kept, count.sent)
        return bounds.conformal_passes(lost, path.n_units, tolerance)
    enough: BoolArray
    if not path.grouped:
        lost, trials = _counts(path, count)
        enough = bounds.binomial_p_value(lost, trials, tolerance) <= delta
        return enough
    enough = _log_wealth(path, count, tolerance, delta) >= -math.log(delta)
    return enough


def strength(promise: Promise, path: KeepPath, count: Losses) -> FloatArray:
    """About -log of the p-value of a promise with a confidence, at each position of the path.

    Chernoff's bound of the binomial tail, or the wealth of who bets on means of groups; negative
    where more is lost than the tolerance.
    """
    assert promise.delta is not None  # what holds in expectation is not tested
    if path.grouped:
        return _log_wealth(path, count, promise.tolerance, promise.delta)
    lost, trials = _counts(path, count)
    share, tolerance = lost / np.maximum(trials, 1), promise.tolerance
    divergence = xlogy(share, share / tolerance) + xlogy(
        1.0 - share, (1.0 - share) / (1.0 - tolerance)
    )
    found: FloatArray = trials * np.sign(tolerance - share) * divergence
    return found


def bound(promise: Promise, path: KeepPath, count: Losses, position: int) -> float:
    """The upper bound of the lost share at one position, by the test that `passes` makes."""
    if promise.delta is None:
        lost = path.unit_sums(count.kept, count.sent)[position]
        return float(lost + 1.0) / (path.n_units + 1)
    if not path.grouped:
        lost = round(float(path.sums(count.kept, count.sent)[position]))
        trials = int(path.kept[position]) if count.of_kept else path.n
        return bounds.clopper_pearson_upper(lost, trials, promise.delta)
    kept = path.kept_at(position)
    lost_of = np.where(kept, count.kept, count.sent)
    counted = kept.astype(np.float64) if count.of_kept else np.ones(path.n)
    return bounds.betting_upper(path.unit_means(lost_of), path.unit_means(counted), promise.delta)


def _counts(path: KeepPath, count: Losses) -> tuple[FloatArray, IntArray]:
    """Lost inputs, and those among which they are counted, at each position."""
    trials = path.kept if count.of_kept else np.full_like(path.kept, path.n)
    return np.rint(path.sums(count.kept, count.sent)), trials


def _log_wealth(path: KeepPath, count: Losses, tolerance: float, delta: float) -> FloatArray:
    if count.of_kept:  # E lost <= tolerance E kept: what is not kept is tolerated, no more
        count = replace(count, sent=np.full(path.n, tolerance))
    stakes = bounds.bets(path.n_units, tolerance, delta)
    products = path.log_products(count.kept, count.sent, tolerance, stakes)
    return bounds.mixture_log_wealth(products)
