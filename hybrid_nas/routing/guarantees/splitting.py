"""What must not come from the calibration inputs: who they are, and where a sequence starts."""

from __future__ import annotations

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.routing.folds import unit_numbers
from hybrid_nas.routing.guarantees.figures import losses
from hybrid_nas.routing.guarantees.inputs import ScoredInputs
from hybrid_nas.routing.guarantees.path import ALWAYS_SEND, KeepPath
from hybrid_nas.routing.guarantees.promise import Promise
from hybrid_nas.routing.guarantees.support import strength
from hybrid_nas.typing import BoolArray, IntArray


def set_aside(n: int, groups: IntArray | None, share: float, seed: int) -> BoolArray:
    """A random share of the inputs, True in the result (n,); groups stay together.

    Drawn evenly, without a look at what is right: dealt by outcome, as folds are, they would be no
    sample.

    Raises:
        InputError: for a share outside (0, 1), or one that leaves either side empty.
    """
    if not 0.0 < share < 1.0:
        raise InputError(
            f"calibration share {share:g} is out of range: expected above 0 and below 1, like 0.3"
        )
    unit_of = unit_numbers(n, groups)
    n_units = int(unit_of.max()) + 1
    count = round(share * n_units)
    if not 0 < count < n_units:
        what = "inputs" if groups is None else "groups"
        raise InputError(
            f"a share of {share:g} of {n_units} {what} leaves one part empty: give more {what}"
        )
    drawn = np.zeros(n_units, dtype=np.bool_)
    drawn[np.random.default_rng(seed).permutation(n_units)[:count]] = True
    aside: BoolArray = drawn[unit_of]
    return aside


def choose_start(promise: Promise, inputs: ScoredInputs) -> float:
    """The threshold at which a promise is most surely kept, from data that are not calibrated on.

    It is where fixed-sequence testing begins: where the inputs speak most strongly for an accuracy
    or a risk, and the safe end for the rest.
    """
    if promise.kind not in ("accuracy", "risk"):
        return ALWAYS_SEND
    path = KeepPath(inputs.score, inputs.groups)
    return path.threshold(int(strength(promise, path, losses(promise.kind, inputs)).argmax()))
