"""Early exits on the device: an easy image is answered by a classifier on an earlier stage.

BranchyNet (Teerapittayanon, McDanel & Kung, ICPR 2016): leave where the entropy of the exit's
softmax is low. Here the base stays as it is and each exit is a linear classifier on one stage,
averaged to about 4 x 4 places (as the internal classifiers that Kaya et al., "Shallow-Deep
Networks", ICML 2019, put on a trained network): the base's accuracy is not touched. No cloud here.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hybrid_nas.data.dataset import Split
from hybrid_nas.evaluation.stages import Cut, cuts, milliseconds, pooled_features
from hybrid_nas.evaluation.subject import Subject
from hybrid_nas.hardware.latency import LatencyModel
from hybrid_nas.routing.confidence import confidence_score
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.thresholds import fit_threshold, sent
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.typing import Float32Array, IntArray

DEPTHS = (0.25, 0.5, 0.75)
"""Where exits stand: shares of the base's multiply-accumulates."""
EXIT_SHARES = (0.25, 0.5, 0.75)
"""Shares of the images that leave there."""

_GRID = 4
_TRAINING_IMAGES = 2000
_PENALTIES = (0.01, 0.1, 1.0)  # scikit-learn's C: the inverse of the l2 penalty
_UNSEEN_LOGIT = -50.0  # of a class that no training image shows


@dataclass(frozen=True)
class AtExitShare:
    """What one exit does when a share of the images leaves there.

    Attributes:
        left: share that left on the test split, with the threshold of the ``threshold`` split.
        accuracy: of exit and base together, on all images.
        mean_macs: multiply-accumulates per image.
        mean_ms: time on the device; None without a latency table.
    """

    left: float
    accuracy: float
    mean_macs: float
    mean_ms: float | None


@dataclass(frozen=True)
class Exit:
    """One exit: where it stands, and its accuracy on all images that pass."""

    block: int
    macs: int
    ms: float | None
    accuracy: float
    at: Mapping[float, AtExitShare]

    def document(self) -> dict[str, Any]:
        """For ``evaluation.json``."""
        return {
            "block": self.block,
            "macs": self.macs,
            "ms": self.ms,
            "accuracy": self.accuracy,
            "at": {format(share, "g"): vars(found) for share, found in self.at.items()},
        }


def early_exits(subject: Subject, *, seed: int = 0) -> list[Exit]:
    """Exits at about a quarter, half and three quarters of the base's work.

    Heads are fitted on training images, their penalty is chosen on the ``fit`` split, thresholds
    are set on the ``threshold`` split; `seed` draws the training images.
    """
    places = choose_cuts(subject)
    if not places:
        return []
    train = subject.data.training_images(_TRAINING_IMAGES, seed)
    seen = pooled_features(subject.base, train.images, places, _GRID)
    splits: dict[Split, list[Float32Array]] = {
        split: pooled_features(subject.base, subject.data.split(split).images, places, _GRID)
        for split in ("fit", "threshold", "test")
    }
    found = []
    for index, cut in enumerate(places):
        head = _fit_head(
            seen[index], train.labels, splits["fit"][index], subject.data.split("fit").labels
        )
        outputs = {
            split: _head_outputs(head, splits[split][index], subject, split)
            for split in ("threshold", "test")
        }
        found.append(_judge(subject, cut, outputs["threshold"], outputs["test"]))
    return found


def choose_cuts(subject: Subject) -> list[Cut]:
    """The cuts nearest to `DEPTHS`, each once, in order."""
    architecture = subject.base.architecture
    possible = cuts(architecture)
    chosen = {
        min(possible, key=lambda cut: abs(cut.macs - depth * architecture.macs))
        for depth in DEPTHS
        if possible
    }
    return sorted(chosen, key=lambda cut: cut.op)


def _fit_head(
    features: Float32Array, labels: IntArray, others: Float32Array, other_labels: IntArray
) -> Any:
    """Multinomial logistic regression, with the penalty that is best on other inputs."""
    with warnings.catch_warnings():
        # one that would go on after so many steps is judged beside the others as it is
        warnings.simplefilter("ignore", ConvergenceWarning)
        heads = [
            make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=500)).fit(
                features, labels
            )
            for penalty in _PENALTIES
        ]
    return max(heads, key=lambda head: head.score(others, other_labels))


def _head_outputs(
    head: Any, features: Float32Array, subject: Subject, split: Split
) -> ModelOutputs:
    logits = np.full((len(features), len(subject.data.classes)), _UNSEEN_LOGIT)
    logits[:, head.classes_] = np.maximum(head.predict_log_proba(features), _UNSEEN_LOGIT)
    return ModelOutputs(
        labels=subject.data.split(split).labels, logits=logits, source=f"an exit on split {split}"
    )


def _judge(subject: Subject, cut: Cut, threshold: ModelOutputs, test: ModelOutputs) -> Exit:
    architecture = subject.base.architecture
    head = _head_ops(cut, architecture.classes)
    head_macs = sum(op.macs for op in head)
    exit_ms = rest_ms = None
    if subject.pair.setup.table is not None:
        model = LatencyModel(subject.pair.setup.table)
        each = milliseconds(architecture.ops, model)
        exit_ms = float(each[: cut.op + 1].sum() + milliseconds(head, model).sum())
        rest_ms = float(each[cut.op + 1 :].sum())
    entropy, here = confidence_score(threshold, "entropy"), confidence_score(test, "entropy")
    base_correct = subject.outputs("test").correct
    at = {}
    for share in EXIT_SHARES:
        goes_on = sent(here, fit_threshold(entropy, share))
        on = float(goes_on.mean())
        at[share] = AtExitShare(
            left=1.0 - on,
            accuracy=float(np.where(goes_on, base_correct, test.correct).mean()),
            mean_macs=cut.macs + head_macs + on * (architecture.macs - cut.macs),
            mean_ms=None if exit_ms is None or rest_ms is None else exit_ms + on * rest_ms,
        )
    return Exit(cut.block, cut.macs + head_macs, exit_ms, float(test.correct.mean()), at)


def _head_ops(cut: Cut, classes: int) -> Sequence[OpSpec]:
    height, width, channels = cut.shape
    side = cut.window(_GRID)
    pool = OpSpec("avgpool", height, width, channels, channels, side, side, bias=False)
    dense = OpSpec("dense", 1, 1, pool.out_elements, classes)
    return (pool, dense) if side > 1 else (dense,)
