"""Which operators to measure: those of likely networks, then a set that fills the space.

What is measured is looked up exactly, so half of the budget goes to operators that the search will
meet: those of the largest and the smallest network that fit the board, then of random ones. The
other half is for the predictor: per class of operators, each new one is the farthest from all
chosen ones (maximin distance; Johnson, Moore and Ylvisaker, J. Stat. Plan. Inference 26, 1990) in
the logarithms of pixels, channels, kernel and stride.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set

import numpy as np

from hybrid_nas.hardware.latency import LatencyModel
from hybrid_nas.hardware.latency_table import LatencyTable
from hybrid_nas.hardware.limits import Limits
from hybrid_nas.hardware.op_arrays import OP_CLASSES, OpArrays
from hybrid_nas.profiling.pool import (
    Admits,
    board_limits,
    distinct,
    fitting_networks,
    op_class,
    op_pool,
)
from hybrid_nas.profiling.spread import Candidates, Spread
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.spaces.space import SearchSpace
from hybrid_nas.typing import FloatArray

DEFAULT_BUDGET = 120
_SHARES = {"pointwise": 0.4, "dwconv": 0.33}
"""Of a plan, by class: these two make up nearly all of a network's time."""
_SMALL_SHARE = 8 / DEFAULT_BUDGET
"""Of every other class: their predictors need 8 operators each, and they matter as little."""
_LIKELY_SHARE = 0.5
_RANDOM_NETWORKS = 4
_UNKNOWN_SD = 1.0
"""Relative uncertainty of a class of which nothing has been measured."""
_LEAST_SD = 1e-6
"""Keeps distances alive where a predictor claims to be certain."""
_HOPELESS = 3
"""A class of which nothing was measured and that many were refused is left alone."""


def likely_ops(
    space: SearchSpace, limits: Limits, admits: Admits, budget: int, seed: int
) -> list[OpSpec]:
    """Operators of the networks that a search is likely to meet, at most `budget`.

    Whole networks as far as they go: the largest of the random ones that fit, the smallest, the
    median, then random ones. Of the network that no longer fits in, those with most MACs.
    """
    rows, macs = fitting_networks(space, limits, seed)
    by_size = np.argsort(macs, kind="stable")
    order = [by_size[-1], by_size[0], by_size[len(by_size) // 2], *range(_RANDOM_NETWORKS)]
    chosen: dict[OpSpec, None] = {}
    for row in rows[order[: len(rows)]]:
        new = [op for op in distinct(space.architecture(row.tolist()).ops) if admits(op)]
        new = [op for op in new if op not in chosen]
        new.sort(key=lambda op: -op.macs)
        chosen.update(dict.fromkeys(new[: budget - len(chosen)]))
    return list(chosen)


def plan_ops(
    space: SearchSpace,
    n: int = DEFAULT_BUDGET,
    seed: int = 0,
    *,
    limits: Limits | None = None,
    admits: Admits = lambda op: True,
    pool: Sequence[OpSpec] | None = None,
) -> list[OpSpec]:
    """At most `n` distinct operator shapes to measure, in the order to measure them.

    Args:
        space: whose operators.
        n: how many.
        seed: which random networks count as likely.
        limits: memory that networks must fit; the default board's.
        admits: what the device can run; others are left out.
        pool: the operators to fill up from; `op_pool` of the same arguments if left out.

    Returns:
        The same list for the same arguments; shorter than `n` if the space has no more.
    """
    limits = board_limits("") if limits is None else limits
    pool = op_pool(space, limits, admits) if pool is None else pool
    chosen = likely_ops(space, limits, admits, int(n * _LIKELY_SHARE), seed)
    candidates = Candidates.of(distinct([*pool, *chosen]))
    spreads = {
        name: Spread(candidates, name, set(chosen))
        for name in OP_CLASSES
        if name in candidates.classes
    }
    have = Counter(map(op_class, chosen))
    wanted = _quotas(Counter(candidates.classes), n)
    while len(chosen) < n:
        open_classes = [name for name, spread in spreads.items() if len(spread)]
        if not open_classes:
            break
        name = max(open_classes, key=lambda name: wanted[name] - have[name])
        chosen.append(spreads[name].take())
        have[name] += 1
    return chosen


def _quotas(available: Mapping[str, int], n: int) -> dict[str, float]:
    """How many of each class a plan of `n` should have; shares of absent classes are shared out."""
    shares = {name: _share(name) for name in available}
    total = sum(shares.values())
    return {name: n * share / total for name, share in shares.items()}


def _share(name: str) -> float:
    return _SHARES.get(name, _SMALL_SHARE)


def next_ops(
    table: LatencyTable,
    pool: Sequence[OpSpec],
    refused: Set[OpSpec],
    n: int,
) -> list[OpSpec]:
    """The `n` operators of `pool` that the table's predictor is least sure of, spread out.

    Operators are ranked by predicted relative standard deviation, times their class's share of a
    plan (an error on a pooling layer is none on a network), times distance to everything measured
    in their class (a round would otherwise ask for `n` neighbours of one operator).

    Args:
        table: what has been measured.
        pool: what there is, in a fixed order.
        refused: what the device could not run.
        n: how many; fewer where the pool ends.
    """
    candidates = Candidates.of(distinct([*pool, *table.rows]))
    hopeless = _hopeless_classes(table, refused)
    doubt = np.maximum(relative_sd(table, candidates), _LEAST_SD)
    doubt *= [_share(name) for name in candidates.classes]
    spreads = [
        Spread(candidates, name, table.rows.keys(), refused, doubt)
        for name in OP_CLASSES
        if name in candidates.classes and name not in hopeless
    ]
    chosen: list[OpSpec] = []
    while len(chosen) < n:
        left = [spread for spread in spreads if len(spread)]
        if not left:
            break
        chosen.append(max(left, key=lambda spread: spread.best).take())
    return chosen


def relative_sd(table: LatencyTable, candidates: Candidates) -> FloatArray:
    """Predicted standard deviation over predicted value, (n,); 1 for classes without a row."""
    model = LatencyModel(table)
    numbers = np.flatnonzero(model.predictable(OpArrays.of(candidates.ops)))
    sd = np.full(len(candidates.ops), _UNKNOWN_SD)
    if len(numbers):
        found = model.ops([candidates.ops[number] for number in numbers])
        sd[numbers] = found.sd_ms / found.ms
    return sd


def _hopeless_classes(table: LatencyTable, refused: Set[OpSpec]) -> set[str]:
    known = {op_class(op) for op in table.rows}
    failures = Counter(map(op_class, refused))
    return {name for name, count in failures.items() if count >= _HOPELESS and name not in known}
