"""Guarantees for a router that was fitted and chosen on some inputs, calibrated on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hybrid_nas.routing.designs import design
from hybrid_nas.routing.evidence import Evidence, gather_evidence
from hybrid_nas.routing.guarantees.calibration import Guarantee, calibrate, check_enough
from hybrid_nas.routing.guarantees.figures import check_cloud
from hybrid_nas.routing.guarantees.inputs import ScoredInputs
from hybrid_nas.routing.guarantees.path import ALWAYS_SEND
from hybrid_nas.routing.guarantees.promise import Promise
from hybrid_nas.routing.guarantees.splitting import choose_start, set_aside
from hybrid_nas.routing.loading import check_pair
from hybrid_nas.routing.metrics import Estimate, pair_accuracy
from hybrid_nas.routing.objectives import breaks_even
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.selection import Selection
from hybrid_nas.routing.thresholds import fit_threshold, sent
from hybrid_nas.typing import FloatArray, IntArray


@dataclass(frozen=True)
class GuaranteedMethod:
    """A method with a guaranteed threshold, and what that costs.

    `coverage` and `accuracy` (without a cloud, of the kept inputs) are on the `n` inputs of the
    selection, by out-of-fold scores: inputs that the threshold was not calibrated on.
    """

    method: str
    guarantee: Guarantee
    n: int
    coverage: float
    accuracy: Estimate


@dataclass(frozen=True, eq=False)
class Parts:
    """A base's and a cloud's outputs, and others of both that are set aside for calibration."""

    base: ModelOutputs
    cloud: ModelOutputs | None
    calibration_base: ModelOutputs | None = None
    calibration_cloud: ModelOutputs | None = None


def split_outputs(
    base: ModelOutputs,
    cloud: ModelOutputs | None,
    promises: Sequence[Promise],
    share: float,
    seed: int,
) -> Parts:
    """Set a share of the inputs, or groups, aside for calibration before anything looks at them.

    Without promises nothing is set aside.

    Raises:
        InputError: for outputs that do not belong together, a share that leaves a part empty, and
            promises that cannot be proved on so few inputs or without a cloud.
    """
    if not promises:
        return Parts(base, cloud)
    if cloud is not None:
        check_pair(base, cloud)
    groups = _groups(base, cloud)
    aside = set_aside(base.n, groups, share, seed)
    units = np.arange(base.n) if groups is None else groups
    sizes = np.unique(units[aside], return_counts=True)[1]
    for promise in promises:
        check_cloud(promise.kind, with_cloud=cloud is not None)
        check_enough(promise, len(sizes), grouped=bool(sizes.max() > 1))
    return Parts(
        base.take(~aside),
        None if cloud is None else cloud.take(~aside),
        base.take(aside),
        None if cloud is None else cloud.take(aside),
    )


def guarantee_selection(
    promises: Sequence[Promise], parts: Parts, selection: Selection, design_kind: str
) -> list[GuaranteedMethod]:
    """Calibrate each promise for the method that was chosen.

    Args:
        promises: what to promise, each by itself.
        parts: `selection` was made on the first part, which also chooses where a sequence of tests
            starts and says what a threshold costs; the other calibrates.
        selection: what was fitted and chosen.
        design_kind: the design of its routers.

    Raises:
        InputError: for a promise that cannot be kept.
    """
    if not promises:
        return []
    assert parts.calibration_base is not None  # set aside for the promises
    method = selection.choice.method
    chosen_on = _evidence(parts.base, parts.cloud, design_kind)
    calibration = _evidence(parts.calibration_base, parts.calibration_cloud, design_kind)
    with_cloud = parts.cloud is not None
    unseen = _scored(chosen_on, selection.scores[method], with_cloud)
    deployed = selection.score(method, chosen_on)
    further = _scored(calibration, selection.score(method, calibration), with_cloud)
    break_even = with_cloud and breaks_even(method)
    found = []
    for promise in promises:
        start = _same_coverage(unseen, deployed, choose_start(promise, unseen))
        guarantee = calibrate(promise, further, start=start, break_even=break_even)
        accuracy = pair_accuracy(
            unseen.base_correct,
            unseen.cloud_correct,
            sent(unseen.score, guarantee.threshold),
            unseen.groups,
        )
        coverage = unseen.coverage(guarantee.threshold)
        found.append(GuaranteedMethod(method, guarantee, unseen.n, coverage, accuracy))
    return found


def _groups(base: ModelOutputs, cloud: ModelOutputs | None) -> IntArray | None:
    return base.groups if base.groups is not None or cloud is None else cloud.groups


def _evidence(base: ModelOutputs, cloud: ModelOutputs | None, design_kind: str) -> Evidence:
    if cloud is None:
        return gather_evidence(base, design(design_kind), base.correct, None)
    evidence = gather_evidence(base, design(design_kind), *check_pair(base, cloud))
    groups = _groups(base, cloud)
    return evidence if groups is None else evidence.regroup(groups)


def _scored(evidence: Evidence, score: FloatArray, with_cloud: bool) -> ScoredInputs:
    cloud_correct = evidence.cloud_correct if with_cloud else None
    return ScoredInputs(score, evidence.base_correct, cloud_correct, evidence.groups)


def _same_coverage(unseen: ScoredInputs, deployed: FloatArray, threshold: float) -> float:
    """A threshold of out-of-fold scores carried over to those of the router that is deployed."""
    coverage = unseen.coverage(threshold)
    return fit_threshold(deployed, coverage) if coverage > 0.0 else ALWAYS_SEND
