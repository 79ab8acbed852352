"""Which of several clouds to put behind a base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hybrid_nas.routing.costs import PRICE
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.results import RouteAnalysis
from hybrid_nas.routing.unseen import SELECTED


@dataclass(frozen=True, eq=False)
class JudgedCloud:
    """A cloud and what came of a hybrid with it."""

    outputs: ModelOutputs
    analysis: RouteAnalysis

    @property
    def mean_worth(self) -> float:
        """The mean over the coverages of accuracy or utility, with the choice made anew."""
        rows = self.analysis.methods[SELECTED].values()
        return float(np.mean([at.worth.value for at in rows]))


def best_cloud(judged: Sequence[JudgedCloud]) -> int:
    """The index of the cloud to use; the first of equals.

    With a target for accuracy, the one that costs least (by mean price where prices are known, else
    by queries) where it is met; with a target for a cost, the best at it; else the best mean over
    the coverages. Of many alike the best looks better than it is: the figures it is chosen by are
    those that are reported.
    """

    def merit(one: JudgedCloud) -> float:
        if not one.analysis.targets:
            return one.mean_worth
        first = one.analysis.targets[0]
        if first.is_cost:
            return first.worth.value
        return -first.means.get(PRICE, 1.0 - first.coverage)

    merits = [merit(one) for one in judged]
    return int(np.argmax(merits))
