"""What a pair reaches: at a coverage, or at the working point that a run was asked for.

Values that the document lacks are None. Accuracies and coverages are shares in [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Split = Literal["score", "test"]
"""``score``: the split that the search selected on; ``test``: evaluated once, after it."""

Regime = Literal["coverage", "budget", "loss"]
"""What decides how often a pair asks the cloud."""


@dataclass(frozen=True)
class Result:
    """One pair, one coverage, one split; costs and keys are those of ``pareto.json``."""

    accuracy: float | None = None
    stderr: float | None = None
    coverage: float | None = None
    mean_latency_ms: float | None = None
    p95_latency_ms: float | None = None
    accuracy_with_timeouts: float | None = None
    mean_macs: float | None = None
    mean_energy_mj: float | None = None
    battery_days: float | None = None
    loss: float | None = None
    loss_stderr: float | None = None

    @property
    def expected_accuracy(self) -> float | None:
        """Accuracy with the queries' timeouts, where there are any."""
        found = self.accuracy_with_timeouts
        return self.accuracy if found is None else found


@dataclass(frozen=True)
class Point:
    """Where a pair would be run under a budget or a bound on its loss.

    Attributes:
        coverage: planned, from the budget or the threshold split.
        threshold: of the send score.
        score, test: what comes of it.
    """

    coverage: float | None = None
    threshold: float | None = None
    score: Result = field(default_factory=Result)
    test: Result = field(default_factory=Result)

    def on(self, split: Split) -> Result:
        """The figures of a split."""
        return self.score if split == "score" else self.test


@dataclass(frozen=True)
class Question:
    """What a run was asked for; without a budget or a bound, the best at a coverage.

    Attributes:
        mean_latency_ms, mean_energy_mj: budgets of the mean over all inputs.
        max_loss: accuracy below the cloud alone, a share.
    """

    mean_latency_ms: float | None = None
    mean_energy_mj: float | None = None
    max_loss: float | None = None

    @property
    def regime(self) -> Regime:
        """What decides how often a pair asks the cloud."""
        if self.max_loss is not None:
            return "loss"
        budgets = (self.mean_latency_ms, self.mean_energy_mj)
        return "coverage" if budgets == (None, None) else "budget"

    @classmethod
    def of(cls, asked: Mapping[str, float]) -> Question:
        """From the entry ``asked`` of a point."""
        known = ("mean_latency_ms", "mean_energy_mj", "max_loss")
        return cls(**{name: asked.get(name) for name in known})
