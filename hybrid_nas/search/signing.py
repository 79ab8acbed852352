"""Who makes a trial is written down before its candidate is thought out.

A process that is killed while its sampler thinks then leaves a trial with a name on it: whoever
resumes the search asks the machine whether that process lives, instead of waiting for a sign.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from hybrid_nas.search.reclaim import MAKER


class SigningSampler(BaseSampler):
    """Another sampler, whose trials are signed first.

    Args:
        sampler: that decides.
        worker: `Identity.to_dict` of this process.
    """

    def __init__(self, sampler: BaseSampler, worker: Mapping[str, Any]) -> None:
        self.sampler, self._worker = sampler, dict(worker)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Sign."""
        study._storage.set_trial_system_attr(trial._trial_id, MAKER, self._worker)
        self.sampler.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The sampler's."""
        return self.sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The sampler's."""
        return self.sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The sampler's."""
        return self.sampler.sample_independent(study, trial, param_name, param_distribution)
