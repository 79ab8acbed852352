"""The figures of a scored pair, as they are stored with its trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

FIGURES = "figures"
"""User attribute of a trial: its `PairFigures`."""


@dataclass(frozen=True)
class AtCoverage:
    """A pair at one coverage. What is None was not asked for, or is not known.

    Attributes:
        accuracy: hybrid accuracy with every query answered; of the kept inputs alone where there is
            no cloud.
        stderr: its standard error over source groups.
        coverage: share of inputs that stayed on the device.
        mean_latency_ms: over all inputs, queries (and their timeouts) included.
        p95_latency_ms: within which 95 % of all inputs are answered.
        accuracy_with_timeouts: expected, when the base answers for queries that time out.
        mean_macs: of base and cloud, over all inputs.
        mean_energy_mj: of board and radio, over all inputs.
        battery_days: that a charge lasts.
        loss: accuracy of the cloud alone less `accuracy`, on the same inputs. Of the largest
            cloud, where each pair has its own.
        loss_stderr: its standard error, paired, over source groups.
    """

    accuracy: float
    stderr: float
    coverage: float
    mean_latency_ms: float
    p95_latency_ms: float | None = None
    accuracy_with_timeouts: float | None = None
    mean_macs: float | None = None
    mean_energy_mj: float | None = None
    battery_days: float | None = None
    loss: float | None = None
    loss_stderr: float | None = None

    @property
    def expected_accuracy(self) -> float:
        """Accuracy with the queries' timeouts, where there are any."""
        found = self.accuracy_with_timeouts
        return self.accuracy if found is None else found


@dataclass(frozen=True)
class WorkingPoint:
    """Where a pair would be run under a budget or a bound on its loss.

    Attributes:
        coverage: planned: what the budget allows, or what the threshold split needed.
        threshold: of the send score, from the threshold split.
        at: what comes of it on the split that the figures are of.
    """

    coverage: float
    threshold: float
    at: AtCoverage


@dataclass(frozen=True)
class CloudFigures:
    """A cloud that was chosen with its base.

    Attributes:
        accuracy: of it alone, on all inputs of the score split.
        macs, params: of its network.
        latency_ms: what it takes for a query, the uplink not included.
    """

    accuracy: float
    macs: int
    params: int
    latency_ms: float


@dataclass(frozen=True)
class PairFigures:
    """Score and cost of a pair on the score split.

    Attributes:
        at: by target coverage.
        auc: area under the accuracy-coverage curve.
        base_accuracy: of the base alone on all inputs.
        method: what the router learnt, or the confidence it fell back to.
        edge_latency_ms: base and router on the device.
        saved_ms, saved_macs: the part of the base that a sent input does not need; above 0 where
            the router decides before the base has answered.
        seconds: what the scoring took, by part.
        point: where the pair would be run, if the search has a budget or a bound on the loss.
        cloud: the pair's own, where it was chosen with the base.
    """

    at: Mapping[float, AtCoverage]
    auc: float
    base_accuracy: float
    method: str
    sram_bytes: int
    flash_bytes: int
    edge_latency_ms: float
    macs: int
    params: int
    seconds: Mapping[str, float]
    point: WorkingPoint | None = None
    saved_ms: float = 0.0
    saved_macs: int = 0
    cloud: CloudFigures | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; coverages become keys like ``0.7``."""
        plain = asdict(self)
        plain["at"] = {format(c, "g"): asdict(figures) for c, figures in self.at.items()}
        plain["seconds"] = dict(self.seconds)
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> PairFigures:
        """Inverse of `to_dict`."""
        at = {float(c): AtCoverage(**figures) for c, figures in plain["at"].items()}
        point = plain.get("point")
        if point is not None:
            point = WorkingPoint(**{**point, "at": AtCoverage(**point["at"])})
        cloud = plain.get("cloud")
        cloud = None if cloud is None else CloudFigures(**cloud)
        return cls(**{**plain, "at": at, "point": point, "cloud": cloud})
