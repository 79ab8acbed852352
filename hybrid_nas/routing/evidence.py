"""What is known about n inputs for choosing a router: signals, confidences, and who was right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.routing.confidence import available_confidences, confidence_score
from hybrid_nas.routing.designs import RouterDesign
from hybrid_nas.routing.loading import common_labels
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.signals import signal_blocks
from hybrid_nas.typing import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Evidence:
    """Arrays over the same n inputs.

    Args:
        signals: what the router reads (n, d), block after block.
        widths: columns of each block.
        confidences: the plain confidences as send scores (n,), by name.
        base_correct: where the base is right.
        cloud_correct: where the cloud is right; all true stands for an abstaining classifier, for
            which an input that is not kept cannot be wrong.
        groups: the source of each input, or None.
        soft_gain: p_g(y) - p_b(y), or None where one of them gives no probabilities.
    """

    signals: FloatArray
    widths: tuple[int, ...]
    confidences: Mapping[str, FloatArray]
    base_correct: BoolArray
    cloud_correct: BoolArray
    groups: IntArray | None
    soft_gain: FloatArray | None = None

    @property
    def n(self) -> int:
        """Number of inputs."""
        return len(self.base_correct)

    @property
    def n_groups(self) -> int:
        """Number of groups; without groups, of inputs."""
        return self.n if self.groups is None else len(np.unique(self.groups))

    def regroup(self, groups: IntArray) -> Evidence:
        """The same evidence with other groups."""
        return replace(self, groups=groups)

    def take(self, rows: BoolArray | IntArray) -> Evidence:
        """The evidence on some of the inputs."""
        return replace(
            self,
            signals=self.signals[rows],
            confidences={name: score[rows] for name, score in self.confidences.items()},
            base_correct=self.base_correct[rows],
            cloud_correct=self.cloud_correct[rows],
            groups=None if self.groups is None else self.groups[rows],
            soft_gain=None if self.soft_gain is None else self.soft_gain[rows],
        )


def gather_evidence(
    outputs: ModelOutputs,
    design: RouterDesign,
    base_correct: BoolArray,
    cloud_correct: BoolArray | None,
    *,
    cloud: ModelOutputs | None = None,
) -> Evidence:
    """The evidence that a base's outputs give to a router of this design.

    `cloud_correct` None stands for no cloud. The outputs of the `cloud` add the soft gain where
    they have probabilities.

    Raises:
        InputError: if the outputs are predictions alone, or lack features that the design reads.
    """
    names = available_confidences(outputs)
    if not names:
        raise InputError(
            f"{outputs.source} has predictions alone, which no router can rank: add logits, probs "
            "or confidence"
        )
    blocks = signal_blocks(outputs, design.blocks, outputs.n_classes)
    return Evidence(
        signals=np.concatenate([np.empty((outputs.n, 0)), *blocks], axis=1),
        widths=tuple(block.shape[1] for block in blocks),
        confidences={name: confidence_score(outputs, name) for name in names},
        base_correct=base_correct,
        cloud_correct=np.ones_like(base_correct) if cloud_correct is None else cloud_correct,
        groups=outputs.groups,
        soft_gain=None if cloud is None else soft_gain(outputs, cloud),
    )


def soft_gain(base: ModelOutputs, cloud: ModelOutputs) -> FloatArray | None:
    """p_g(y) - p_b(y) of each input (n,); None where one of them has no class probabilities.

    Labels may be in either.

    Raises:
        InputError: if neither has labels.
    """
    labels = common_labels(base, cloud)
    if base.probs is None or cloud.probs is None:
        return None
    rows = np.arange(base.n)
    gain: FloatArray = cloud.probs[rows, labels].astype(np.float64) - base.probs[rows, labels]
    return gain
