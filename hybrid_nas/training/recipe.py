"""Settings of final training; without torch, so that the command line can show them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hybrid_nas.errors import InputError
from hybrid_nas.supernet.recipe import cosine_rate


@dataclass(frozen=True)
class FinalRecipe:
    """Settings of final training.

    Attributes:
        rounds: each fits the router, then trains the base for ``steps / rounds`` steps, then the
            cloud where it takes part.
        steps: optimiser steps of the base in all.
        batch: images per step.
        peak_rate, cloud_rate: highest learning rates of base and cloud; half a cosine to zero.
        weighted_from: share of the steps after which images weigh as the router decides (2 - r for
            the base, 1 + r for the cloud); before, all weigh the same. A subnet is not trained to
            the end, as the paper's base is, and what a router would send teaches it most.
        distillation: weight of the cloud's soft labels, where it gives probabilities.
        train_cloud: train the cloud too, when it is one of ours.
        patience: rounds without a better hybrid after which training stops. The learning rate falls
            to zero over all rounds, and most of the gain comes with its last part: the default
            lets all five run.
        calibration_images: training images on which ranges of activations are measured.
        pool: training images rendered (or augmented) at a time.
        seed: decides everything that is random.
    """

    rounds: int = 5
    steps: int = 1500
    batch: int = 64
    peak_rate: float = 0.01
    cloud_rate: float = 0.002
    warm_up: int = 50
    momentum: float = 0.9
    weight_decay: float = 1e-5
    gradient_limit: float = 5.0
    weighted_from: float = 0.8
    distillation: float = 0.5
    train_cloud: bool = False
    patience: int = 5
    calibration_images: int = 512
    pool: int = 3200
    checkpoint_seconds: float = 60.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("rounds", "steps", "batch", "patience"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name} must be at least 1 (got {getattr(self, name)})")
        if not 0 < self.peak_rate < math.inf:
            raise InputError(f"--rate must be a number above 0 (got {self.peak_rate:g})")
        for name, share in (
            ("weighted-from", self.weighted_from),
            ("distillation", self.distillation),
        ):
            if not 0 <= share <= 1:
                raise InputError(f"--{name} must lie between 0 and 1 (got {share:g})")

    @property
    def steps_per_round(self) -> int:
        """Steps between two fits of the router; the last round may have fewer."""
        return -(-self.steps // self.rounds)

    def rate(self, step: int, peak: float) -> float:
        """Learning rate at a step of the base: linear warm-up, then half a cosine to zero."""
        warm_up = min(self.warm_up, max(1, self.steps // 10))
        return cosine_rate(step, self.steps, warm_up, peak)
