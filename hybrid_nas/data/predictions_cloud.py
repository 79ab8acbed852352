"""A cloud known only by what it answered: an ``.npz`` file of its predictions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hybrid_nas.data.cloud import CloudOutputs, check_classes, softmax
from hybrid_nas.data.dataset import SPLITS, Dataset, ImageSet, Split
from hybrid_nas.data.stored import StoredDataset
from hybrid_nas.errors import InputError
from hybrid_nas.files import sha256_of_file
from hybrid_nas.npz import load_arrays
from hybrid_nas.typing import FloatArray, IntArray

AnyArray = npt.NDArray[Any]

_KINDS = ("pred", "logits", "probs", "labels")


@dataclass(frozen=True)
class _Rows:
    """The arrays of one key prefix: outputs, and labels to check their order by."""

    title: str
    outputs: CloudOutputs
    labels: IntArray | None

    def __len__(self) -> int:
        return len(self.outputs.pred)

    def take(self, index: IntArray) -> _Rows:
        labels = None if self.labels is None else self.labels[index]
        return _Rows(self.title, self.outputs.take(index), labels)


class PredictionsCloud:
    """Predictions made elsewhere, for example by a paid service.

    The file has, for each of the splits ``fit``, ``threshold``, ``score``, ``test`` (and ``train``
    where it shall teach), ``<split>_pred`` or ``<split>_logits`` or ``<split>_probs``; or the same
    for whole pools of a folder, CIFAR or ``.npz`` data set (``val_pred``, ``test_probs`` ...), in
    the pool's order, from which each split takes its rows. A data set of one pool may leave the
    prefix out. ``<prefix>_labels`` beside them are compared with the data set's, to catch rows in
    another order.

    Args:
        path: the file; pickled objects in it are never loaded.
        dataset: what the predictions are for.

    Raises:
        InputError: if a split is not covered, or an array has other rows or classes.
    """

    def __init__(self, path: Path, dataset: Dataset) -> None:
        self.name = path.name
        self.fingerprint = sha256_of_file(path) if path.is_file() else ""
        self._path = path
        self._dataset = dataset
        self._known: dict[bytes, tuple[Split, int]] | None = None
        arrays = load_arrays(path)
        prefixes = _read_prefixes(path, arrays, len(dataset.classes))
        self._rows: dict[Split, CloudOutputs] = {}
        for split in SPLITS:
            rows = _rows_of(path, prefixes, dataset, split)
            if rows is not None:
                _check_labels(path, rows, dataset, split)
                self._rows[split] = rows.outputs
        missing = [split for split in SPLITS[1:] if split not in self._rows]
        if missing:
            raise InputError(
                f"{path} has no predictions for {', '.join(missing)}: expected the keys "
                f"{missing[0]}_pred, {missing[0]}_logits or {missing[0]}_probs"
                f"{_pool_hint(dataset, missing[0])}; got {', '.join(sorted(arrays)[:8])}"
            )

    def predict_split(self, dataset: Dataset, split: Split) -> CloudOutputs:
        """The predictions for a split of the data set that the file was opened with."""
        if dataset.fingerprint != self._dataset.fingerprint:
            raise InputError(f"{self.name} was opened for other data than {dataset.name}")
        if split not in self._rows:
            raise InputError(f"{self._path} has no predictions for {split}: give {split}_pred")
        return self._rows[split]

    def predict(self, images: ImageSet) -> CloudOutputs:
        """The predictions for any images of the covered splits, recognised by their pixels.

        Raises:
            InputError: if an image is not among them.
        """
        if self._known is None:
            self._known = {}
            for split in self._rows:
                for at, image in enumerate(self._dataset.split(split).images):
                    self._known.setdefault(_digest(image), (split, at))
        pred = np.empty(len(images), np.int64)
        probs: list[FloatArray] = []
        for k, image in enumerate(images.images):
            found = self._known.get(_digest(image))
            if found is None:
                raise InputError(
                    f"{self.name} cannot answer for image {k}, which is in none of the splits that "
                    "it has predictions for: a model (.onnx) could"
                )
            split, at = found
            rows = self._rows[split]
            pred[k] = rows.pred[at]
            if rows.probs is not None:
                probs.append(rows.probs[at])
        whole = len(probs) == len(images) > 0
        return CloudOutputs(pred, np.stack(probs) if whole else None)


def _digest(image: npt.NDArray[np.uint8]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()


def _read_prefixes(path: Path, arrays: Mapping[str, AnyArray], n_classes: int) -> dict[str, _Rows]:
    """The outputs under each prefix, the empty one included."""
    prefixes: dict[str, dict[str, AnyArray]] = {}
    for key, array in arrays.items():
        prefix, _, kind = key.rpartition("_")
        if kind in _KINDS:
            prefixes.setdefault(prefix, {})[kind] = array
    return {
        prefix: _read_rows(path, prefix, given, n_classes)
        for prefix, given in prefixes.items()
        if set(given) - {"labels"}
    }


def _read_rows(path: Path, prefix: str, given: Mapping[str, AnyArray], n_classes: int) -> _Rows:
    def title(kind: str) -> str:
        return f"{prefix}_{kind}" if prefix else kind

    for kind, array in given.items():
        flat = kind in ("pred", "labels")
        right = array.ndim == 1 if flat else array.ndim == 2 and array.shape[1] == n_classes
        if not right or array.dtype.kind not in ("iu" if flat else "f"):
            expected = "integers (n,)" if flat else f"floats (n, {n_classes}), one per class"
            raise InputError(
                f"{path}: {title(kind)} is {array.dtype} of shape {array.shape}: "
                f"expected {expected}"
            )
    kinds = sorted(given)
    if len({len(array) for array in given.values()}) > 1:
        rows = ", ".join(f"{title(kind)} {len(given[kind])}" for kind in kinds)
        raise InputError(f"{path}: row counts differ: {rows}")
    probs: FloatArray | None = None
    if "probs" in given:
        probs = given["probs"].astype(np.float64)
        if not (probs >= 0).all() or not np.allclose(probs.sum(axis=1), 1, atol=0.01):
            raise InputError(
                f"{path}: {title('probs')} has rows that are not probabilities: each must sum to "
                "one with none negative; give raw scores as logits"
            )
    elif "logits" in given:
        logits = given["logits"].astype(np.float64)
        if not np.isfinite(logits).all():
            raise InputError(f"{path}: {title('logits')} has values that are not finite")
        probs = softmax(logits)
    if "pred" in given:
        pred = given["pred"].astype(np.int64)
    else:
        assert probs is not None  # one of the three kinds is there
        pred = probs.argmax(axis=1)
    name = title("pred" if "pred" in given else "probs" if "probs" in given else "logits")
    outputs = CloudOutputs(pred, probs)
    check_classes(outputs, n_classes, f"{path}: {name}")
    labels = given["labels"].astype(np.int64) if "labels" in given else None
    return _Rows(name, outputs, labels)


def _rows_of(
    path: Path, prefixes: Mapping[str, _Rows], dataset: Dataset, split: Split
) -> _Rows | None:
    """The rows for one split, by its own key or out of its pool's; None if there are none."""
    own = prefixes.get(split)
    if not isinstance(dataset, StoredDataset):
        if own is not None and len(own) != len(dataset.split(split)):
            raise _wrong_length(path, own, split, len(dataset.split(split)))
        return own
    part = dataset.part(split)
    n, pool_size = len(part.index), dataset.pool_sizes[part.pool]
    pool = prefixes.get(part.pool)
    if pool is None and len(dataset.pool_sizes) == 1:
        pool = prefixes.get("")
    if own is not None and len(own) == n:
        return own
    if pool is not None and len(pool) == pool_size:
        return pool.take(part.index)
    if own is not None:
        raise _wrong_length(path, own, split, n)
    if pool is not None and (part.pool != "train" or pool is prefixes.get("")):
        raise InputError(
            f"{path}: {pool.title} has {len(pool)} rows, the pool {part.pool} has {pool_size} "
            "images"
        )
    return None


def _wrong_length(path: Path, rows: _Rows, split: Split, n: int) -> InputError:
    return InputError(f"{path}: {rows.title} has {len(rows)} rows, {split} has {n} images")


def _check_labels(path: Path, rows: _Rows, dataset: Dataset, split: Split) -> None:
    if rows.labels is None:
        return
    if isinstance(dataset, StoredDataset):
        labels = dataset.labels(split)  # without decoding the images
    else:
        labels = dataset.split(split).labels
    wrong = int((rows.labels != labels).sum())
    if wrong:
        raise InputError(
            f"{path}: the labels beside {rows.title} differ from the data set's in {wrong} of "
            f"{len(labels)} rows of {split}: the rows are in another order, or of other data"
        )


def _pool_hint(dataset: Dataset, split: Split) -> str:
    if isinstance(dataset, StoredDataset):
        pool = dataset.part(split).pool
        return f" (or {pool}_pred for all {dataset.pool_sizes[pool]} images of {pool})"
    return ""
