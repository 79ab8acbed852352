"""Groups, and folds that keep them together and hold alike shares of what matters."""

from __future__ import annotations

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.typing import BoolArray, IntArray


def unit_numbers(n: int, groups: IntArray | None) -> IntArray:
    """The number 0, 1, ... of each input's group (n,); without groups each input is its own."""
    return np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]


def group_folds(
    base_correct: BoolArray,
    cloud_correct: BoolArray,
    groups: IntArray | None,
    n_folds: int,
    seed: int,
) -> IntArray:
    """The fold, 0 .. `n_folds` - 1, of each input; inputs of one group share a fold.

    Groups are dealt in random order, larger ones and those of like mean gain in turn, so that folds
    have about the same size and the same share of inputs that the cloud mends or spoils.

    Raises:
        InputError: if there are fewer groups than folds.
    """
    member = unit_numbers(len(base_correct), groups)
    sizes = np.bincount(member)
    if len(sizes) < n_folds:
        what = "inputs" if groups is None else "groups"
        raise InputError(f"{len(sizes)} {what} make no {n_folds} folds: give more, or fewer folds")
    gain = cloud_correct.astype(np.float64) - base_correct
    mean_gain = np.bincount(member, weights=gain) / sizes
    order = np.random.default_rng(seed).permutation(len(sizes))
    # lexsort is stable: ties stay in random order; its last key is the primary one.
    ranked = order[np.lexsort((np.round(mean_gain[order], 1), -sizes[order]))]
    fold_of_group = np.empty(len(sizes), dtype=np.int64)
    fold_of_group[ranked] = np.arange(len(sizes)) % n_folds
    return fold_of_group[member]
