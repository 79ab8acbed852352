"""Two ways to search one board, and what each comes to: base and router together, or one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from final_pair import pair_trainer
from setup_default import SharedScorer, search_in_memory

from hybrid_nas.data.dataset import ImageSet
from hybrid_nas.data.digits import DigitsDataset
from hybrid_nas.routing.ranking import Curve
from hybrid_nas.routing.scoring import exact_accuracy
from hybrid_nas.search.candidate import Candidate
from hybrid_nas.search.front import judge, pareto_front
from hybrid_nas.search.progress import Box
from hybrid_nas.search.score import PairFigures
from hybrid_nas.search.scorer import Scorer
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.search.worker import ScoredPair
from hybrid_nas.training.recipe import FinalRecipe

COVERAGES = (0.9, 0.7)
CURVE = np.linspace(0.3, 1.0, 71)
"""Coverages at which a trained pair is judged."""
FRESH = 6000
"""New renderings of the test digits."""


def base_first(settings: SearchSettings, scorer: Scorer) -> list[ScoredPair]:
    """Pairs found by choosing bases for their own accuracy and latency, then routers."""
    routers = settings.routers
    n_bases = len(routers) * 4
    first = SearchSettings(
        **{
            **settings.to_dict(),
            "routers": ("confidence",),
            "objectives": ("base-accuracy", "edge-latency"),
            "trials": settings.trials - n_bases,
            "coverages": settings.coverages,
        }
    )
    setup = SearchSetup(first)
    bases = pareto_front(search_in_memory(setup, SharedScorer(scorer, first)), first)
    spread = np.unique(np.linspace(0, len(bases) - 1, 4).round().astype(int))
    problem = SearchSetup(settings).problem
    judge_with = SharedScorer(scorer, settings)
    pairs = []
    for k in spread.tolist():
        for router in routers:
            candidate = Candidate(bases[k].candidate.genes, router)
            row = np.array([problem.candidates.row(candidate)])
            if problem.fits(row).all():
                figures = judge_with.score(candidate, problem.evaluate(row))
                pairs.append(_scored(len(pairs), candidate, figures, settings))
    return pairs


def _scored(
    number: int, candidate: Candidate, figures: PairFigures, settings: SearchSettings
) -> ScoredPair:
    at = figures.at[settings.target_coverage]
    return ScoredPair(number, candidate, figures, (at.accuracy, at.mean_latency_ms))


@dataclass(frozen=True)
class Found:
    """What one way of searching came to.

    Attributes:
        share: of the box, dominated by its front on the test split.
        favourite: the pair with the best score.
        edge_ms: its latency on the device.
    """

    share: float
    favourite: Candidate
    edge_ms: float

    @classmethod
    def read(cls, stored: dict[str, Any]) -> Found:
        """The opposite of `dataclasses.asdict`, by way of JSON."""
        favourite = stored["favourite"]
        candidate = Candidate(tuple(favourite["genes"]), favourite["router"])
        return cls(stored["share"], candidate, stored["edge_ms"])


def on_test(pairs: list[ScoredPair], setup: SearchSetup, scorer: Scorer) -> Found:
    """Judge a front on the test split."""
    settings = setup.settings
    front = [judge(pair, scorer) for pair in pareto_front(pairs, settings)]
    target = settings.target_coverage
    losses = np.array([[-p.test[target].accuracy, p.test[target].mean_latency_ms] for p in front])
    best = front[0].scored
    share = Box.of(setup.problem, settings).share(losses)
    return Found(share, best.candidate, best.figures.edge_latency_ms)


def fresh_images(setup: SearchSetup) -> ImageSet:
    """Images that nothing has seen."""
    if isinstance(setup.data, DigitsDataset):
        return setup.data.fresh("test", FRESH, setup.data.seed + 1000)
    return setup.data.split("test")


def trained_curve(setup: SearchSetup, candidate: Candidate, steps: int) -> Curve:
    """Hybrid accuracy at the coverages of `CURVE` after final training."""
    target = setup.settings.target_coverage
    trainer = pair_trainer(setup, candidate, COVERAGES, target, FinalRecipe(steps=steps))
    trainer.run()
    router, images = trainer.fit_router(), fresh_images(setup)
    outputs = trainer.base.outputs(images, "the base on fresh images")
    cloud = setup.clouds.model(None)
    assert cloud is not None
    correct = cloud.predict(images).pred == images.labels
    score = router.send_score(outputs)
    accuracy = [exact_accuracy(score, outputs, correct, c).value for c in CURVE]
    return Curve(CURVE, np.array(accuracy))


def least_latency_ms(curve: Curve, accuracy: float, edge_ms: float, query_ms: float) -> float:
    """The least mean latency at which a pair is as accurate as asked; infinite if it never is.

    Args:
        curve: hybrid accuracy over coverage.
        accuracy: that is asked for.
        edge_ms: what every input takes on the device.
        query_ms: what a query adds.
    """
    reached = curve.coverage[curve.accuracy >= accuracy - 1e-9]
    return edge_ms + (1.0 - reached.max()) * query_ms if len(reached) else float("inf")
