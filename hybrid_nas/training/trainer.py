"""Final training of one pair: the router, the base and, where wanted, the cloud, in turn.

Algorithm 1 of Kag et al., "Efficient Edge Inference by Selective Query" (ICLR 2023), with the
base rounded to int8 throughout. Each round fits the router to what the base says now, then trains
the base on fresh training images, late in training weighted by the router's decisions, then the
cloud. The state that did best on the ``fit`` split, which trains routers alone, wins (`judging`);
round 0, before any training, takes part.

Several processes (`hybrid_nas.supernet.distributed`) share the batches. Process 0 alone calibrates,
fits routers and judges; the others take over all it knows after each round, so that no rounding of
theirs can lead them elsewhere.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hybrid_nas.data.dataset import Dataset
from hybrid_nas.errors import HybridNasError
from hybrid_nas.quantise.float_graph import GraphOutputs
from hybrid_nas.routing.fitted import FittedRouter
from hybrid_nas.supernet.batches import TrainingBatches
from hybrid_nas.supernet.distributed import ALONE, Team
from hybrid_nas.supernet.optimiser import set_rate, sgd
from hybrid_nas.supernet.resuming import Resumable
from hybrid_nas.training.cloud_side import CloudSide
from hybrid_nas.training.int8_base import Int8Base, router_inputs
from hybrid_nas.training.judging import judging_folds
from hybrid_nas.training.progress import RoundFigures, TrainingState
from hybrid_nas.training.recipe import FinalRecipe
from hybrid_nas.training.router_turn import PairPlan, RouterTurn
from hybrid_nas.training.weighting import (
    base_weights,
    cloud_weights,
    weighted_loss,
    weighted_soft_loss,
)

_REMEMBERED = 0.95


class PairTrainer(Resumable):
    """Trains one pair; `restore` goes on from a checkpoint.

    Args:
        base: calibrated; is trained in place.
        data: training images, and the ``fit`` and ``threshold`` splits.
        cloud: None for an abstaining classifier.
        plan: router and coverages.
        recipe: settings.
        team: the processes that train together.

    Raises:
        InputError: there are too few source groups to judge by, or the batch is too small for the
            team.
    """

    def __init__(
        self,
        base: Int8Base,
        data: Dataset,
        cloud: CloudSide | None,
        plan: PairPlan,
        recipe: FinalRecipe,
        team: Team = ALONE,
    ) -> None:
        self.team = team
        self.base, self.data, self.cloud, self.plan, self.recipe = base, data, cloud, plan, recipe
        self.step = 0
        self.rounds: list[RoundFigures] = []
        self._folds = judging_folds(data.split("fit").groups, recipe.seed)
        self._router: FittedRouter | None = None
        self._best: dict[str, Any] = {}
        self._batches = TrainingBatches(
            data,
            batch=recipe.batch,
            pool=recipe.pool,
            steps=recipe.steps,
            seed=recipe.seed + 17,
            team=team,
        )
        self._optimiser = self._sgd(base.network, recipe.peak_rate)
        network = None if cloud is None else cloud.network
        self._cloud_optimiser = None if network is None else self._sgd(network, recipe.cloud_rate)

    def _sgd(self, network: nn.Module, rate: float) -> torch.optim.SGD:
        recipe = self.recipe
        for parameter in network.parameters():
            parameter.requires_grad_(True)
        return sgd(network, rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay)

    # -- the router's turn

    def fit_router(self) -> FittedRouter:
        """A router for the base as it is now, its thresholds from the ``threshold`` split."""
        split = self.data.split("threshold")
        threshold = self.base.outputs(split, "the base on split threshold")
        return self._turn().fitted(threshold=threshold)

    def _turn(self) -> RouterTurn:
        return RouterTurn.of(self.base, self.data, self.cloud, self.plan, self.recipe.seed)

    def _end_round(self, *, calibrate: bool) -> None:
        """On process 0: measure ranges anew, judge; the others then stand where it stands."""
        if self.team.leads:
            if calibrate:
                self.base.calibrate(self.data, self.recipe.calibration_images)
                if not self.base.network.ranges.isfinite().all():
                    raise self._diverged()
            self._judge()
        self._follow()

    def _judge(self) -> None:
        """Fit the router, see how good the pair is, remember the best state.

        What training images weigh goes by a threshold of the ``fit`` split: the ``threshold`` split
        may calibrate a guarantee, so that no weight may depend on it.
        """
        turn = self._turn()
        self._router = turn.fitted(threshold=turn.fit)
        self.rounds.append(turn.figures(len(self.rounds), self._folds))
        if self.best_round.round == self.rounds[-1].round:
            self._best = self._weights()

    @property
    def best_round(self) -> RoundFigures:
        """The best hybrid so far; of equals the one with the best base, then the earliest.

        Where the hybrid is as good as the cloud, only the base can still tell rounds apart.
        """
        return max(self.rounds, key=lambda one: (one.hybrid, one.base, -one.round))

    def _weights(self) -> dict[str, Any]:
        network = None if self.cloud is None else self.cloud.network
        return {
            "base": deepcopy(self.base.network.state_dict()),
            "cloud": None if network is None else deepcopy(network.state_dict()),
        }

    # -- the networks' turn

    def _train_step(self, pixels: Tensor, labels: Tensor) -> float:
        """One update of base and cloud; gives the loss over the batches of all processes."""
        assert self._router is not None
        recipe = self.recipe
        set_rate(self._optimiser, recipe.rate(self.step, recipe.peak_rate))
        found = self.base.run(pixels)
        logits, sent = found.logits, self._decide(found)
        weights = base_weights(sent)
        loss = weighted_loss(logits, labels, weights)
        if self.cloud is not None and self.cloud.teacher is not None and recipe.distillation > 0:
            soft = weighted_soft_loss(logits, self.cloud.teacher(pixels), weights)
            loss = (1 - recipe.distillation) * loss + recipe.distillation * soft
        loss = self._descend(self._optimiser, loss, weights)
        if self.cloud is not None and self._cloud_optimiser is not None:
            set_rate(self._cloud_optimiser, recipe.rate(self.step, recipe.cloud_rate))
            weights = cloud_weights(sent)
            cloud_loss = weighted_loss(self.cloud.logits(pixels), labels, weights)
            self._descend(self._cloud_optimiser, cloud_loss, weights)
        return self.team.sums(float(loss.detach()))[0]

    def _decide(self, found: GraphOutputs) -> Tensor:
        """The router's decisions on a batch, bool (n,); none is sent before they count."""
        assert self._router is not None
        if self.step < self.recipe.weighted_from * self.recipe.steps:
            return torch.zeros(len(found.logits), dtype=torch.bool, device=found.logits.device)
        outputs = router_inputs(found, "the base on training images")
        return torch.from_numpy(self._router.sent(outputs, self.plan.target)).to(
            found.logits.device
        )

    def _descend(self, optimiser: torch.optim.SGD, loss: Tensor, weights: Tensor) -> Tensor:
        """One update by the mean over all processes' images, of which `loss` is the mean over ours.

        Gives our part of that mean; the parts of all processes sum to it.
        """
        part = self.team.fraction(float(weights.sum())) * loss
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(part)
        parameters = [p for group in optimiser.param_groups for p in group["params"]]
        self.team.sum_gradients(parameters)
        torch.nn.utils.clip_grad_norm_(parameters, self.recipe.gradient_limit)
        optimiser.step()
        return part

    # -- the whole

    def _may_stop(self) -> bool:
        return len(self.rounds) - 1 - self.best_round.round >= self.recipe.patience

    def run(
        self,
        checkpoint: Path | None = None,
        report: Callable[[TrainingState], None] | None = None,
        *,
        stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Train to the last round, or until rounds stop getting better.

        Args:
            checkpoint: file to save to, now and then; process 0 alone does.
            report: is told of every step.
            stop: is asked after every step; True, on any process, ends the training early.

        Returns:
            Whether the training is done; the best state is then in place.

        Raises:
            HybridNasError: the loss is no number any more, or another process has ended.
            InputError: another process trains something else.
        """
        if self.team.any(not self.rounds and self.team.leads):
            self._end_round(calibrate=False)
        else:
            self._follow()
        if not self.team.leads:
            checkpoint = None
        recipe, loss = self.recipe, math.nan
        saved = begun = time.monotonic()
        first, batches = self.step, self._batches.from_step(self.step)
        self.base.network.train()
        while self.step < recipe.steps and not self._may_stop():
            pixels, labels = next(batches)
            device = self.base.network.ranges.device
            value = self._train_step(pixels.to(device), labels.to(device))
            if not math.isfinite(value):
                raise self._diverged()
            loss = value if math.isnan(loss) else _REMEMBERED * loss + (1 - _REMEMBERED) * value
            self.step += 1
            if self.step % recipe.steps_per_round == 0 or self.step == recipe.steps:
                self._end_round(calibrate=True)
            now = time.monotonic()
            if report is not None:
                speed = (self.step - first) * recipe.batch / max(1e-9, now - begun)
                report(TrainingState(self.step, recipe.steps, loss, speed, tuple(self.rounds)))
            if self.team.any(stop()):
                if checkpoint is not None:
                    self.save(checkpoint)
                return False
            if checkpoint is not None and now - saved > recipe.checkpoint_seconds:
                self.save(checkpoint)
                saved = now
        self._take_best()
        return True

    def _diverged(self) -> HybridNasError:
        return HybridNasError(
            f"training diverged at step {self.step}: try a smaller --rate than "
            f"{self.recipe.peak_rate:g}, with --restart"
        )

    def _take_best(self) -> None:
        self.base.network.load_state_dict(self._best["base"])
        self.base.network.eval()
        network = None if self.cloud is None else self.cloud.network
        if network is not None:
            network.load_state_dict(self._best["cloud"])

    # -- checkpoints

    def _state(self) -> dict[str, Any]:
        assert self._router is not None
        return {
            **self._identity(),
            "step": self.step,
            "rounds": [asdict(figures) for figures in self.rounds],
            "router": self._router.to_dict(),
            "now": self._weights(),
            "best": self._best,
            "optimiser": self._optimiser.state_dict(),
            "cloud_optimiser": self._cloud_optimiser and self._cloud_optimiser.state_dict(),
        }

    def _load(self, state: Mapping[str, Any]) -> None:
        self.step = int(state["step"])
        self.rounds = [RoundFigures(**figures) for figures in state["rounds"]]
        self._router = FittedRouter.from_dict(state["router"])
        self._best = state["best"]
        self.base.network.load_state_dict(state["now"]["base"])
        self._optimiser.load_state_dict(state["optimiser"])
        network = None if self.cloud is None else self.cloud.network
        if network is not None and self._cloud_optimiser is not None:
            network.load_state_dict(state["now"]["cloud"])
            self._cloud_optimiser.load_state_dict(state["cloud_optimiser"])

    def _identity(self) -> dict[str, Any]:
        return {
            "pair": _pair_of(self.plan.origin),
            "recipe": asdict(self.recipe),
            "target": self.plan.target,
            "origin": self.plan.origin,
        }

    def _identity_of(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """With the pair by itself, so that a checkpoint of another one is refused as such."""
        return {**state, "pair": _pair_of(state.get("origin"))}


def _pair_of(origin: object) -> str | None:
    """The pair that a checkpoint's origin names; None if it names none."""
    return origin.get("pair") if isinstance(origin, dict) else None
