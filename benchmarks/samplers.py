"""Samplers against random search on the bundled default: hypervolume at equal evaluations.

    python benchmarks/samplers.py [--trials 100] [--seeds 5]

Bases are run once for all samplers, so the figures compare choices, not luck of the scoring.
Prints the mean and the spread over seeds, and the seconds that proposing took.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from setup_default import (
    SharedScorer,
    add_common_flags,
    front_share,
    search_in_memory,
    settings_of,
)

from hybrid_nas.search.setup import SearchSetup


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--samplers", nargs="+", default=["random", "nsga2", "tpe", "guided"])
    add_common_flags(parser)
    arguments = parser.parse_args()
    scorer = SearchSetup(settings_of(arguments)).scorer
    for name in arguments.samplers:
        shares, proposing = [], []
        for seed in range(arguments.seeds):
            settings = settings_of(arguments, sampler=name, seed=seed, trials=arguments.trials)
            setup = SearchSetup(settings)
            begun = time.perf_counter()
            pairs = search_in_memory(setup, SharedScorer(scorer, settings))
            seconds = time.perf_counter() - begun
            scoring = sum(sum(p.figures.seconds.values()) for p in pairs)
            proposing.append((seconds - scoring) / len(pairs))
            at = [front_share(setup, pairs[:n]) for n in (25, 50, len(pairs))]
            shares.append(at)
            print(f"{name} seed {seed}: " + " ".join(f"{share:.4f}" for share in at), flush=True)
        mean, spread = np.mean(shares, 0), np.std(shares, 0, ddof=1) if len(shares) > 1 else 0
        print(
            f"{name}: hypervolume share at 25 / 50 / {arguments.trials} evaluations "
            f"{np.round(mean, 4)} (sd over seeds {np.round(spread, 4)}), "
            f"{1000 * np.mean(proposing):.0f} ms a trial beside scoring",
            flush=True,
        )


if __name__ == "__main__":
    main()
