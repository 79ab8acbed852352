"""The figure that a promise bounds, as a mean of what each input counts when kept and when sent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.routing.guarantees.inputs import ScoredInputs
from hybrid_nas.routing.guarantees.path import KeepPath
from hybrid_nas.typing import FloatArray


@dataclass(frozen=True, eq=False)
class Losses:
    """What each input (n,) counts towards the tolerated share, in [0, 1], when kept and when sent.

    `of_kept`: only kept inputs count, and the figure is a share of them.
    """

    kept: FloatArray
    sent: FloatArray
    of_kept: bool = False


def losses(kind: str, inputs: ScoredInputs) -> Losses:
    """The losses that a promise of this kind bounds.

    Raises:
        InputError: for loss and accuracy without a cloud.
    """
    nothing, everything = np.zeros(inputs.n), np.ones(inputs.n)
    wrong = (~inputs.base_correct).astype(np.float64)
    if kind == "queries":
        return Losses(kept=nothing, sent=everything)
    if kind == "risk":
        return Losses(kept=wrong, sent=nothing, of_kept=True)
    check_cloud(kind, with_cloud=inputs.cloud_correct is not None)
    assert inputs.cloud_correct is not None
    if kind == "loss":
        return Losses(kept=wrong * inputs.cloud_correct, sent=nothing)
    return Losses(kept=wrong, sent=(~inputs.cloud_correct).astype(np.float64))


def check_cloud(kind: str, *, with_cloud: bool) -> None:
    """Refuse promises about loss and accuracy where there is no cloud.

    Raises:
        InputError: naming what may be promised then.
    """
    if not with_cloud and kind in ("loss", "accuracy"):
        raise InputError(
            f"a promise about {kind} needs a cloud: without one, promise risk or queries"
        )


def promised_figure(kind: str, inputs: ScoredInputs, threshold: float) -> float:
    """The figure that a promise of this kind is about, on some inputs decided by a threshold.

    With groups it is for a random input of a random group. Nothing kept is no risk: 0.
    """
    count = losses(kind, inputs)
    path = KeepPath(inputs.score, inputs.groups)
    position = path.position(threshold)
    lost = float(path.unit_sums(count.kept, count.sent)[position])
    if count.of_kept:
        kept = float(path.unit_kept[position])
        return lost / kept if kept > 0.0 else 0.0
    share = lost / path.n_units
    return 1.0 - share if kind == "accuracy" else share
