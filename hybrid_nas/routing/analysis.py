"""Is a hybrid worth it for two given models, and by how much?

Everything is out of fold (`unseen`), and every interval is from one bootstrap over groups, in which
differences are paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.routing.bootstrap import Interval, bootstrap_means
from hybrid_nas.routing.designs import (
    DEFAULT_DESIGN,
    DEFAULT_DESIGN_WITHOUT_FEATURES,
    DESIGNS,
    RouterDesign,
)
from hybrid_nas.routing.evidence import Evidence, gather_evidence
from hybrid_nas.routing.loading import check_pair
from hybrid_nas.routing.metrics import clustered_stderr
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.ranking import input_accuracy, oracle_weights
from hybrid_nas.routing.selection import Selection
from hybrid_nas.routing.thresholds import check_coverage
from hybrid_nas.routing.unseen import SELECTED, UnseenDecisions, decide_unseen
from hybrid_nas.typing import FloatArray

RANDOM = "random"
ORACLE = "oracle-bound"

_MAX_REPEATS = 10
_DECISIONS = 20_000  # inputs to decide about, over all repeats
_MAX_SIGNAL_VALUES = 20_000_000
_MAX_CLASSES_READ = 100
_Key = tuple[str | float, ...]


@dataclass(frozen=True)
class MethodAtCoverage:
    """One method at one target coverage.

    `accuracy`, `interval` and `coverage` are of decisions about unseen inputs; `threshold` is for
    further ones, fitted on all inputs at hand.
    """

    accuracy: float
    stderr: float
    interval: Interval
    coverage: float
    threshold: float


@dataclass(frozen=True)
class RouteAnalysis:
    """What `analyse` found.

    Args:
        n, n_groups: inputs, and groups of them that are independent.
        base, cloud: accuracy of each alone.
        design: what the routers read.
        default: the method to use: a router, or the plain confidence it does not clearly beat.
        best_confidence: MSP, or the plain confidence that is clearly better.
        methods: by method and target coverage.
        over_base, over_cloud: gain in accuracy of the default over either model alone.
        gains: gain in accuracy at exactly equal coverage, by method, rival and coverage.
        folds, repeats: of the cross-validation.
        selection: what was fitted and chosen on all inputs, to score further ones with.
    """

    n: int
    n_groups: int
    base: Interval
    cloud: Interval
    design: str
    default: str
    best_confidence: str
    coverages: tuple[float, ...]
    methods: Mapping[str, Mapping[float, MethodAtCoverage]]
    over_base: Mapping[float, Interval]
    over_cloud: Mapping[float, Interval]
    gains: Mapping[str, Mapping[str, Mapping[float, Interval]]]
    folds: int
    repeats: int
    selection: Selection = field(compare=False, repr=False)


def analyse(
    base: ModelOutputs,
    cloud: ModelOutputs,
    coverages: Sequence[float],
    *,
    design: RouterDesign | None = None,
    folds: int = 5,
    repeats: int | None = None,
    seed: int = 0,
) -> RouteAnalysis:
    """Judge routers and plain confidences for a base and a cloud by repeated cross-validation.

    Args:
        base, cloud: outputs on the same inputs; labels, and groups if any, in either.
        coverages: target coverages.
        design: what routers read; by default what the outputs allow.
        folds: of each repeat.
        repeats: how often folds are drawn; by default fewer for more inputs.
        seed: of folds, initial weights and bootstrap.

    Raises:
        InputError: for outputs that do not belong together, lack what the design reads, or are too
            few for the folds; for a coverage outside (0, 1].
    """
    for coverage in coverages:
        check_coverage(coverage)
    base_correct, cloud_correct = check_pair(base, cloud)
    design = default_design(base) if design is None else design
    evidence = gather_evidence(base, design, base_correct, cloud_correct)
    if base.groups is None and cloud.groups is not None:
        evidence = evidence.regroup(cloud.groups)
    if folds < 2:
        raise InputError(f"{folds} folds: expected 2 or more")
    if evidence.n_groups < 2 * folds:
        what = "inputs" if evidence.groups is None else "groups of inputs"
        raise InputError(
            f"{base.source} has {evidence.n_groups} {what}: {folds} folds need at least "
            f"{2 * folds}; give more outputs, or fewer folds"
        )
    if repeats is None:
        repeats = int(np.clip(_DECISIONS // evidence.n, 1, _MAX_REPEATS))
    decisions = decide_unseen(
        evidence, coverages, hidden=design.hidden, folds=folds, repeats=repeats, seed=seed
    )
    return _summarise(evidence, decisions, tuple(coverages), design, folds, repeats, seed)


def default_design(outputs: ModelOutputs) -> RouterDesign:
    """The design for these outputs: with features if there are any and few enough to read."""
    features = outputs.features
    if features is not None:
        values = outputs.n * (features.shape[1] + outputs.n_classes)
        if values <= _MAX_SIGNAL_VALUES:
            return DESIGNS[DEFAULT_DESIGN]
    few = outputs.n_classes <= _MAX_CLASSES_READ
    return DESIGNS[DEFAULT_DESIGN_WITHOUT_FEATURES if few else "linear-stats"]


def _summarise(
    evidence: Evidence,
    decisions: UnseenDecisions,
    coverages: tuple[float, ...],
    design: RouterDesign,
    folds: int,
    repeats: int,
    seed: int,
) -> RouteAnalysis:
    choice = decisions.whole.choice
    weights = {**decisions.decided, **_bounds(evidence, coverages)}
    thresholds = {
        **decisions.thresholds,
        RANDOM: list(coverages),  # of a score drawn evenly from 0 .. 1
        ORACLE: [0.0] * len(coverages),  # of the true gain, as far as the quota goes
    }
    never, always = np.zeros(evidence.n), np.ones(evidence.n)
    table = _Table(evidence)
    table.add(("base",), never)
    table.add(("cloud",), always)
    for index, c in enumerate(coverages):
        for method, rows in weights.items():
            table.add(("method", method, c), rows[index])
        table.add(("over base", c), weights[choice.method][index], never)
        table.add(("over cloud", c), weights[choice.method][index], always)
    comparisons = _comparisons(decisions)
    for method, rival in comparisons:
        ours, theirs = decisions.matched[method], decisions.matched[rival]
        for index, c in enumerate(coverages):
            table.add(("gain", method, rival, c), ours[index], theirs[index])
    found = table.intervals(seed)
    gains: dict[str, dict[str, dict[float, Interval]]] = {}
    for method, rival in comparisons:
        against = gains.setdefault(method, {})
        against[rival] = {c: found["gain", method, rival, c] for c in coverages}
    return RouteAnalysis(
        n=evidence.n,
        n_groups=evidence.n_groups,
        base=found["base",],
        cloud=found["cloud",],
        design=design.kind,
        default=choice.method,
        best_confidence=choice.best_confidence,
        coverages=coverages,
        methods={
            method: {
                c: MethodAtCoverage(
                    accuracy=found["method", method, c].value,
                    stderr=table.stderr(("method", method, c)),
                    interval=found["method", method, c],
                    coverage=1.0 - float(rows[index].mean()),
                    threshold=thresholds[method][index],
                )
                for index, c in enumerate(coverages)
            }
            for method, rows in weights.items()
        },
        over_base={c: found["over base", c] for c in coverages},
        over_cloud={c: found["over cloud", c] for c in coverages},
        gains=gains,
        folds=folds,
        repeats=repeats,
        selection=decisions.whole,
    )


def _bounds(evidence: Evidence, coverages: Sequence[float]) -> dict[str, FloatArray]:
    b, g = evidence.base_correct, evidence.cloud_correct
    return {
        RANDOM: np.stack([np.full(evidence.n, 1.0 - c) for c in coverages]),
        ORACLE: np.stack([oracle_weights(b, g, c) for c in coverages]),
    }


def _comparisons(decisions: UnseenDecisions) -> list[tuple[str, str]]:
    routers = [name for name in ("signed-gain",) if name in decisions.decided]
    choice = decisions.whole.choice
    ours = dict.fromkeys([choice.method, *routers, SELECTED])
    rivals = dict.fromkeys([choice.best_confidence, "entropy"])
    return [(method, rival) for method in ours for rival in rivals if method != rival]


class _Table:
    """Accuracies on each input, or differences of them, by key; bootstrapped together."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.values: dict[_Key, FloatArray] = {}

    def add(self, key: _Key, weights: FloatArray, less: FloatArray | None = None) -> None:
        b, g = self.evidence.base_correct, self.evidence.cloud_correct
        values = input_accuracy(weights, b, g)
        self.values[key] = values if less is None else values - input_accuracy(less, b, g)

    def stderr(self, key: _Key) -> float:
        return clustered_stderr(self.values[key], self.evidence.groups)

    def intervals(self, seed: int) -> dict[_Key, Interval]:
        columns = np.stack(list(self.values.values()), axis=1)
        intervals = bootstrap_means(columns, self.evidence.groups, seed=seed)
        return dict(zip(self.values, intervals, strict=True))
