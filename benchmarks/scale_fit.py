"""Fitting cycles per counted instruction to a few whole networks, and the error of doing so.

A network's counts are three numbers: convolutions with a window, dense layers, everything else. A
submission has three convolutional networks and one of dense layers, so it can tell one factor for
the former and one for the latter. Where the same version of a runtime was measured on other boards,
they can also tell by how much convolutions differ from the rest: kernels are the same there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mlperf_rows import DENSE_NETWORK, NETWORKS, Submission
from scipy.optimize import nnls

from hybrid_nas.hardware.latency_table import Energy
from hybrid_nas.hardware.scales import REST
from hybrid_nas.typing import FloatArray


@dataclass(frozen=True)
class Counts:
    """What one network counts: instructions by class, and multiply-accumulates."""

    conv: float
    dense: float
    rest: float
    macs: float

    @property
    def total(self) -> float:
        """All instructions."""
        return self.conv + self.dense + self.rest


@dataclass(frozen=True)
class Fit:
    """Factors, and the error of each of `NETWORKS` as predicted from the other two.

    ``cycles`` has the keys of `hybrid_nas.hardware.scales.Scale.cycles`.
    """

    cycles: dict[str, float]
    errors: FloatArray

    @property
    def mean(self) -> float:
        """Mean absolute error."""
        return float(np.abs(self.errors).mean())

    @property
    def worst(self) -> float:
        """Largest absolute error."""
        return float(np.abs(self.errors).max())


def one_factor(x: FloatArray, y: FloatArray) -> float:
    """The factor of least squared relative errors of ``factor * x`` to y.

    >>> one_factor(np.array([1.0, 2.0]), np.array([3.0, 6.0]))
    3.0
    """
    ratio = x / y
    return float(ratio.sum() / (ratio**2).sum())


def left_out(x: FloatArray, y: FloatArray, offset: FloatArray | float = 0.0) -> FloatArray:
    """Relative error of ``factor * x + offset`` to y, for each entry by the factor of the others.

    >>> left_out(np.array([1.0, 1.0]), np.array([2.0, 4.0])).tolist()
    [1.0, -0.5]
    """
    offset = np.broadcast_to(offset, x.shape)
    errors = []
    for out in range(len(y)):
        kept = np.arange(len(y)) != out
        factor = one_factor(x[kept], y[kept] - offset[kept])
        errors.append((factor * x[out] + offset[out]) / y[out] - 1)
    return np.array(errors)


def fit(one: Submission, counts: dict[str, Counts], conv_ratio: float = 1.0) -> Fit:
    """Factors of one submission; convolutions take `conv_ratio` times the factor of the rest."""
    conv, dense, rest, y = _columns(one, counts)
    of_dense = _dense_factor(one, counts)
    if of_dense is None:
        rest, dense = rest + dense, 0 * dense
    x, offset = rest + conv_ratio * conv, dense * (of_dense or 0.0)
    factor = one_factor(x, y - offset)
    cycles = {REST: factor}
    if conv_ratio != 1:
        cycles["conv"] = factor * conv_ratio
    if of_dense is not None:
        cycles["dense"] = of_dense
    return Fit(cycles, left_out(x, y, offset))


def fit_macs(one: Submission, counts: dict[str, Counts]) -> Fit:
    """The alternative: one factor on multiply-accumulates."""
    x = np.array([counts[name].macs for name in NETWORKS])
    y = np.array([one.cycles[name] for name in NETWORKS])
    return Fit({REST: one_factor(x, y)}, left_out(x, y))


def own_conv_ratio(one: Submission, counts: dict[str, Counts]) -> float | None:
    """How a submission's own three networks tell convolutions from the rest, or None."""
    conv, dense, rest, y = _columns(one, counts)
    terms = np.stack([conv, rest + dense], axis=1) / y[:, None]
    of_conv, of_rest = nnls(terms, np.ones(len(y)))[0]
    return float(of_conv / of_rest) if of_conv > 0 and of_rest > 0 else None


def shared_conv_ratio(
    one: Submission, everyone: Sequence[Submission], counts: dict[str, dict[str, Counts]]
) -> float | None:
    """Geometric mean of the ratios of the other boards with that very version of the runtime."""
    ratios = [
        own_conv_ratio(other, counts[other.core])
        for other in everyone
        if (other.runtime, other.version) == (one.runtime, one.version) and other.board != one.board
    ]
    known = [ratio for ratio in ratios if ratio is not None]
    return float(np.exp(np.mean(np.log(known)))) if known else None


def fit_energy(one: Submission, errors: FloatArray) -> Energy | None:
    """Mean power, and the error of energies as users get them.

    Args:
        errors: relative errors of latencies, each predicted without its network; the power that
            they are multiplied by is fitted without it as well.
    """
    if any(name not in one.uj for name in NETWORKS):
        return None
    ms, uj = (np.array([values[name] for name in NETWORKS]) for values in (one.ms, one.uj))
    off = []
    for out in range(len(NETWORKS)):
        kept = np.arange(len(NETWORKS)) != out
        power = one_factor(ms[kept], uj[kept])
        off.append(abs(power * ms[out] * (1 + errors[out]) / uj[out] - 1))
    return Energy(
        power_mw=float(f"{one_factor(ms, uj):.4g}"),
        mean=round(float(np.mean(off)), 4),
        worst=round(float(np.max(off)), 4),
        networks=len(NETWORKS),
        source=one.source,
    )


def _columns(
    one: Submission, counts: dict[str, Counts]
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    of = [counts[name] for name in NETWORKS]
    conv, dense, rest = (
        np.array([getattr(each, kind) for each in of]) for kind in ("conv", "dense", "rest")
    )
    return conv, dense, rest, np.array([one.cycles[name] for name in NETWORKS])


def _dense_factor(one: Submission, counts: dict[str, Counts]) -> float | None:
    """From the network of dense layers alone, which nothing is left to check it with."""
    cycles = one.cycles.get(DENSE_NETWORK)
    return None if cycles is None else cycles / counts[DENSE_NETWORK].total
