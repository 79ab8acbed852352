"""Settings of a supernet's training; without torch, so that the command line can show them."""

from __future__ import annotations

import math
from dataclasses import dataclass

MAX_SEED = 2**63 - 1
"""Above, torch takes none."""


@dataclass(frozen=True)
class TrainingRecipe:
    """Settings of a training; the defaults train the bundled models.

    Attributes:
        steps: optimiser steps in all.
        warm_share: share of the steps in which only the largest network learns.
        batch: images per step.
        random_subnets: random architectures per sandwich, beside the largest and the smallest.
        peak_rate: highest learning rate of the cosine schedule, after `warm_up` steps.
        distillation: weight of the teacher's soft labels; the rest goes to the true ones.
        pool: images rendered (or augmented) at a time; each is used once.
        seed: decides weights, data and sampling.
    """

    steps: int = 6000
    warm_share: float = 0.15
    batch: int = 64
    random_subnets: int = 2
    peak_rate: float = 0.1
    warm_up: int = 200
    momentum: float = 0.9
    weight_decay: float = 3e-5
    gradient_limit: float = 5.0
    label_smoothing: float = 0.05
    distillation: float = 0.7
    pool: int = 12800
    checkpoint_seconds: float = 120.0
    seed: int = 0

    def rate(self, step: int) -> float:
        """Learning rate at a step: linear warm-up, then half a cosine to zero."""
        return cosine_rate(step, self.steps, self.warm_up, self.peak_rate)


def cosine_rate(step: int, steps: int, warm_up: int, peak: float) -> float:
    """Linear from 0 to `peak` over the first `warm_up` of `steps`, then half a cosine to zero."""
    if step < warm_up:
        return peak * (step + 1) / warm_up
    done = (step - warm_up) / max(1, steps - warm_up)
    return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
