"""Searches guided by a predictor: exact costs, learnt accuracies, hypervolume improvement.

`GuidedSampler` is an Optuna sampler; `Engine` is what is inside, without Optuna. More in
docs/guided.md.
"""

from hybrid_nas.guided.effort import Effort
from hybrid_nas.guided.engine import Engine
from hybrid_nas.guided.features import INACTIVE, Gene
from hybrid_nas.guided.parameters import Parameters
from hybrid_nas.guided.problem import ExhaustedError, History, Problem
from hybrid_nas.guided.sampler import GuidedSampler

__all__ = [
    "INACTIVE",
    "Effort",
    "Engine",
    "ExhaustedError",
    "Gene",
    "GuidedSampler",
    "History",
    "Parameters",
    "Problem",
]
