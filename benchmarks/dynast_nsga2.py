"""pymoo's NSGA-II with the operators that DyNAS-T gives it: population 50, SBX, polynomial."""

from __future__ import annotations

from typing import Any


def dynast_nsga2() -> Any:
    """A fresh `pymoo.algorithms.moo.nsga2.NSGA2` for whole numbers, not set up yet."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling

    return NSGA2(
        pop_size=50,
        sampling=IntegerRandomSampling(),
        crossover=SBX(prob=0.9, eta=15.0, vtype=float, repair=RoundingRepair()),
        mutation=PM(prob=0.02, eta=20.0, vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
