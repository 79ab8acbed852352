"""Whether a base's and a cloud's outputs can be judged at all."""

from __future__ import annotations

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.routing.evidence import Evidence
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.typing import IntArray


def check_classes(labels: IntArray, source: str) -> None:
    """Refuse labels of one class only.

    Raises:
        InputError: naming the class.
    """
    classes = np.unique(labels)
    if len(classes) < 2:
        raise InputError(
            f"{source}: labels have one class only ({int(classes[0])}, {len(labels)} times): "
            "expected inputs of two classes or more"
        )


def check_folds(evidence: Evidence, folds: int, source: str) -> None:
    """Refuse fewer than two folds, and fewer than two inputs or groups for each.

    Raises:
        InputError: saying how many there are.
    """
    if folds < 2:
        raise InputError(f"{folds} folds: expected 2 or more")
    if evidence.n_groups < 2 * folds:
        what = "inputs" if evidence.groups is None else "groups of inputs"
        raise InputError(
            f"{source} has {evidence.n_groups} {what}: {folds} folds need at least "
            f"{2 * folds}; give more outputs, or fewer folds"
        )


def check_scores(evidence: Evidence, source: str) -> None:
    """Refuse outputs that rank no input before another.

    Raises:
        InputError: as no coverage can be reached with them.
    """
    columns = [*evidence.confidences.values(), *evidence.signals.T]
    if all(float(column.max()) == float(column.min()) for column in columns):
        raise InputError(
            f"{source} says the same of all {evidence.n} inputs, so that no coverage between 0 and "
            "1 can be reached: give scores or features that differ"
        )


def labels_source(base: ModelOutputs, cloud: ModelOutputs | None) -> str:
    """Where the labels stand, for messages."""
    return base.source if base.labels is not None or cloud is None else cloud.source
