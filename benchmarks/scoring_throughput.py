"""Where the time of scoring a candidate goes, on the bundled default.

    python benchmarks/scoring_throughput.py [--candidates 20] [--all-splits]

Seconds are of the processor, not of the clock: with one thread other work on the machine hardly
shows. `--all-splits` runs the threshold split too, which the default's scores do not depend on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from unittest.mock import patch

import numpy as np
from setup_default import add_common_flags, settings_of

from hybrid_nas.search.candidate import Candidate
from hybrid_nas.search.scorer import SEARCH_SPLITS
from hybrid_nas.search.setup import SearchSetup

PARTS = ("extract", "recalibrate", "compile", "forward", "router")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=20)
    parser.add_argument("--all-splits", action="store_true")
    add_common_flags(parser)
    arguments = parser.parse_args()
    setup = SearchSetup(settings_of(arguments))
    rng = np.random.default_rng(0)
    rows = setup.space.sample(10 * arguments.candidates, rng)
    rows = rows[setup.limits.fits(setup.problem.costs.evaluate(rows))][: arguments.candidates]
    scorer = setup.scorer
    splits = SEARCH_SPLITS if arguments.all_splits else scorer.scored_splits
    images = sum(len(setup.data.split(split)) for split in splits)
    for row in np.unique(rows[:, 0], return_index=True)[1]:  # resize images once per resolution
        scorer.runner.run(tuple(rows[row].tolist()), splits)
    scorer.cloud_correct("fit")
    clock: Callable[[], float] = time.process_time
    seconds = []
    with patch("hybrid_nas.supernet.runner.time.perf_counter", clock):
        for row in rows:
            genes = tuple(row.tolist())
            _, timing = scorer.runner.run(genes, splits)
            scorer.base(genes)
            begun = clock()
            scorer.learn_router(Candidate(genes, "linear-features"))
            parts = (timing.extract_s, timing.recalibrate_s, timing.compile_s, timing.forward_s)
            seconds.append((*parts, clock() - begun))
    means = 1000 * np.mean(seconds, axis=0)
    total = float(means.sum())
    told = ", ".join(f"{name} {value:.0f} ms" for name, value in zip(PARTS, means, strict=True))
    print(
        f"{len(rows)} candidates, {images} images each, {arguments.threads} thread: {told} "
        f"({100 * means[-1] / total:.1f} %); {total:.0f} ms of processor time together, "
        f"{1000 * images / total:.0f} images/s"
    )


if __name__ == "__main__":
    main()
