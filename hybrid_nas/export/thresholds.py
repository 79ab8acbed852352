"""Guarantees for what the device computes, calibrated where nothing was chosen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hybrid_nas.data.dataset import Split
from hybrid_nas.errors import InputError
from hybrid_nas.export.from_run import ExportedPair
from hybrid_nas.routing.guarantees import (
    Guarantee,
    Promise,
    ScoredInputs,
    calibrate,
    choose_start,
)


def calibrate_on_device(promises: Sequence[Promise], exported: ExportedPair) -> list[Guarantee]:
    """Thresholds for promises, on the device's own scores; the test split is not looked at.

    The ``threshold`` split calibrates. The ``score`` split, which the search did look at, only says
    where a sequence of tests starts.

    Raises:
        InputError: a promise that the ``threshold`` split cannot support, a search that looked at
            it, or a base without int8.
    """
    if not promises:
        return []
    exported.subject.pair.check_calibration()
    if exported.device is None:
        raise InputError("--guarantee needs a base with an int8 version: this one has none")
    inputs, elsewhere = _scored(exported, "threshold"), _scored(exported, "score")
    with_cloud = exported.subject.cloud is not None
    return [
        calibrate(
            promise,
            inputs,
            start=choose_start(promise, elsewhere),
            break_even=exported.device.break_even and with_cloud,
        )
        for promise in promises
    ]


def _scored(exported: ExportedPair, split: Split) -> ScoredInputs:
    outputs = exported.outputs(split)
    score = exported.send_score(split).astype(np.float64)
    return ScoredInputs(
        score, outputs.correct, exported.subject.cloud_correct(split), outputs.groups
    )
