"""Routing: which inputs stay on the device, and how good that makes a hybrid.

`ModelOutputs` go in; a `FittedRouter` (send score and thresholds) and a `PairScore` come out. This
room knows arrays only: no networks, no boards, no data sets.
"""

from hybrid_nas.routing.designs import (
    DEFAULT_DESIGN,
    DEFAULT_DESIGN_WITHOUT_FEATURES,
    DESIGNS,
    RouterDesign,
    design,
)
from hybrid_nas.routing.fitted import FittedRouter
from hybrid_nas.routing.loading import check_pair, load_outputs
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.routers import GainRouter
from hybrid_nas.routing.scoring import (
    CoverageScore,
    PairScore,
    evaluate_pair,
    fit_pair_router,
    paired_gains,
)

__all__ = [
    "DEFAULT_DESIGN",
    "DEFAULT_DESIGN_WITHOUT_FEATURES",
    "DESIGNS",
    "CoverageScore",
    "FittedRouter",
    "GainRouter",
    "ModelOutputs",
    "PairScore",
    "RouterDesign",
    "check_pair",
    "design",
    "evaluate_pair",
    "fit_pair_router",
    "load_outputs",
    "paired_gains",
]
