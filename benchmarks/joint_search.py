"""Is searching base and router together better than the best base first, then its router?

    python benchmarks/joint_search.py [--trials 100] [--seeds 3]

For each board, both ways get the same number of evaluations. *Joint*: the search as it is.
*Base first*: most evaluations search for the front of base accuracy and device latency with no
router at all; the rest go to the router designs beside that front's bases, best base first. Both
ways' fronts are then judged once on the test split: hypervolume of what the thresholds do there,
and accuracy of the pair that each way's score split likes best.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from setup_default import SharedScorer, add_common_flags, search_in_memory, settings_of

from hybrid_nas.search.candidate import Candidate
from hybrid_nas.search.front import judge, pareto_front
from hybrid_nas.search.progress import Box
from hybrid_nas.search.score import PairFigures
from hybrid_nas.search.scorer import Scorer
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.search.worker import ScoredPair

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


def on_test(
    pairs: list[ScoredPair], setup: SearchSetup, scorer: Scorer
) -> tuple[float, float, float]:
    """Hypervolume share, accuracy of the favourite, and its device latency, on the test split."""
    settings = setup.settings
    front = [judge(pair, scorer) for pair in pareto_front(pairs, settings)]
    target = settings.target_coverage
    losses = np.array([[-p.test[target].accuracy, p.test[target].mean_latency_ms] for p in front])
    share = Box.of(setup.problem, settings).share(losses)
    return share, front[0].test[target].accuracy, front[0].scored.figures.edge_latency_ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=3)
    add_common_flags(parser)
    arguments = parser.parse_args()
    shared = SearchSetup(settings_of(arguments)).scorer
    for name, board in BOARDS.items():
        table = []
        for seed in range(arguments.seeds):
            settings = settings_of(arguments, trials=arguments.trials, seed=seed, **board)
            setup, scorer = SearchSetup(settings), SharedScorer(shared, settings)
            joint = on_test(search_in_memory(setup, scorer), setup, scorer)
            first = on_test(base_first(settings, shared), setup, scorer)
            table.append((joint, first))
            print(f"{name} seed {seed}: joint {joint}, base first {first}", flush=True)
        both = np.array(table)
        difference = both[:, 0] - both[:, 1]
        half = (
            1.96 * difference.std(0, ddof=1) / np.sqrt(len(both))
            if len(both) > 1
            else 0 * difference[0]
        )
        print(
            f"{name}: hypervolume share {both[:, 0, 0].mean():.4f} joint, "
            f"{both[:, 1, 0].mean():.4f} base first (difference {difference[:, 0].mean():+.4f} "
            f"± {half[0]:.4f}); favourite's test accuracy {both[:, 0, 1].mean():.4f} joint, "
            f"{both[:, 1, 1].mean():.4f} base first (difference {difference[:, 1].mean():+.4f} "
            f"± {half[1]:.4f}); its device latency {both[:, 0, 2].mean():.0f} and "
            f"{both[:, 1, 2].mean():.0f} ms",
            flush=True,
        )


if __name__ == "__main__":
    main()
