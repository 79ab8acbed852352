"""The baselines of the registry, inside cross-validation: fitted on some inputs, scored on all."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from hybrid_nas.routing.baselines import BASELINES, available_baselines, fit_baseline
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.ranking import send_weights
from hybrid_nas.routing.rewards import Rewards
from hybrid_nas.typing import BoolArray, FloatArray

SIGNED_ORACLE = "signed-oracle"
_MAX_FITTING_VALUES = 2_000_000  # scores that a temperature is fitted to: it is one number


class Rivals:
    """Baselines that route by a send score, beside those that are judged already.

    Args:
        base: outputs with labels.
        cloud_correct: where the cloud is right (n,).
        known: names to leave out.
    """

    def __init__(
        self, base: ModelOutputs, cloud_correct: BoolArray, known: Collection[str] = ()
    ) -> None:
        self.base = base
        self.cloud_correct = cloud_correct
        names = [name for name in available_baselines(base) if name not in known]
        self.confidences = [name for name in names if BASELINES[name].kind == "confidence"]
        self.bounds = [name for name in names if BASELINES[name].kind == "bound"]

    def scores(self, known: BoolArray | None = None) -> dict[str, FloatArray]:
        """Send scores (n,) of all inputs by each confidence, fitted on `known` ones (n,)."""
        if not self.confidences:
            return {}
        rows = np.arange(self.base.n) if known is None else np.nonzero(known)[0]
        most = max(1000, _MAX_FITTING_VALUES // self.base.n_classes)
        if len(rows) > most:
            rows = np.sort(np.random.default_rng(0).permutation(rows)[:most])
        fitting, right = self.base.take(rows), self.cloud_correct[rows]
        found = {}
        for name in self.confidences:
            score = fit_baseline(name, fitting, right).score
            assert score is not None  # a confidence has one
            found[name] = score(self.base, self.cloud_correct)
        return found

    def bound_weights(self, coverage: float, rewards: Rewards) -> Mapping[str, FloatArray]:
        """The weights (n,) with which each bound sends each input at exactly a coverage.

        With a utility, the signed oracle ranks by the gain in utility.
        """
        weights = {}
        for name in self.bounds:
            bound = fit_baseline(name, self.base, self.cloud_correct)
            weights[name] = bound.weights(self.base, self.cloud_correct, coverage)
            if name == SIGNED_ORACLE and not rewards.is_accuracy:
                weights[name] = send_weights(rewards.gain, coverage)
        return weights
