"""The router's turn of a round: fitted to what base and cloud say now, and judged with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybrid_nas.data.dataset import Dataset
from hybrid_nas.routing.designs import RouterDesign
from hybrid_nas.routing.fitted import FittedRouter
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.scoring import fit_pair_router
from hybrid_nas.training.cloud_side import CloudSide
from hybrid_nas.training.int8_base import Int8Base
from hybrid_nas.training.judging import hybrid_out_of_fold
from hybrid_nas.training.progress import RoundFigures
from hybrid_nas.typing import BoolArray, IntArray


@dataclass(frozen=True)
class PairPlan:
    """What is trained and for what.

    Attributes:
        design, router_objective: of the router.
        coverages: thresholds are set for all; the `target` is what training aims at.
        origin: digests of what decides the result, checked when a checkpoint is resumed.
    """

    design: RouterDesign
    router_objective: str
    coverages: tuple[float, ...]
    target: float
    origin: dict[str, str]


@dataclass(frozen=True, eq=False)
class RouterTurn:
    """What a router learns from, as base and cloud are now.

    Attributes:
        plan: router and coverages.
        fit: what the base says of that split.
        answers: what the cloud says of ``fit``; None without one.
        seed: of the router's own draws.
    """

    plan: PairPlan
    fit: ModelOutputs
    answers: ModelOutputs | None
    seed: int

    @classmethod
    def of(
        cls, base: Int8Base, data: Dataset, cloud: CloudSide | None, plan: PairPlan, seed: int
    ) -> RouterTurn:
        """Run base and cloud on ``fit``."""
        return cls(
            plan,
            base.outputs(data.split("fit"), "the base on split fit"),
            None if cloud is None else cloud.answers("fit"),
            seed,
        )

    @property
    def correct(self) -> BoolArray | None:
        """Where the cloud is right on ``fit``, (n,); None without one."""
        return None if self.answers is None else self.answers.correct

    def fitted(
        self, rows: IntArray | None = None, *, threshold: ModelOutputs | None = None
    ) -> FittedRouter:
        """A router for the rows of ``fit``, all of them if None, with thresholds for these outputs.

        Without `threshold` it has none.
        """
        index = np.arange(self.fit.n) if rows is None else rows
        return fit_pair_router(
            self.plan.design,
            self.fit.take(index),
            None if self.correct is None else self.correct[index],
            threshold,
            self.plan.coverages,
            objective=self.plan.router_objective,
            cloud=None if self.answers is None else self.answers.take(index),
            seed=self.seed,
        )

    def figures(self, number: int, folds: tuple[IntArray, ...]) -> RoundFigures:
        """How good the pair is after round `number`, routers fitted out of fold."""
        hybrid = hybrid_out_of_fold(self.fitted, self.fit, self.correct, folds, self.plan.target)
        return RoundFigures(
            round=number,
            hybrid=hybrid.value,
            stderr=hybrid.stderr,
            base=float(self.fit.correct.mean()),
            cloud=None if self.correct is None else float(self.correct.mean()),
        )
