"""Is searching base and router together better than the best base first, then its router?

    python benchmarks/joint_search.py [--trials 80] [--seeds 20] [--boards 1]
        [--trained-seeds 5] [--steps 1000]

For each board, both ways get the same number of evaluations. *Joint*: the search as it is.
*Base first*: most evaluations search for the front of base accuracy and device latency with no
router at all; the rest go to the router designs beside that front's bases, best base first. Both
ways' fronts are judged once on the test split: hypervolume of what the thresholds do there. The
favourite, which is the pair that each way's score split likes best, is trained to the end for the
first few seeds and judged in int8 on images that nothing has seen: new renderings of the test
digits, or, on other data, the test split. Prints means of the differences with 95 % intervals over
seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from final_pair import pair_trainer
from setup_default import SharedScorer, add_common_flags, search_in_memory, settings_of

from hybrid_nas.data.dataset import ImageSet
from hybrid_nas.data.digits import DigitsDataset
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
from hybrid_nas.typing import FloatArray

BOARDS: dict[str, dict[str, Any]] = {
    "stm32f746, 320 KB / 1 MB": {},
    "stm32h743, 64 KB / 512 KB": {
        "board": "stm32h743",
        "sram_bytes": 64 * 1024,
        "flash_bytes": 512 * 1024,
    },
    "stm32l4r5, 48 KB / 384 KB (X-CUBE-AI)": {
        "board": "stm32l4r5",
        "runtime": "x-cube-ai",
        "sram_bytes": 48 * 1024,
        "flash_bytes": 384 * 1024,
    },
}


COVERAGES = (0.9, 0.7)
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


def trained_accuracy(setup: SearchSetup, candidate: Candidate, steps: int) -> FloatArray:
    """Hybrid accuracy at each of `COVERAGES` after final training, (coverages,)."""
    target = setup.settings.target_coverage
    trainer = pair_trainer(setup, candidate, COVERAGES, target, FinalRecipe(steps=steps))
    trainer.run()
    router, images = trainer.fit_router(), fresh_images(setup)
    outputs = trainer.base.outputs(images, "the base on fresh images")
    cloud = setup.clouds.model(None)
    assert cloud is not None
    correct = cloud.predict(images).pred == images.labels
    score = router.send_score(outputs)
    return np.array([exact_accuracy(score, outputs, correct, c).value for c in COVERAGES])


def difference(name: str, joint: Sequence[float], first: Sequence[float], unit: str = "") -> str:
    """Means of both ways, and of what joint is above base first, with its interval."""
    gain = np.array(joint) - np.array(first)
    half = 1.96 * gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else 0.0
    return (
        f"  {name}: {np.mean(joint):.4g} joint, {np.mean(first):.4g} base first, "
        f"difference {gain.mean():+.3g} ± {half:.2g}{unit}; "
        f"ahead {(gain > 0).sum()}, behind {(gain < 0).sum()} of {len(gain)}"
    )


def main() -> None:
    """Search both ways seed by seed, then train the favourites."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=80)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--boards", type=int, default=len(BOARDS), help="the first so many")
    parser.add_argument("--trained-seeds", type=int, default=5, help="0: nothing is trained")
    parser.add_argument("--steps", type=int, default=1000, help="of final training")
    add_common_flags(parser)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    shared = SearchSetup(settings_of(given)).scorer
    for name, board in list(BOARDS.items())[: given.boards]:
        setups, joint, first = [], [], []
        for seed in range(given.seeds):
            settings = settings_of(given, trials=given.trials, seed=seed, **board)
            setup, scorer = SearchSetup(settings), SharedScorer(shared, settings)
            joint.append(on_test(search_in_memory(setup, scorer), setup, scorer))
            first.append(on_test(base_first(settings, shared), setup, scorer))
            setups.append(setup)
            print(f"{name} seed {seed}: joint {joint[-1]}, base first {first[-1]}", flush=True)
        print(f"{name}, {given.seeds} seeds, {given.trials} evaluations each")
        print(difference("share of the box", [f.share for f in joint], [f.share for f in first]))
        latency = [[found.edge_ms for found in way] for way in (joint, first)]
        print(difference("favourite's device latency", *latency, unit=" ms"), flush=True)
        joint, first = joint[: given.trained_seeds], first[: given.trained_seeds]
        if not joint:
            continue
        trained: dict[Candidate, FloatArray] = {}
        for found in (*joint, *first):
            if found.favourite not in trained:
                trained[found.favourite] = trained_accuracy(setups[0], found.favourite, given.steps)
                print(f"  trained {found.favourite}: {trained[found.favourite]}", flush=True)
        for index, coverage in enumerate(COVERAGES):
            ways = [
                [100 * trained[found.favourite][index] for found in way] for way in (joint, first)
            ]
            print(difference(f"trained favourite at {coverage:g}", *ways, unit=" points"))


if __name__ == "__main__":
    main()
