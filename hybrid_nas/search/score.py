"""The figures of a scored pair, as they are stored with its trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class AtCoverage:
    """A pair at one coverage.

    Attributes:
        accuracy: hybrid accuracy; of the kept inputs alone where there is no cloud.
        stderr: its standard error over source groups.
        coverage: share of inputs that stayed on the device.
        mean_latency_ms: over all inputs, queries included.
    """

    accuracy: float
    stderr: float
    coverage: float
    mean_latency_ms: float


@dataclass(frozen=True)
class PairFigures:
    """Score and cost of a pair on the score split.

    Attributes:
        at: by target coverage.
        auc: area under the accuracy-coverage curve.
        base_accuracy: of the base alone on all inputs.
        method: what the router learnt, or the confidence it fell back to.
        edge_latency_ms: base and router on the device.
        seconds: what the scoring took, by part.
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
        return cls(**{**plain, "at": at})
