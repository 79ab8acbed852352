"""Is a hybrid worth it for two given models, and by how much?

Everything is out of fold (`unseen`), and every interval is from one bootstrap over groups, in which
differences are paired (`summary`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hybrid_nas.routing.costs import QueryCost
from hybrid_nas.routing.designs import (
    DEFAULT_DESIGN_WITHOUT_FEATURES,
    DESIGNS,
    RouterDesign,
    small_design,
)
from hybrid_nas.routing.evidence import Evidence, gather_evidence
from hybrid_nas.routing.loading import check_pair, common_labels
from hybrid_nas.routing.objectives import OBJECTIVES
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.results import MethodAtCoverage, RouteAnalysis
from hybrid_nas.routing.rewards import Rewards, accuracy_rewards, with_timeouts
from hybrid_nas.routing.rivals import Rivals
from hybrid_nas.routing.summary import RANDOM, ROUTER, CrossValidation, curve_result, summarise
from hybrid_nas.routing.targets import Target
from hybrid_nas.routing.thresholds import check_coverage
from hybrid_nas.routing.unseen import UnseenDecisions, decide_unseen
from hybrid_nas.routing.usable import check_classes, check_folds, check_scores, labels_source
from hybrid_nas.routing.utility import Utility

__all__ = ["MethodAtCoverage", "RouteAnalysis", "analyse", "default_design"]

_MAX_REPEATS = 10
_DECISIONS = 20_000  # inputs to decide about, over all repeats
_MAX_SIGNAL_VALUES = 20_000_000
_MAX_CLASSES_READ = 100
_GRID = tuple(float(c) for c in np.linspace(0.0, 1.0, 41))
_NEVER_CHOSEN = tuple(name for name in OBJECTIVES if name.endswith("-penalised"))


def analyse(
    base: ModelOutputs,
    cloud: ModelOutputs,
    coverages: Sequence[float],
    *,
    design: RouterDesign | None = None,
    every_design: bool = False,
    folds: int = 5,
    repeats: int | None = None,
    seed: int = 0,
    utility: Utility | None = None,
    costs: Sequence[QueryCost] = (),
    targets: Sequence[Target] = (),
    curve: bool = False,
    availability: float = 1.0,
) -> RouteAnalysis:
    """Judge routers and plain confidences for a base and a cloud by repeated cross-validation.

    Args:
        base, cloud: outputs on the same inputs; labels, and groups if any, in either.
        coverages: target coverages.
        design: what routers read; by default what the outputs allow.
        every_design: judge the signed gain of every design that the outputs allow as well.
        folds: of each repeat.
        repeats: how often folds are drawn; by default fewer for more inputs.
        seed: of folds, initial weights and bootstrap.
        utility: what answers are worth; None counts right ones.
        costs: what inputs cost, for their means.
        targets: levels to find thresholds for, beside the coverages.
        curve: judge the default and the best confidence over a grid of coverages as well.
        availability: share of queries that are answered in time; the base answers the others. All
            figures are with every query answered, but for `accuracy_with_timeouts`.

    Raises:
        InputError: for outputs that do not belong together, lack what the design reads, have one
            class only, no two different scores, or are too few for the folds; for a coverage
            outside (0, 1] and a target out of reach.
    """
    for coverage in coverages:
        check_coverage(coverage)
    base_correct, cloud_correct = check_pair(base, cloud)
    labels = common_labels(base, cloud)
    check_classes(labels, labels_source(base, cloud))
    groups = base.groups if base.groups is not None else cloud.groups
    base = replace(base, labels=labels, groups=groups)
    design = default_design(base, by_class=utility is not None) if design is None else design
    evidence = gather_evidence(base, design, base_correct, cloud_correct, cloud=cloud)
    check_folds(evidence, folds, base.source)
    check_scores(evidence, base.source)
    if repeats is None:
        repeats = int(np.clip(_DECISIONS // evidence.n, 1, _MAX_REPEATS))
    setting = CrossValidation(tuple(coverages), folds, repeats, seed)
    if utility is None:
        rewards = accuracy_rewards(base_correct, cloud_correct)
    else:
        rewards = utility(base, cloud, labels, groups)
    if availability < 1.0:
        rewards = with_timeouts(rewards, base_correct, cloud_correct, availability)
    rivals = Rivals(base, cloud_correct, known=(*evidence.confidences, RANDOM))
    grid = _GRID if curve else ()
    decisions = decide_unseen(
        evidence,
        coverages,
        hidden=design.hidden,
        folds=folds,
        repeats=repeats,
        seed=seed,
        also=_NEVER_CHOSEN,
        rewards=rewards,
        rivals=rivals,
        targets=targets,
        grid=grid,
    )
    designs = _judge_designs(base, evidence, rewards, setting) if every_design else []
    found = summarise(evidence, rewards, costs, rivals, decisions, designs, design, setting)
    if curve:
        found = replace(found, curve=curve_result(evidence, rewards, decisions, grid, seed))
    return found


def default_design(outputs: ModelOutputs, *, by_class: bool = False) -> RouterDesign:
    """The design for these outputs: with features if there are any, few enough to read in 2 KB.

    `by_class`: what an answer is worth depends on the class, so that the scores of all classes have
    something to tell.
    """
    features = outputs.features
    if features is not None:
        values = outputs.n * (features.shape[1] + outputs.n_classes)
        if values <= _MAX_SIGNAL_VALUES:
            return small_design(outputs.n_classes, features.shape[1])
    if outputs.n_classes > _MAX_CLASSES_READ:
        return DESIGNS["linear-stats"]
    return DESIGNS["linear-logits" if by_class else DEFAULT_DESIGN_WITHOUT_FEATURES]


def _judge_designs(
    base: ModelOutputs, evidence: Evidence, rewards: Rewards, setting: CrossValidation
) -> list[tuple[RouterDesign, UnseenDecisions]]:
    """The signed gain of every design that the outputs allow, on the same folds."""
    judged = []
    for design in DESIGNS.values():
        if not design.blocks or (design.needs_features and base.features is None):
            continue
        own = gather_evidence(base, design, evidence.base_correct, evidence.cloud_correct)
        decisions = decide_unseen(
            own,
            setting.coverages,
            hidden=design.hidden,
            folds=setting.folds,
            repeats=setting.repeats,
            seed=setting.seed,
            objectives=(ROUTER,),
            rewards=rewards,
        )
        judged.append((design, decisions))
    return judged
