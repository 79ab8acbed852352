"""What the figures of an analysis mean, in two sentences."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid_nas.routing.bootstrap import Interval
from hybrid_nas.routing.results import RouteAnalysis
from hybrid_nas.routing.rewards import ACCURACY, UTILITY

PREFERRED_COVERAGE = 0.7
"""The coverage to speak of, if it was asked for; else the first one."""


@dataclass(frozen=True)
class Verdict:
    """Whether a hybrid is worth it, and which router, in words.

    `worth_it`: at some coverage the default method is better than the base alone by more than the
    95 % interval of the difference.
    """

    worth_it: bool
    hybrid: str
    router: str


def judge(analysis: RouteAnalysis) -> Verdict:
    """The verdict on an analysis."""
    better = [c for c in analysis.coverages if analysis.over_base[c].low > 0.0]
    return Verdict(bool(better), _about_hybrid(analysis, better), _about_router(analysis))


def _about_hybrid(analysis: RouteAnalysis, better: list[float]) -> str:
    in_words = _Words(analysis.measure)
    alone = f"the base alone {in_words.value(analysis.base_worth)}"
    cloud = f"the cloud alone, which every input is sent to, {in_words.value(analysis.cloud_worth)}"
    if not better:
        return (
            "A hybrid is not worth it: at none of these coverages is it clearly better than the "
            f"base alone ({alone}{in_words.right}, {cloud})."
        )
    coverage = _coverage_to_speak_of(analysis, better)
    at = analysis.methods[analysis.default][coverage]
    lead = "A hybrid is worth it"
    if analysis.over_cloud[coverage].low > 0.0:
        lead += " and better than either model"
    return (
        f"{lead}: with {analysis.default} and {100.0 * at.coverage:.1f} % of the inputs kept, "
        f"{in_words.reached(at.worth)}; {alone}, {cloud} "
        f"({in_words.gain(analysis.over_base[coverage])} over the base)."
    )


def _about_router(analysis: RouteAnalysis) -> str:
    confidence = analysis.best_confidence
    coverage = _coverage_to_speak_of(analysis, list(analysis.coverages))
    is_router = analysis.default != confidence
    router = analysis.default if is_router else "signed-gain"
    gain = analysis.gains.get(router, {}).get(confidence, {}).get(coverage)
    if gain is None:
        return f"{confidence} needs no fitting, and nothing was compared with it."
    measured = f"{_Words(analysis.measure).gain(gain)} over {confidence} at coverage {coverage:g}"
    if not is_router:
        return f"{confidence} is enough: no router is clearly better ({router} {measured})."
    doubt = "" if gain.low > 0.0 else ", which may be chance: more inputs would tell"
    return f"{router} is the best router for these outputs: {measured}{doubt}."


def _coverage_to_speak_of(analysis: RouteAnalysis, among: list[float]) -> float:
    return PREFERRED_COVERAGE if PREFERRED_COVERAGE in among else among[0]


class _Words:
    """Values of a measure in words: shares in percent, utilities as they are."""

    def __init__(self, measure: str) -> None:
        self.measure = measure
        self.is_share = measure != UTILITY
        self.right = " right" if measure == ACCURACY else ""

    def value(self, one: Interval) -> str:
        return f"{100.0 * one.value:.1f} %" if self.is_share else f"{one.value:.4g}"

    def reached(self, one: Interval) -> str:
        if self.measure == ACCURACY:
            return f"{self.value(one)} are right"
        return f"the {self.measure} is {self.value(one)}"

    def gain(self, one: Interval) -> str:
        if not self.is_share:
            return f"{one.value:+.4g}, 95 % interval {one.low:+.4g} to {one.high:+.4g}"
        return (
            f"{100.0 * one.value:+.2f} points, 95 % interval {100.0 * one.low:+.2f} to "
            f"{100.0 * one.high:+.2f}"
        )
