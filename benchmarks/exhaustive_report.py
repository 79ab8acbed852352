"""What the exhaustive table says: sizes, true fronts, and how far scores are noise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from exhaustive_table import PROBLEMS, Table, Truth
from scipy.stats import kendalltau

from hybrid_nas.guided.pareto import front_mask, hypervolume
from hybrid_nas.hardware.limits import Limits
from hybrid_nas.typing import IntArray


def report(table: Table) -> str:
    """The table's figures, a line each."""
    lines = [*sizes(table)]
    for name, limits in PROBLEMS.items():
        lines += [f"\n{name}: {limits}", *truth(table, limits)]
    if table.redraw is not None:
        lines += ["\nthe same architectures on other splits", *noise(table)]
    return "\n".join(lines)


def sizes(table: Table) -> Iterator[str]:
    """How much there is, and what routers came to."""
    done = np.isfinite(table.base_accuracy)
    yield (
        f"{len(table.rows)} architectures, {done.sum()} scored beside {len(table.routers)} routers"
    )
    low, high = 100 * np.nanmin(table.base_accuracy), 100 * np.nanmax(table.base_accuracy)
    yield f"alone they are right on {low:.1f} to {high:.1f} %"
    methods = table.facts["methods"]
    assert isinstance(methods, dict)
    for router, found in methods.items():
        yield f"{router}: " + ", ".join(f"{name} {n}" for name, n in found.items())


def truth(table: Table, limits: Limits) -> Iterator[str]:
    """The true front under limits."""
    found = Truth.of(table, limits)
    share = found.size / table.accuracy[:, :, 0].size
    yield f"{found.size} pairs fit ({100 * share:.1f} %)"
    accuracy, mean_ms = -100 * found.losses[found.front, 0], found.losses[found.front, 1]
    routers = np.array(table.routers)[found.front % len(table.routers)]
    names = ", ".join(f"{name} {(routers == name).sum()}" for name in np.unique(routers))
    yield (
        f"true front: {len(found.front)} pairs, {accuracy.min():.2f} to {accuracy.max():.2f} %, "
        f"{mean_ms.min():.2f} to {mean_ms.max():.2f} ms; routers: {names}"
    )
    yield (
        f"reference {-100 * found.reference[0]:.3f} %, {found.reference[1]:.3f} ms; "
        f"hypervolume {100 * found.volume:.3f} points ms"
    )


def noise(table: Table) -> Iterator[str]:
    """What of scores and fronts stays on other digits and other renderings of them."""
    redraw = table.redraw
    assert redraw is not None
    first, again = table.losses(), table.redrawn_losses()
    pairs = pairs_of(redraw.index, len(table.routers))
    plain = slice(0, None, len(table.routers))  # the first router: a plain confidence
    stderr = 100 * np.nanmean(table.stderr[redraw.index, 0, _at(table)])
    yield f"{len(redraw.index)} architectures; standard error of an accuracy {stderr:.2f} points"
    for split, losses in enumerate(again, 1):
        difference = 100 * (first[pairs] - losses)[plain, 0]
        tau = kendalltau(first[pairs][plain, 0], losses[plain, 0]).statistic
        yield (
            f"split {split}: accuracy {difference.mean():+.2f} points (sd {difference.std():.2f}) "
            f"beside a confidence, tau {tau:.3f}"
        )
    for name, limits in PROBLEMS.items():
        kept = [front_kept(table, limits, losses, pairs) for losses in again]
        shown = " ".join(f"{share:.4f}" for share in kept)
        yield f"{name}: the true front has {shown} of what the best of these pairs would have there"


def front_kept(table: Table, limits: Limits, losses: np.ndarray, pairs: IntArray) -> float:
    """Hypervolume of the true front on another split, as a share of the best of `pairs` there.

    Pairs were scored once to be chosen and once more here, so this is what the choice is worth.
    The reference is the nadir of the best there.
    """
    found = Truth.of(table, limits)
    fits = found.fits[pairs]
    best = losses[fits][front_mask(losses[fits])]
    reference = best.max(axis=0)
    chosen = np.isin(pairs, found.front)
    whole = hypervolume(best, reference)
    return hypervolume(losses[chosen], reference) / whole if whole else float("nan")


def pairs_of(index: IntArray, routers: int) -> IntArray:
    """Numbers of all pairs of architectures."""
    return np.asarray((index[:, None] * routers + np.arange(routers)).ravel())


def _at(table: Table) -> int:
    coverages = table.facts["coverages"]
    assert isinstance(coverages, list)
    return coverages.index(0.7)
