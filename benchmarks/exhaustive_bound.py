"""How few evaluations a predictor could need on the exhaustive table at the very best.

    python benchmarks/exhaustive_bound.py

An oracle proposes by expected hypervolume improvement, as the guided sampler does, but it has
nothing to learn: the accuracy of every architecture is predicted by a regression on all the
others' scores (main effects, all pairs of choices, sizes and latency; leave-one-out). It knows how
wrong that is on the whole, and where the true front ends. What it still has to find by trying is
the part of a score that no other score tells: the luck of an architecture on the images of the
score split. Beside a plain confidence alone, as nearly all of the true fronts are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from exhaustive_table import PROBLEMS, Table, Truth, evaluations_to

from hybrid_nas.guided.pareto import Boxes
from hybrid_nas.typing import FloatArray, IntArray

GOALS = (0.95, 0.97, 0.98, 0.99)
PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
MOST = 400
MARGIN = 0.1
"""From the true front's nadir to the point that bounds improvements, in ranges of the front."""
CONFIDENCE = 0
"""Number of the plain confidence among the routers."""


@dataclass(frozen=True, eq=False)
class Oracle:
    """What is foreseen of each pair.

    Attributes:
        pairs: their numbers, (n,).
        mean: of their losses, (n, 2).
        sd: of what no other score tells of the accuracy.
    """

    pairs: IntArray
    mean: FloatArray
    sd: float


def oracle(table: Table, truth: Truth) -> Oracle:
    """Predict every architecture of a problem from all the others."""
    routers = len(table.routers)
    fits = truth.fits.reshape(-1, routers)[:, CONFIDENCE]
    architectures = np.flatnonzero(fits)
    pairs = architectures * routers + CONFIDENCE
    losses = truth.losses[pairs]
    sizes = np.stack(
        [table.macs[fits], table.params[fits], table.edge_ms[fits, CONFIDENCE]], axis=1
    )
    read = features(table.rows[fits], np.log(sizes))
    foreseen = min(
        (leave_one_out(read, losses[:, 0], penalty) for penalty in PENALTIES),
        key=lambda found: float(np.std(found - losses[:, 0])),
    )
    mean = np.stack([foreseen, losses[:, 1]], axis=1)
    return Oracle(pairs, mean, float(np.std(foreseen - losses[:, 0])))


def features(rows: IntArray, sizes: FloatArray) -> FloatArray:
    """Choices, pairs of choices and sizes, standardised, (n, features)."""
    chosen = [
        (gene, rows[:, gene] == value)
        for gene in range(rows.shape[1])
        for value in np.unique(rows[:, gene])[1:]
    ]
    pairs = [a & b for k, (one, a) in enumerate(chosen) for two, b in chosen[k:] if one != two]
    columns = np.stack([*(column for _, column in chosen), *pairs], axis=1).astype(np.float64)
    read = np.concatenate([columns, sizes], axis=1)
    spread = read.std(axis=0)
    return np.asarray((read - read.mean(axis=0))[:, spread > 0] / spread[spread > 0])


def leave_one_out(read: FloatArray, values: FloatArray, penalty: float) -> FloatArray:
    """What ridge regression on all others says of each value, (n,)."""
    whole = np.column_stack([np.ones(len(read)), read])
    ridge = penalty * np.eye(whole.shape[1])
    ridge[0, 0] = 0.0
    hat = whole @ np.linalg.solve(whole.T @ whole + ridge, whole.T)
    own = np.diag(hat)
    return np.asarray((hat @ values - own * values) / (1 - own))


def order(found: Oracle, truth: Truth) -> list[int]:
    """Pairs in the order in which the oracle tries them."""
    losses = truth.losses[found.pairs]
    reference = truth.reference + MARGIN * np.ptp(truth.losses[truth.front], axis=0)
    tried: list[int] = []
    sd = np.column_stack([np.full(len(losses), found.sd), np.zeros(len(losses))])
    for _ in range(min(MOST, len(losses))):
        known = losses[tried].reshape(-1, 2)
        value = Boxes.beyond(known, reference).improvement(found.mean, sd)
        value[tried] = -1.0
        tried.append(int(np.argmax(value)))
    return found.pairs[tried].tolist()


def main() -> None:
    """Print evaluations to several shares of the true hypervolume."""
    table = Table.load()
    for name, limits in PROBLEMS.items():
        truth = Truth.of(table, limits)
        found = oracle(table, truth)
        curve = truth.curve(order(found, truth))
        spread = np.std(truth.losses[found.pairs, 0])
        needed = ", ".join(f"{goal:.0%} after {evaluations_to(curve, goal):.0f}" for goal in GOALS)
        print(
            f"{name}: {len(found.pairs)} architectures, accuracy spread {100 * spread:.2f} points, "
            f"foreseen but for {100 * found.sd:.2f}; oracle: {needed}"
        )


if __name__ == "__main__":
    main()
