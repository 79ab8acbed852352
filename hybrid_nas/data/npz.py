"""Data sets in one ``.npz`` file: images, or any features that can be laid out as images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hybrid_nas.data.quantise import ByteScale, store_as_bytes
from hybrid_nas.data.resize import check_image_size, resize_images
from hybrid_nas.data.splitting import PoolName
from hybrid_nas.data.stored import ArrayPixels, Pool, StoredDataset, number_groups
from hybrid_nas.errors import InputError
from hybrid_nas.npz import load_arrays
from hybrid_nas.typing import ByteArray, IntArray

AnyArray = npt.NDArray[Any]

LAYOUT = "x_train, y_train, x_val, y_val (and x_test, y_test), or images, labels"
_CLIPPED_WORTH_SAYING = 0.001
_MAX_LABEL = int(np.iinfo(np.int64).max)
_POOLS: tuple[PoolName, ...] = ("train", "val", "test")
_POOLED_KEYS = {pool: {k: f"{k}_{pool}" for k in ("x", "y", "groups")} for pool in _POOLS}
_SINGLE_KEYS = {"x": "images", "y": "labels", "groups": "groups"}


@dataclass(frozen=True)
class _Keyed:
    """An array and the key that it has in the file, for messages."""

    key: str
    array: AnyArray


_Kinds = Mapping[PoolName, _Keyed]


class NpzDataset(StoredDataset):
    """Arrays named ``x_train, y_train, x_val, y_val, x_test, y_test``, or ``images, labels``.

    Images are (n, height, width) or (n, height, width, channels). What is not uint8 is brought to
    0 .. 255 by the range of the training values, and a warning says so. Labels are integers or
    strings, (n,). Optional are ``groups_train`` etc. (or ``groups``): the source group of each
    image, integers or strings; and ``classes``: class names that integer labels index. Without val
    (or with ``images, labels`` alone), the other splits are held out of train by groups.

    Args:
        path: the file; pickled objects in it are never loaded.
        image_size: (height, width) to resize to; as stored by default.
        seed: of the splits.
        flip: mirror training images at random; off, as features and digits have a direction.

    Raises:
        InputError: naming the file and the key at fault.
    """

    def __init__(
        self,
        path: Path,
        *,
        image_size: tuple[int, int] | None = None,
        seed: int = 0,
        flip: bool = False,
    ) -> None:
        arrays = load_arrays(path)
        try:
            x, y, given_groups, notes = _sort_out(arrays)
            images, image_notes = _images(x)
            labels, classes = _labels(y, arrays.get("classes"))
            for pool, some in images.items():
                if len(some) != len(labels[pool]):
                    raise InputError(
                        f"{x[pool].key} has {len(some)} images and {y[pool].key} "
                        f"{len(labels[pool])} labels: each image needs one"
                    )
            sizes = {pool: len(some) for pool, some in images.items()}
            named = {pool: _group_names(given_groups.get(pool), n) for pool, n in sizes.items()}
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        without = [pool for pool, names in named.items() if names is None]
        if 0 < len(without) < len(named):
            notes.append(
                f"no groups are given for {', '.join(without)}: each image there counts as its own"
            )
        numbers, group_names = number_groups(named, sizes)
        if image_size is not None:
            size = check_image_size(image_size)
            images = {pool: resize_images(some, size) for pool, some in images.items()}
        height, width, channels = images["train"].shape[1:]
        super().__init__(
            source=path,
            classes=classes,
            image_shape=(height, width, channels),
            pools={
                pool: Pool(ArrayPixels(some), labels[pool], numbers[pool])
                for pool, some in images.items()
            },
            seed=seed,
            flip=flip,
            warnings=(*notes, *image_notes),
            group_names=group_names,
        )


def _sort_out(arrays: Mapping[str, AnyArray]) -> tuple[_Kinds, _Kinds, _Kinds, list[str]]:
    """Images, labels and groups by pool, and a note about keys that are not understood."""
    pooled = [key for keys in _POOLED_KEYS.values() for key in keys.values() if key in arrays]
    single = [key for key in _SINGLE_KEYS.values() if key in arrays]
    if pooled and single:
        raise InputError(f"both {pooled[0]} and {single[0]} are there: expected {LAYOUT}")
    layout: Mapping[PoolName, Mapping[str, str]] = (
        {"train": _SINGLE_KEYS} if single else _POOLED_KEYS
    )
    found: dict[str, dict[PoolName, _Keyed]] = {"x": {}, "y": {}, "groups": {}}
    for pool, keys in layout.items():
        there = [key for key in keys.values() if key in arrays]
        if not there and pool != "train":
            continue
        for kind, key in keys.items():
            if key in arrays:
                found[kind][pool] = _Keyed(key, arrays[key])
            elif kind != "groups":
                got = ", ".join(sorted(arrays)[:8]) or "no arrays"
                raise InputError(f"{key} is missing: expected {LAYOUT}; got {got}")
    unknown = sorted(set(arrays) - {*pooled, *single, "classes"})
    notes = [f"keys not understood are ignored: {', '.join(unknown)}"] if unknown else []
    return found["x"], found["y"], found["groups"], notes


def _images(given: _Kinds) -> tuple[dict[PoolName, ByteArray], list[str]]:
    shaped = {pool: _as_images(keyed) for pool, keyed in given.items()}
    train = shaped["train"]
    for pool, array in shaped.items():
        if array.shape[1:] != train.shape[1:]:
            raise InputError(
                f"{given[pool].key} has images of {_by(array.shape[1:])}, {given['train'].key} of "
                f"{_by(train.shape[1:])}: all need the same height, width and channels"
            )
        if (array.dtype.kind == "f") != (train.dtype.kind == "f"):
            raise InputError(
                f"{given[pool].key} is {array.dtype}, {given['train'].key} {train.dtype}: "
                "the values of all must mean the same"
            )
    if all(array.dtype == np.uint8 for array in shaped.values()):
        return shaped, []
    scale = ByteScale.of_training_values(train, given["train"].key)
    stored = {pool: store_as_bytes(array, scale, given[pool].key) for pool, array in shaped.items()}
    notes = scale.notes(train.dtype)
    for pool, array in shaped.items():
        outside = float(((array < scale.low) | (array > scale.high)).mean())
        if outside > _CLIPPED_WORTH_SAYING:
            notes.append(
                f"{outside:.1%} of the values of {given[pool].key} lie outside and are clipped"
            )
    return stored, notes


def _as_images(given: _Keyed) -> AnyArray:
    """The array as (n, height, width, channels), after a look at its shape and type."""
    array = given.array[..., None] if given.array.ndim == 3 else given.array
    if array.ndim != 4:
        raise InputError(
            f"{given.key} has shape {array.shape}: expected (n, height, width) or "
            "(n, height, width, channels)"
        )
    if 0 in array.shape:
        raise InputError(f"{given.key} has shape {array.shape}: there is nothing in it")
    if array.dtype.kind not in "uifb":
        raise InputError(f"{given.key} is {array.dtype}: expected uint8, or numbers")
    # pictures in the (n, channels, h, w) order of some frameworks; thin feature maps pass
    _, first, second, last = array.shape
    if last > 4 and (first == 3 or (first == 1 and second == last)):
        raise InputError(
            f"{given.key} has shape {array.shape}, which looks like channels first: "
            "transpose(0, 2, 3, 1) puts it in the expected order (n, height, width, channels)"
        )
    return array


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(str(side) for side in shape)


def _labels(
    given: _Kinds, class_names: AnyArray | None
) -> tuple[dict[PoolName, IntArray], tuple[str, ...]]:
    """Class indices per pool and the class names; training labels decide what classes there are."""
    flat = {pool: _as_labels(keyed) for pool, keyed in given.items()}
    strings = {array.dtype.kind == "U" for array in flat.values()}
    if len(strings) > 1:
        raise InputError("labels are strings in one pool and integers in another")
    if class_names is not None:
        values, names = _named_classes(class_names, strings=strings == {True})
    else:
        values = np.unique(flat["train"])
        names = tuple(str(value) for value in values.tolist())
    if len(names) < 2:
        raise InputError(
            f"{given['train'].key} has only the class {names[0]}: a classifier needs at least two"
        )
    order = np.argsort(values)
    labels: dict[PoolName, IntArray] = {}
    for pool, array in flat.items():
        strange = np.setdiff1d(array, values)
        if len(strange):
            known = given["train"].key if class_names is None else "classes"
            raise InputError(
                f"{given[pool].key} has the class {strange[0]}, which is not among the "
                f"{len(names)} of {known}"
            )
        labels[pool] = order[np.searchsorted(values, array, sorter=order)].astype(np.int64)
    return labels, names


def _as_labels(given: _Keyed) -> AnyArray:
    array = given.array
    if array.ndim == 2 and array.shape[1] == 1:  # as some frameworks store them
        array = array[:, 0]
    if array.ndim != 1 or array.dtype.kind not in "iubU":
        raise InputError(
            f"{given.key} is {array.dtype} of shape {array.shape}: expected integers or strings of "
            "shape (n,), one class per image"
        )
    if array.dtype.kind == "U":
        return array
    if array.dtype == np.uint64 and len(array) and array.max() > _MAX_LABEL:
        raise InputError(
            f"{given.key} has the label {array.max()}: expected integers up to {_MAX_LABEL}, or "
            "strings"
        )
    return array.astype(np.int64)


def _named_classes(class_names: AnyArray, *, strings: bool) -> tuple[AnyArray, tuple[str, ...]]:
    if class_names.ndim != 1 or class_names.dtype.kind != "U":
        raise InputError(
            f"classes is {class_names.dtype} of shape {class_names.shape}: expected the class "
            "names as strings"
        )
    names = tuple(class_names.tolist())
    if not names or len(set(names)) < len(names):
        raise InputError("classes is empty or names a class twice")
    return (class_names if strings else np.arange(len(names))), names


def _group_names(given: _Keyed | None, n: int) -> list[str] | None:
    if given is None:
        return None
    groups = given.array
    if groups.shape != (n,) or groups.dtype.kind not in "iuU":
        raise InputError(
            f"{given.key} is {groups.dtype} of shape {groups.shape}: expected {n} integers or "
            "strings, one per image"
        )
    return [str(group) for group in groups.tolist()]
