"""From decisions about unseen inputs to figures with intervals, all from one bootstrap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hybrid_nas.routing.bootstrap import Interval
from hybrid_nas.routing.costs import QueryCost
from hybrid_nas.routing.designs import RouterDesign
from hybrid_nas.routing.evidence import Evidence
from hybrid_nas.routing.figures import FigureTable
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.results import (
    CurveResult,
    DesignResult,
    MethodAtCoverage,
    RouteAnalysis,
    TargetResult,
)
from hybrid_nas.routing.rewards import Rewards
from hybrid_nas.routing.rivals import Rivals
from hybrid_nas.routing.targets import AtMost
from hybrid_nas.routing.unseen import SELECTED, TargetDecisions, UnseenDecisions
from hybrid_nas.typing import FloatArray

RANDOM = "random"
ORACLE = "oracle-bound"
ROUTER = "signed-gain"
"""The objective that designs are judged by, and that is compared whatever the choice."""


@dataclass(frozen=True)
class CrossValidation:
    """The coverages judged, and how folds are drawn."""

    coverages: tuple[float, ...]
    folds: int
    repeats: int
    seed: int


def summarise(
    evidence: Evidence,
    rewards: Rewards,
    costs: Sequence[QueryCost],
    rivals: Rivals,
    decisions: UnseenDecisions,
    designs: Sequence[tuple[RouterDesign, UnseenDecisions]],
    design: RouterDesign,
    setting: CrossValidation,
) -> RouteAnalysis:
    """All figures of an analysis."""
    choice, coverages = decisions.whole.choice, setting.coverages
    bounds = [rivals.bound_weights(c, rewards) for c in coverages]
    weights = {
        **decisions.decided,
        **_chance_and_oracle(rewards, evidence.n, coverages),
        **{name: np.stack([at[name] for at in bounds]) for name in rivals.bounds},
    }
    thresholds = {
        **decisions.thresholds,
        RANDOM: list(coverages),  # of a score drawn evenly from 0 .. 1
        ORACLE: [0.0] * len(coverages),  # of the true gain, as far as the quota goes
        **{name: [0.0] * len(coverages) for name in rivals.bounds},
    }
    never, always = np.zeros(evidence.n), np.ones(evidence.n)
    table = FigureTable(evidence, rewards, costs)
    table.add(("base",), never)
    table.add(("cloud",), always)
    for index, c in enumerate(coverages):
        for method, rows in weights.items():
            table.add(("method", method, c), rows[index])
        for shape, own in designs:
            table.add(("method", shape.kind, c), own.decided[ROUTER][index])
        table.add_worth(("over base", c), weights[choice.method][index], never)
        table.add_worth(("over cloud", c), weights[choice.method][index], always)
    for index, one in enumerate(decisions.targets):
        table.add(("target", index), one.decided)
    comparisons = _comparisons(decisions)
    for method, rival in comparisons:
        ours, theirs = decisions.matched[method], decisions.matched[rival]
        for index, c in enumerate(coverages):
            table.add_worth(("gain", method, rival, c), ours[index], theirs[index])
    table.bootstrap(setting.seed)
    gains: dict[str, dict[str, dict[float, Interval]]] = {}
    for method, rival in comparisons:
        against = gains.setdefault(method, {})
        against[rival] = {c: table.worth("gain", method, rival, c) for c in coverages}
    return RouteAnalysis(
        n=evidence.n,
        n_groups=evidence.n_groups,
        base=table.interval("base"),
        cloud=table.interval("cloud"),
        base_worth=table.worth("base"),
        cloud_worth=table.worth("cloud"),
        measure=rewards.measure,
        design=design.kind,
        default=choice.method,
        best_confidence=choice.best_confidence,
        coverages=coverages,
        methods=_method_table(table, weights, thresholds, coverages),
        over_base={c: table.worth("over base", c) for c in coverages},
        over_cloud={c: table.worth("over cloud", c) for c in coverages},
        gains=gains,
        folds=setting.folds,
        repeats=setting.repeats,
        targets=[_target_result(table, i, one) for i, one in enumerate(decisions.targets)],
        designs=[_design_result(table, *one, rivals.base, coverages) for one in designs],
        selection=decisions.whole,
    )


def _design_result(
    table: FigureTable,
    design: RouterDesign,
    decisions: UnseenDecisions,
    base: ModelOutputs,
    coverages: Sequence[float],
) -> DesignResult:
    size = (base.n_classes, 0 if base.features is None else base.features.shape[1])
    own = {design.kind: decisions.decided[ROUTER]}
    limits = {design.kind: decisions.thresholds[ROUTER]}
    return DesignResult(
        kind=design.kind,
        params=design.params(*size),
        flash_bytes=design.flash_bytes(*size),
        sram_bytes=design.sram_bytes(*size),
        macs=design.macs(*size),
        at=_method_table(table, own, limits, coverages)[design.kind],
    )


def _comparisons(decisions: UnseenDecisions) -> list[tuple[str, str]]:
    routers = [name for name in (ROUTER,) if name in decisions.decided]
    choice = decisions.whole.choice
    ours = dict.fromkeys([choice.method, *routers, SELECTED])
    rivals = dict.fromkeys([choice.best_confidence, "entropy"])
    return [(method, rival) for method in ours for rival in rivals if method != rival]


def _chance_and_oracle(
    rewards: Rewards, n: int, coverages: Sequence[float]
) -> dict[str, FloatArray]:
    """The weights (coverages, n) of sending at random, and of the best decisions there are."""
    return {
        RANDOM: np.stack([np.full(n, 1.0 - c) for c in coverages]),
        ORACLE: np.stack([rewards.oracle_weights(c) for c in coverages]),
    }


def _method_table(
    table: FigureTable,
    weights: Mapping[str, FloatArray],
    thresholds: Mapping[str, Sequence[float]],
    coverages: Sequence[float],
) -> dict[str, dict[float, MethodAtCoverage]]:
    """Figures by method and coverage, whose weights were added under ("method", name, coverage)."""
    return {
        method: {
            c: MethodAtCoverage(
                **vars(table.of(("method", method, c), rows[index])),
                threshold=thresholds[method][index],
            )
            for index, c in enumerate(coverages)
        }
        for method, rows in weights.items()
    }


def _target_result(table: FigureTable, index: int, one: TargetDecisions) -> TargetResult:
    """What came of a target whose decisions were added under ("target", index)."""
    found = table.of(("target", index), one.decided)
    target = one.target
    is_cost = isinstance(target, AtMost)
    reached = target.cost.mean(one.decided) if isinstance(target, AtMost) else found.worth.value
    return TargetResult(
        **vars(found),
        name=target.name,
        level=target.level,
        is_cost=is_cost,
        reached=reached,
        threshold=one.threshold,
    )


def curve_result(
    evidence: Evidence,
    rewards: Rewards,
    decisions: UnseenDecisions,
    grid: Sequence[float],
    seed: int,
) -> CurveResult:
    """Worth over a grid of coverages, with paired intervals of the gain over the confidence."""
    table = FigureTable(evidence, rewards)
    rival = decisions.whole.choice.best_confidence
    curves = {**decisions.curves, **_chance_and_oracle(rewards, evidence.n, grid)}
    for index, c in enumerate(grid):
        for method, weights in curves.items():
            table.add_worth((method, c), weights[index])
        table.add_worth(("gain", c), curves[SELECTED][index], curves[rival][index])
    table.bootstrap(seed)
    return CurveResult(
        coverage=tuple(grid),
        methods={method: [table.worth(method, c) for c in grid] for method in curves},
        gain=[table.worth("gain", c) for c in grid],
    )
