"""A base without a cloud: which inputs should it answer, and how often is it right on these?

The router fits P(base wrong); accuracy is on the kept inputs alone. Scores are out of fold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.routing.analysis import default_design
from hybrid_nas.routing.designs import RouterDesign
from hybrid_nas.routing.evidence import gather_evidence
from hybrid_nas.routing.metrics import Estimate, clustered_mean, kept_accuracy
from hybrid_nas.routing.objectives import WITHOUT_CLOUD
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.scoring import CoverageScore
from hybrid_nas.routing.selection import N_FOLDS, Selection, select_router
from hybrid_nas.routing.thresholds import check_coverage, fit_threshold, sent


@dataclass(frozen=True)
class AbstainingAnalysis:
    """What `analyse_abstaining` found.

    Args:
        n, n_groups: inputs, and groups of them that are independent.
        base: accuracy on all inputs.
        design: what the router reads.
        coverages: the targets, each a floor.
        methods: accuracy on the kept inputs by method and target coverage, out of fold.
        thresholds: by method and target coverage, for further inputs.
        selection: the fitted router and the choice, to score further inputs with.
    """

    n: int
    n_groups: int
    base: Estimate
    design: str
    coverages: tuple[float, ...]
    methods: Mapping[str, Mapping[float, CoverageScore]]
    thresholds: Mapping[str, Mapping[float, float]]
    selection: Selection = field(compare=False, repr=False)

    @property
    def default(self) -> str:
        """The method to use: the router, or the plain confidence it does not clearly beat."""
        return self.selection.choice.method


def analyse_abstaining(
    base: ModelOutputs,
    coverages: Sequence[float],
    *,
    design: RouterDesign | None = None,
    seed: int = 0,
) -> AbstainingAnalysis:
    """Judge a base as an abstaining classifier, on scores from five folds.

    Raises:
        InputError: for a coverage outside (0, 1], fewer than ten inputs or groups, no labels, or
            outputs that lack what the design reads.
    """
    for coverage in coverages:
        check_coverage(coverage)
    right = base.correct
    design = default_design(base) if design is None else design
    evidence = gather_evidence(base, design, right, None)
    if evidence.n_groups < 2 * N_FOLDS:
        what = "inputs" if evidence.groups is None else "groups of inputs"
        raise InputError(
            f"{base.source} has {evidence.n_groups} {what}: {N_FOLDS} folds need at least "
            f"{2 * N_FOLDS}; give more outputs"
        )
    selection = select_router(
        evidence, coverages, hidden=design.hidden, objectives=WITHOUT_CLOUD, seed=seed
    )
    methods: dict[str, dict[float, CoverageScore]] = {}
    thresholds: dict[str, dict[float, float]] = {}
    for method, unseen in selection.scores.items():
        further = selection.score(method, evidence)
        thresholds[method] = {c: fit_threshold(further, c) for c in coverages}
        methods[method] = {}
        for coverage in coverages:
            decided = sent(unseen, fit_threshold(unseen, coverage))
            kept = kept_accuracy(right, decided, base.groups)
            share = 1.0 - float(decided.mean())
            methods[method][coverage] = CoverageScore(kept.value, kept.stderr, share)
    return AbstainingAnalysis(
        n=evidence.n,
        n_groups=evidence.n_groups,
        base=clustered_mean(right.astype(np.float64), base.groups),
        design=design.kind,
        coverages=tuple(coverages),
        methods=methods,
        thresholds=thresholds,
        selection=selection,
    )
