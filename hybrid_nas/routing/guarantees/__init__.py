"""Thresholds that come with a promise: what holds on further inputs, and how surely.

A `Promise` and calibration inputs (`ScoredInputs`) go in; `calibrate` gives a `Guarantee`: a
threshold with what is promised about it. docs/guarantees.md says what each promise means and why it
holds.
"""

from hybrid_nas.routing.guarantees.calibration import Guarantee, calibrate, check_enough
from hybrid_nas.routing.guarantees.figures import promised_figure
from hybrid_nas.routing.guarantees.inputs import ScoredInputs
from hybrid_nas.routing.guarantees.promise import KINDS, Promise, parse_promise
from hybrid_nas.routing.guarantees.splitting import choose_start, set_aside

__all__ = [
    "KINDS",
    "Guarantee",
    "Promise",
    "ScoredInputs",
    "calibrate",
    "check_enough",
    "choose_start",
    "parse_promise",
    "promised_figure",
    "set_aside",
]
