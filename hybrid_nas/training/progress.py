"""How far a training is, and how good the pair was after each round."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RoundFigures:
    """The pair after a round, on the ``fit`` split: accuracies are fractions.

    Attributes:
        round: 0 before any training.
        hybrid, stderr: at exactly the target coverage, routers out of fold, and the standard error
            by group.
        base: of the base alone.
        cloud: of the cloud alone; None without one.
    """

    round: int
    hybrid: float
    stderr: float
    base: float
    cloud: float | None


@dataclass(frozen=True)
class TrainingState:
    """Where a training is, for whoever shows it; `loss` is smoothed."""

    step: int
    steps: int
    loss: float
    images_per_s: float
    rounds: tuple[RoundFigures, ...]
