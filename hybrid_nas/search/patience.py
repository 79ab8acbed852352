"""When to stop: the front's hypervolume has not grown beyond its confidence for a while.

The front of all n trials is compared with that of the first n - N. The gain in hypervolume counts
only as far as the scores can tell: they come from a score split of finite size, and each has a
standard error. So the older front is drawn anew, every objective from a normal distribution about
its value with that error, pairs independent of each other; how much the hypervolumes drawn spread
says how well the hypervolume itself is known. The search ends when the gain is no more than 1.645
standard deviations of it (one-sided 95 %).

Errors of pairs are in truth alike, as they are scored on the same images, so that a gain is known
better than this says: the search ends early rather than late.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hybrid_nas.guided.pareto import front_mask
from hybrid_nas.search.objectives import AT_POINT_ONLY
from hybrid_nas.search.problem import Problem
from hybrid_nas.search.progress import Box
from hybrid_nas.search.score import PairFigures
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.search.worker import ScoredPair, losses
from hybrid_nas.typing import FloatArray

_ACCURACIES = ("accuracy", "auc", "base-accuracy")
_DRAWS = 64
_ONE_SIDED_95 = 1.645
_CHECKS = 10  # within N trials


class Patience:
    """Says when a search has gone on for long enough.

    It looks at every tenth of N trials and knows nothing but the trials: a resumed search, or
    another process of the same one, gets the same answer.

    Args:
        problem: costs and limits, for the box that hypervolume is measured in.
        settings: objectives, and `patience`, the N of the module's text.
    """

    def __init__(self, problem: Problem, settings: SearchSettings) -> None:
        self.settings = settings
        self._box = Box.of(problem, settings)
        self._checked = 0
        self._spread: tuple[tuple[int, ...], float] | None = None

    def __call__(self, pairs: Sequence[ScoredPair]) -> str | None:
        """Why the search is to end after these pairs, one sentence; None if it is not."""
        last = self.settings.patience or 0
        count = len(pairs) - len(pairs) % max(1, last // _CHECKS)
        if not last or count <= last or count <= self._checked:
            return None
        self._checked = count
        table = losses(list(pairs[:count]), self.settings.objectives)
        older = np.flatnonzero(front_mask(table[: count - last]))
        before = self._box.share(table[older])
        gain = self._box.share(table[front_mask(table)]) - before
        known_to = 0.0
        if gain > 0:
            members = [pairs[k] for k in older.tolist()]
            known_to = _ONE_SIDED_95 * self._spread_of(members, table[older])
        if gain > known_to:
            return None
        whole = max(before, 1e-12)
        return (
            f"{count} candidates scored, the last {last} without a gain in hypervolume beyond its "
            f"confidence ({100 * gain / whole:.2g} %, known to {100 * known_to / whole:.2g} %)"
        )

    def _spread_of(self, front: list[ScoredPair], table: FloatArray) -> float:
        """Standard deviation of a front's hypervolume; remembered, as fronts change rarely."""
        members = tuple(pair.number for pair in front)
        if self._spread is None or self._spread[0] != members:
            names, coverage = self.settings.objectives, self.settings.target_coverage
            errors = [[stderr(pair.figures, name, coverage) for name in names] for pair in front]
            rng = np.random.default_rng((self.settings.seed, len(front)))
            noise = rng.standard_normal((_DRAWS, *table.shape)) * np.array(errors)
            volumes = [self._box.share(table + drawn) for drawn in noise]
            self._spread = (members, float(np.std(volumes, ddof=1)))
        return self._spread[1]


def stderr(figures: PairFigures, objective: str, coverage: float) -> float:
    """Standard error of an objective's value over the score split; 0 of exact ones.

    That of accuracy at the target coverage stands for ``auc`` and ``base-accuracy``, which have
    none of their own. What a query rate makes of latency, MACs and energy counts as exact.
    """
    if objective in AT_POINT_ONLY and figures.point is not None:
        at = figures.point.at
        return {"accuracy-in-budget": at.stderr, "loss": at.loss_stderr}.get(objective) or 0.0
    return figures.at[coverage].stderr if objective in _ACCURACIES else 0.0
