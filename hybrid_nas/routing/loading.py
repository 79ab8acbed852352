"""Outputs from files, and whether a base's and a cloud's outputs belong together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.npz import load_arrays
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.typing import BoolArray, IntArray

KEYS = ("labels", "logits", "probs", "pred", "confidence", "features", "groups")
"""The arrays of an outputs file that are read."""


def load_outputs(path: Path) -> ModelOutputs:
    """Outputs from an ``.npz`` file; pickled objects in it are never loaded.

    Keys: `labels`; `logits`, `probs`, or `pred` with or without `confidence`; optional `features`
    and `groups`. Others are ignored.

    Raises:
        InputError: one line that names the file and the key at fault.
    """
    found = load_arrays(path, KEYS)
    if not {"logits", "probs", "pred"} & set(found):
        raise InputError(
            f"{path} has none of the keys logits, probs and pred (it has "
            f"{', '.join(found) or 'no known ones'}): save the model's outputs under one of them"
        )
    return ModelOutputs(
        labels=found.get("labels"),
        logits=found.get("logits"),
        probabilities=found.get("probs"),
        predicted=found.get("pred"),
        confidence=found.get("confidence"),
        features=found.get("features"),
        groups=found.get("groups"),
        source=str(path),
    )


def check_pair(base: ModelOutputs, cloud: ModelOutputs) -> tuple[BoolArray, BoolArray]:
    """Where base and cloud are right, after checking that both speak of the same inputs.

    Labels may stand in either; where both have them they must be equal.

    Raises:
        InputError: other lengths, other labels, no labels, or classes that one of them lacks.
    """
    if base.n != cloud.n:
        raise InputError(
            f"{cloud.source} has {cloud.n} inputs and {base.source} {base.n}: both must hold the "
            "outputs on the same inputs in the same order"
        )
    labels = common_labels(base, cloud)
    if base.scores is not None:
        for what, classes in (("labels", labels), ("predictions", cloud.pred)):
            if int(classes.max()) >= base.n_classes:
                raise InputError(
                    f"{what} of {cloud.source} go up to class {int(classes.max())}, but "
                    f"{base.source} has {base.n_classes} classes: both models must number the same "
                    "classes in the same way"
                )
    if cloud.scores is not None and int(labels.max()) >= cloud.n_classes:
        raise InputError(
            f"labels of {base.source} go up to class {int(labels.max())}, but {cloud.source} has "
            f"{cloud.n_classes} classes: both models must number the same classes in the same way"
        )
    return base.pred == labels, cloud.pred == labels


def common_labels(base: ModelOutputs, cloud: ModelOutputs) -> IntArray:
    """The labels (n,) of a base and a cloud, which may stand in either.

    Raises:
        InputError: if neither has any, or both have and they differ.
    """
    if base.labels is not None and cloud.labels is not None:
        differing = np.nonzero(base.labels != cloud.labels)[0]
        if len(differing):
            raise InputError(
                f"labels of {cloud.source} and {base.source} differ on {len(differing)} of "
                f"{base.n} inputs (first in row {differing[0]}): save both in the same order"
            )
    labels = base.labels if base.labels is not None else cloud.labels
    if labels is None:
        raise InputError(
            f"{base.source} and {cloud.source} have no labels: add `labels` to one of them"
        )
    return labels


def drop_constant_features(outputs: ModelOutputs) -> tuple[ModelOutputs, list[str]]:
    """The outputs without features that are the same for every input, and a note for people.

    They have nothing to tell, and would cost flash on the device.
    """
    features = outputs.features
    if features is None:
        return outputs, []
    varying: BoolArray = features.max(axis=0) > features.min(axis=0)
    constant = int((~varying).sum())
    if not constant:
        return outputs, []
    note = f"{outputs.source}: {constant} of {features.shape[1]} features "
    note += "is constant and was" if constant == 1 else "are constant and were"
    kept = features[:, varying] if varying.any() else None
    return replace(outputs, features=kept), [f"{note} left out"]
