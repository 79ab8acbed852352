"""What an analysis of a base and a cloud found: figures by method and coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hybrid_nas.routing.bootstrap import Interval
from hybrid_nas.routing.rewards import ACCURACY
from hybrid_nas.routing.selection import Selection


@dataclass(frozen=True)
class Figures:
    """What some decisions about unseen inputs are worth.

    Args:
        accuracy, stderr, interval: share of right answers.
        coverage: the share of inputs that they keep.
        utility, utility_stderr: where a utility other than accuracy is in use.
        means: others, by name: mean latency, price and energy, and what a utility adds.
    """

    accuracy: float
    stderr: float
    interval: Interval
    coverage: float
    utility: Interval | None = None
    utility_stderr: float | None = None
    means: Mapping[str, float] = field(default_factory=dict)

    @property
    def worth(self) -> Interval:
        """The utility where there is one, else the accuracy."""
        return self.interval if self.utility is None else self.utility

    @property
    def worth_stderr(self) -> float:
        """The standard error of `worth`."""
        return self.stderr if self.utility_stderr is None else self.utility_stderr


@dataclass(frozen=True)
class MethodAtCoverage(Figures):
    """One method at one target coverage; `threshold` is for further inputs, fitted on all."""

    threshold: float = 0.0


@dataclass(frozen=True)
class TargetResult(Figures):
    """A target other than a coverage, and what came of it on unseen inputs.

    Args:
        name, level: what was asked for: at least this accuracy or utility, at most this cost.
        is_cost: which of the two.
        reached: the figure on unseen inputs that answers to the level.
        threshold: for further inputs, fitted on all.
    """

    name: str = ""
    level: float = 0.0
    is_cost: bool = False
    reached: float = 0.0
    threshold: float = 0.0


@dataclass(frozen=True)
class DesignResult:
    """A router design: its cost on the device, and its signed gain at each coverage."""

    kind: str
    params: int
    flash_bytes: int
    sram_bytes: int
    macs: int
    at: Mapping[float, MethodAtCoverage]


@dataclass(frozen=True)
class CurveResult:
    """Worth over coverage at exactly these coverages, on unseen inputs.

    Args:
        coverage: the grid, ascending.
        methods: intervals by method; bounds and chance are there as well.
        gain: of the method chosen anew in each fold over the best confidence, paired.
    """

    coverage: tuple[float, ...]
    methods: Mapping[str, Sequence[Interval]]
    gain: Sequence[Interval]


@dataclass(frozen=True)
class RouteAnalysis:
    """What `analyse` found.

    Args:
        n, n_groups: inputs, and groups of them that are independent.
        base, cloud: accuracy of each alone.
        base_worth, cloud_worth: the same in the measure in use.
        measure: `accuracy`, or what the utility in use is called.
        design: what the routers read.
        default: the method to use: a router, or the plain confidence it does not clearly beat.
        best_confidence: MSP, or the plain confidence that is clearly better.
        methods: by method and target coverage.
        over_base, over_cloud: gain of the default over either model alone, in the measure.
        gains: gain at exactly equal coverage, by method, rival and coverage, in the measure.
        folds, repeats: of the cross-validation.
        selection: what was fitted and chosen on all inputs, to score further ones with.
        targets: what came of each target, with the method chosen anew in each fold.
        designs: every design, where they were asked for.
        curve: over a grid of coverages, where it was asked for.
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
    base_worth: Interval
    cloud_worth: Interval
    measure: str = ACCURACY
    targets: Sequence[TargetResult] = ()
    designs: Sequence[DesignResult] = ()
    curve: CurveResult | None = None
    selection: Selection = field(compare=False, repr=False, kw_only=True)
