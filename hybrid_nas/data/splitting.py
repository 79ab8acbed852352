"""Dividing what the user gave into the five splits, by source group.

Users give one to three *pools* (train, val, test); the program needs five disjoint splits. Two
rules decide: an image of val or test never trains a supernet or a cloud model, and two images of
one source group never lie in different splits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from hybrid_nas.data.dataset import SPLITS, Split
from hybrid_nas.errors import InputError
from hybrid_nas.typing import FloatArray, IntArray

PoolName = Literal["train", "val", "test"]
Shares = Mapping[Split, float]

VAL_SHARES: Shares = MappingProxyType({"fit": 0.25, "threshold": 0.15, "score": 0.3, "test": 0.3})
"""How val is divided when there is no test pool."""
VAL_SHARES_BESIDE_TEST: Shares = MappingProxyType({"fit": 0.35, "threshold": 0.2, "score": 0.45})
"""How val is divided when test comes from its own pool."""
HELD_OUT_BESIDE_TEST = 0.15
"""Share of train that takes val's place when only train and test are given, as in CIFAR."""
HELD_OUT_OF_ALL = 0.4
"""Share of train that takes val's place when train is all there is."""
PRESUMED_ACCURACY = 0.8
"""The accuracy whose standard error decides whether a split is called too small."""

_SIZE_WEIGHT = 0.5  # of a split's total against its class counts, when the two disagree


@dataclass(frozen=True)
class Part:
    """Where a split's images lie: `index` into the pool called `pool`, ascending."""

    pool: PoolName
    index: IntArray


@dataclass(frozen=True)
class SplitPlan:
    """A part for each split, and what the user should know about them."""

    parts: Mapping[Split, Part]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class PoolLabels:
    """What splitting needs to know about a pool: a label and a source group per image."""

    labels: IntArray
    groups: IntArray


def divide(labels: IntArray, groups: IntArray, shares: Shares, seed: int) -> dict[Split, IntArray]:
    """Divide images into splits of about the given shares, whole groups at a time.

    Groups are dealt out one by one, large ones first, each to the split that lacks its classes most
    (iterative stratification after Sechidis et al., 2011, with groups in place of images). With
    single-image groups every class is divided in proportion up to rounding.

    Args:
        labels: class of each image, (n,).
        groups: source group of each image, (n,).
        shares: wanted share of each split; they are scaled to sum to one.
        seed: decides which of equally good divisions is taken.

    Returns:
        Ascending image indices per split; together they are ``0 .. n-1``, none is empty.

    Raises:
        InputError: if there are fewer groups than splits.

    Example:
        >>> parts = divide(np.arange(8) % 2, np.arange(8), {"fit": 0.5, "test": 0.5}, seed=0)
        >>> {name: len(index) for name, index in parts.items()}
        {'fit': 4, 'test': 4}
    """
    names = list(shares)
    _, member = np.unique(groups, return_inverse=True)
    group_sizes = np.bincount(member)
    if len(group_sizes) < len(names):
        raise InputError(
            f"{len(labels)} images of {len(group_sizes)} groups cannot be divided into the "
            f"{len(names)} splits {', '.join(names)}, which share no group: give more images or "
            "finer groups"
        )
    wanted = np.array([shares[name] for name in names])
    wanted = wanted / wanted.sum()
    split_of_group = _deal(labels, member, group_sizes, wanted, np.random.default_rng(seed))
    split_of_image = split_of_group[member]
    return {name: np.flatnonzero(split_of_image == k) for k, name in enumerate(names)}


def _deal(
    labels: IntArray,
    member: IntArray,
    group_sizes: IntArray,
    wanted: FloatArray,
    rng: np.random.Generator,
) -> IntArray:
    """The split of each group. Plain lists: groups mostly hold one class, where NumPy is slower."""
    n_groups, n_classes = len(group_sizes), int(labels.max()) + 1
    pairs, pair_counts = np.unique(member * n_classes + labels, return_counts=True)
    starts = np.searchsorted(pairs, np.arange(n_groups + 1) * n_classes).tolist()
    classes, counts = (pairs % n_classes).tolist(), pair_counts.tolist()
    lack = np.outer(wanted, np.bincount(labels, minlength=n_classes)).tolist()
    room = (wanted * len(labels)).tolist()
    order = rng.permutation(n_groups)
    order = order[np.argsort(-group_sizes[order], kind="stable")]
    sizes = group_sizes.tolist()
    split_of_group = np.empty(n_groups, np.int64)
    empty = set(range(len(wanted)))
    left = n_groups
    for group in order.tolist():
        size = sizes[group]
        content = range(starts[group], starts[group + 1])
        # the last groups go to splits that have none yet, so that no split ends up empty
        candidates = sorted(empty) if len(empty) == left else range(len(wanted))
        best, best_gain = 0, -np.inf
        for k in candidates:
            lack_k = lack[k]
            gain = _SIZE_WEIGHT * size * (2 * room[k] - size)
            for at in content:
                gain += counts[at] * (2 * lack_k[classes[at]] - counts[at])
            if gain > best_gain:
                best, best_gain = k, gain
        for at in content:
            lack[best][classes[at]] -= counts[at]
        room[best] -= size
        empty.discard(best)
        split_of_group[group] = best
        left -= 1
    return split_of_group


def plan_splits(
    pools: Mapping[PoolName, PoolLabels],
    seed: int,
    *,
    classes: Sequence[str] | None = None,
    group_names: Sequence[str] | None = None,
) -> SplitPlan:
    """Decide which images of which pool form each split.

    A test pool is the test split. The other three (and test, if there is no test pool) come from
    val, or from a share of train that is held out by groups if there is no val.

    Args:
        pools: at least ``train``.
        seed: of the divisions.
        classes, group_names: names for messages; numbers are used without them.

    Raises:
        InputError: if a group lies in two pools, or a pool has too few groups.
    """
    _refuse_shared_groups(pools, group_names)
    parts: dict[Split, Part] = {}
    notes: list[str] = []
    shares = VAL_SHARES_BESIDE_TEST if "test" in pools else VAL_SHARES
    if "val" in pools:
        source: PoolName = "val"
        held_out = np.arange(len(pools["val"].labels))
        parts["train"] = Part("train", np.arange(len(pools["train"].labels)))
    else:
        source = "train"
        share = HELD_OUT_BESIDE_TEST if "test" in pools else HELD_OUT_OF_ALL
        train = pools["train"]
        two = divide(train.labels, train.groups, {"train": 1 - share, "fit": share}, seed)
        parts["train"], held_out = Part("train", two["train"]), two["fit"]
        notes.append(
            f"no val images: {', '.join(shares)} are held out of train "
            f"({len(held_out)} of {len(train.labels)} images)"
        )
    pool = pools[source]
    for name, index in divide(
        pool.labels[held_out], pool.groups[held_out], shares, seed + 1
    ).items():
        parts[name] = Part(source, held_out[index])
    if "test" in pools:
        parts["test"] = Part("test", np.arange(len(pools["test"].labels)))
    parts = {name: parts[name] for name in SPLITS}
    return SplitPlan(parts, (*notes, *_split_warnings(pools, parts, classes)))


def standard_error_points(groups: IntArray, accuracy: float = PRESUMED_ACCURACY) -> float:
    """Largest standard error, in percentage points, of an accuracy measured on these groups.

    Images of one group are taken as wholly dependent, so n images in groups of n_g count as
    ``n**2 / sum(n_g**2)`` independent ones (Kish's effective sample size).
    """
    _, sizes = np.unique(groups, return_counts=True)
    effective = float(sizes.sum()) ** 2 / float((sizes.astype(np.float64) ** 2).sum())
    return float(100 * np.sqrt(accuracy * (1 - accuracy) / effective))


def _refuse_shared_groups(
    pools: Mapping[PoolName, PoolLabels], group_names: Sequence[str] | None
) -> None:
    names = list(pools)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            shared = np.intersect1d(pools[first].groups, pools[second].groups)
            if len(shared):
                group = int(shared[0])
                called = group_names[group] if group_names is not None else group
                raise InputError(
                    f"group {called!r} has images in both {first} and {second} "
                    f"({len(shared)} such groups): move each group to one of them, or give all "
                    "images as train alone and let the splits be drawn by group"
                )


def _split_warnings(
    pools: Mapping[PoolName, PoolLabels],
    parts: Mapping[Split, Part],
    classes: Sequence[str] | None,
) -> list[str]:
    notes = []
    for name in ("score", "test"):
        part = parts[name]
        groups = pools[part.pool].groups[part.index]
        points = standard_error_points(groups)
        if points > 1:
            notes.append(
                f"the {name} split has only {len(groups)} images ({len(np.unique(groups))} groups)"
                f": the standard error of an accuracy of {PRESUMED_ACCURACY:.0%} is up to "
                f"{points:.1f} points; more images would tell closer candidates apart"
            )
    n_classes = max(int(pool.labels.max()) for pool in pools.values()) + 1
    n_classes = max(n_classes, len(classes or ()))
    for name, part in parts.items():
        seen = np.bincount(pools[part.pool].labels[part.index], minlength=n_classes)
        lacking = [
            str(classes[k]) if classes else str(k) for k in np.flatnonzero(seen == 0).tolist()
        ]
        if lacking:
            more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
            notes.append(f"the {name} split has no image of class {', '.join(lacking[:3])}{more}")
    return notes
