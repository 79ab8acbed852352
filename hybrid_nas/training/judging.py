"""How good a pair is between two rounds of training, on images that train neither network.

The base never learns from the ``fit`` split, only the router does. So every image of the split may
judge a round if the router that decides about it was fitted to the others: out of fold, by source
group. That is three times as many images as a part of the split held out for it would give.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.routing.fitted import FittedRouter
from hybrid_nas.routing.metrics import Estimate
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.scoring import exact_accuracy
from hybrid_nas.typing import BoolArray, IntArray

FOLDS = 3
_LEAST_GROUPS = 2


def judging_folds(groups: IntArray, seed: int, folds: int = FOLDS) -> tuple[IntArray, ...]:
    """Rows of each fold, drawn once for all rounds, so that rounds are compared on the same.

    Raises:
        InputError: there are too few groups.
    """
    names = np.unique(groups)
    if len(names) < folds * _LEAST_GROUPS:
        raise InputError(
            f"the fit split has {len(names)} source groups, too few to judge a training by: give "
            "more validation images, or a --group that tells more sources apart"
        )
    order = np.random.default_rng((seed, 1)).permutation(names)
    return tuple(np.flatnonzero(np.isin(groups, order[k::folds])) for k in range(folds))


def hybrid_out_of_fold(
    fit_router: Callable[[IntArray], FittedRouter],
    outputs: ModelOutputs,
    cloud_correct: BoolArray | None,
    folds: tuple[IntArray, ...],
    coverage: float,
) -> Estimate:
    """Hybrid accuracy when exactly `coverage` of each fold is kept, by routers that did not see it.

    Args:
        fit_router: fits one to rows of `outputs`.
        outputs: of the base, with labels and groups.
        cloud_correct: where the cloud is right, (n,); None without one.
        folds: rows of each.
        coverage: share of inputs to keep.
    """
    found, sizes = [], []
    for k, rows in enumerate(folds):
        others = np.concatenate([fold for j, fold in enumerate(folds) if j != k])
        held = outputs.take(rows)
        right = None if cloud_correct is None else cloud_correct[rows]
        score = fit_router(np.sort(others)).send_score(held)
        found.append(exact_accuracy(score, held, right, coverage))
        sizes.append(len(rows))
    share = np.array(sizes) / sum(sizes)
    value = float(share @ [one.value for one in found])
    # folds hold different groups, so their errors are independent
    variance = float(share**2 @ [one.stderr**2 for one in found])
    return Estimate(value, math.sqrt(variance))
