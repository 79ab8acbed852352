"""The router's split in two: one part fits routers, the other only decides when to stop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.typing import IntArray

_LEAST_GROUPS = 2


@dataclass(frozen=True, eq=False)
class FitParts:
    """Rows of the ``fit`` split: `router` (n,) and `stop` (m,), of different source groups."""

    router: IntArray
    stop: IntArray


def part_by_group(groups: IntArray, stop_share: float, seed: int) -> FitParts:
    """Part inputs by group.

    Raises:
        InputError: there are too few groups for two parts.
    """
    names = np.unique(groups)
    n_stop = round(stop_share * len(names))
    if min(n_stop, len(names) - n_stop) < _LEAST_GROUPS:
        raise InputError(
            f"the fit split has {len(names)} source groups, too few to keep some for early "
            "stopping: give more validation images, or a --group that tells more sources apart"
        )
    stopping = np.random.default_rng((seed, 1)).permutation(names)[:n_stop]
    rows, is_stop = np.arange(len(groups)), np.isin(groups, stopping)
    return FitParts(rows[~is_stop], rows[is_stop])
