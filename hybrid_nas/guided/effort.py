"""How hard an engine looks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """Sizes of the inner search, which trade proposals' quality for their time.

    Attributes:
        startup: candidates scored before the first prediction.
        generations: of the inner evolution.
        brood: children per generation.
        parents: best candidates that breed.
        climbers: best candidates whose neighbours are all tried in the end, in every climb.
        climbs: rounds of that.
        kept: candidates that are looked at again for the second and later proposals of a block.
        growth: the predictor's settings are fitted anew whenever there are so many times more
            scores.
        block: proposals are planned in blocks of one per so many scores, so that the time that a
            proposal takes does not grow with the history.
    """

    startup: int = 10
    generations: int = 12
    brood: int = 600
    parents: int = 60
    climbers: int = 2
    climbs: int = 3
    kept: int = 400
    growth: float = 1.1
    block: int = 30
