"""Training a supernet: the largest network first, then sandwiches with in-place distillation.

A sandwich step sums the gradients of the largest, the smallest and a few random subnets on one
batch; the largest learns from the labels, and from a teacher where there is one, and teaches the
others (Yu & Huang, "Universally Slimmable Networks", ICCV 2019; Yu et al., "BigNAS", ECCV 2020).
Each subnet draws its own resolution.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from hybrid_nas.data.dataset import Dataset
from hybrid_nas.errors import HybridNasError, InputError
from hybrid_nas.spaces.space import Genes
from hybrid_nas.supernet.batches import NO_LABEL, TrainingBatches
from hybrid_nas.supernet.device import place
from hybrid_nas.supernet.distributed import ALONE, Team
from hybrid_nas.supernet.network import Supernet
from hybrid_nas.supernet.optimiser import set_rate, sgd
from hybrid_nas.supernet.preprocess import normalise, resize
from hybrid_nas.supernet.recipe import TrainingRecipe
from hybrid_nas.supernet.resuming import Resumable
from hybrid_nas.supernet.teacher import Teacher
from hybrid_nas.supernet.unlabelled import DEFAULT_SHARE, UnlabelledImages

__all__ = ["Progress", "Trainer", "TrainingRecipe", "hard_loss", "identity_of", "soft_loss"]

_REMEMBERED = 0.98  # how much of a smoothed figure stays from step to step


@dataclass(frozen=True)
class Progress:
    """State after a step, for whoever shows it; loss and accuracy of the largest are smoothed."""

    step: int
    steps: int
    loss: float
    accuracy: float
    images_per_s: float


def hard_loss(logits: Tensor, labels: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy over the images that have a label."""
    return cross_entropy(logits, labels, ignore_index=NO_LABEL, label_smoothing=smoothing)


def soft_loss(logits: Tensor, teacher: Tensor) -> Tensor:
    """Mean cross-entropy against the teacher's probabilities; both are logits (n, classes)."""
    return cross_entropy(logits, teacher.softmax(1))


class Trainer(Resumable):
    """Trains one supernet on one data set; `restore` goes on from a checkpoint.

    Args:
        supernet: is trained in place.
        data: only its ``train`` split is used.
        recipe: settings.
        device: ``cpu`` or ``cuda``.
        teacher: soft labels for the largest network, e.g. the cloud model's.
        unlabelled: images without labels, mixed into every batch; the largest network follows the
            teacher alone on them, and the others follow it.
        unlabelled_share: share of every batch that they take.
        origin: whatever else decides the result, such as digests of the teacher and of the initial
            weights; a checkpoint of another origin is refused.
        team: the processes that train together. All begin as process 0 stands, which alone
            writes.

    Raises:
        InputError: unlabelled images without a teacher, or a batch too small for the team.
    """

    def __init__(
        self,
        supernet: Supernet,
        data: Dataset,
        recipe: TrainingRecipe,
        *,
        device: str = "cpu",
        teacher: Teacher | None = None,
        unlabelled: UnlabelledImages | None = None,
        unlabelled_share: float = DEFAULT_SHARE,
        origin: Mapping[str, str] | None = None,
        team: Team = ALONE,
    ) -> None:
        if unlabelled is not None and teacher is None:
            raise InputError("--unlabelled needs --teacher: nobody says what is on those images")
        self.supernet = place(supernet, device)
        self.data, self.recipe, self.device, self.teacher = data, recipe, device, teacher
        self.origin, self.team = dict(origin or {}), team
        self._batches = TrainingBatches(
            data,
            batch=recipe.batch,
            pool=recipe.pool,
            steps=recipe.steps,
            seed=recipe.seed,
            unlabelled=unlabelled,
            share=unlabelled_share,
            team=team,
        )
        self._smallest, self._largest = supernet.space.extremes()
        self.optimiser = sgd(
            supernet, recipe.peak_rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
        self.step = 0

    # -- checkpoints

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            **self._identity(),
            "model": self.supernet.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def _load(self, state: Mapping[str, Any]) -> None:
        self.supernet.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = int(state["step"])

    def _identity_of(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        return identity_of(state)

    def _identity(self) -> dict[str, Any]:
        return {
            "space": self.supernet.space.fingerprint,
            "data": self.data.fingerprint,
            "recipe": asdict(self.recipe),
            "origin": self.origin,
        }

    # -- one step

    def _genes(self, row: Any, rng: np.random.Generator) -> Genes:
        """A row with a resolution of its own; of the upper half while only the largest learns.

        The smallest resolutions leave single pixels to the last stages, from which a network that
        knows nothing yet learns nothing.
        """
        row = row.copy()
        choices = int(self.supernet.space.sizes[0])
        row[0] = rng.integers(choices // 2 if self._warming else 0, choices)
        return tuple(row.tolist())

    @property
    def _warming(self) -> bool:
        return self.step < self.recipe.warm_share * self.recipe.steps

    def _run(self, genes: Genes, pixels: Tensor) -> Tensor:
        self.supernet.activate(genes)
        logits: Tensor = self.supernet(normalise(resize(pixels, self.supernet.input_size)))
        return logits

    def _loss(
        self, logits: Tensor, labels: Tensor, guide: Tensor | None, smoothing: float = 0.0
    ) -> Tensor:
        """This process's part of the batch's mean loss; the parts of all processes sum to it."""
        part = self._batches.label_share
        hard = part * hard_loss(logits, labels, smoothing=smoothing) if part else 0 * logits.sum()
        if guide is None:
            return hard
        share = self.recipe.distillation
        return (1 - share) * hard + share * self._batches.image_share * soft_loss(logits, guide)

    def _train_step(self, pixels: Tensor, labels: Tensor) -> tuple[float, float]:
        """One update; gives this process's parts of the largest's loss and accuracy."""
        recipe, rng = self.recipe, np.random.default_rng((self.recipe.seed, self.step))
        set_rate(self.optimiser, recipe.rate(self.step))
        self.optimiser.zero_grad(set_to_none=True)
        largest = self._genes(self._largest, rng)
        logits = self._run(largest, pixels)
        guide = None if self.teacher is None else self.teacher(pixels)
        loss = self._loss(logits, labels, guide, recipe.label_smoothing)
        torch.autograd.backward(loss)
        value = float(loss.detach())
        right = (logits.detach().argmax(1) == labels).sum()  # never for NO_LABEL
        correct = float(right) / self._batches.labelled_per_step
        only_one = self.supernet.space.count() == self.supernet.space.sizes[0]
        if not self._warming and not only_one:
            guide = logits.detach()
            rows = [self._smallest, *self.supernet.space.sample(recipe.random_subnets, rng)]
            for row in rows:
                out = self._run(self._genes(row, rng), pixels)
                torch.autograd.backward(self._loss(out, labels, guide))
        self.team.sum_gradients(self.supernet.parameters())
        torch.nn.utils.clip_grad_norm_(self.supernet.parameters(), recipe.gradient_limit)
        self.optimiser.step()
        return value, correct

    def run(
        self,
        checkpoint: Path | None = None,
        report: Callable[[Progress], None] | None = None,
        *,
        stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Train to the last step, saving to `checkpoint` now and then, and at the end.

        Args:
            checkpoint: file to save to.
            report: is told of every step.
            stop: is asked after every step; True, on any process, ends the training early.

        Returns:
            Whether the last step is done.

        Raises:
            HybridNasError: the loss is no number any more, or another process has ended.
            InputError: another process trains something else.
        """
        recipe = self.recipe
        self._follow()
        if not self.team.leads:
            checkpoint = None
        self.supernet.train()
        saved = begun = time.monotonic()
        first = self.step
        loss = accuracy = math.nan
        batches = self._batches.from_step(self.step)
        while self.step < recipe.steps:
            pixels, labels = next(batches)
            parts = self._train_step(pixels.to(self.device), labels.to(self.device))
            self.step += 1
            value, correct, stopped = self.team.sums(*parts, float(stop()))
            if not math.isfinite(value):
                raise HybridNasError(
                    f"training diverged at step {self.step - 1}: try a smaller --rate than "
                    f"{recipe.peak_rate:g}, with --restart"
                )
            loss, accuracy = _smoothed(loss, value), _smoothed(accuracy, correct)
            now = time.monotonic()
            if report is not None:
                speed = (self.step - first) * recipe.batch / max(1e-9, now - begun)
                report(Progress(self.step, recipe.steps, loss, accuracy, speed))
            if stopped:
                break
            if checkpoint is not None and now - saved > recipe.checkpoint_seconds:
                self.save(checkpoint)
                saved = now
        if checkpoint is not None:
            self.save(checkpoint)
        return self.step >= recipe.steps


def identity_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """What decided a checkpoint's training: digests of space and data, recipe, origin.

    Settings that are younger than the checkpoint are taken to have been at their defaults.
    """
    return {
        "space": state.get("space"),
        "data": state.get("data"),
        "recipe": {**asdict(TrainingRecipe()), **state.get("recipe", {})},
        "origin": state.get("origin", {}),
    }


def _smoothed(before: float, value: float) -> float:
    return value if math.isnan(before) else _REMEMBERED * before + (1 - _REMEMBERED) * value
