"""Where the time of scoring a candidate goes, on the bundled default.

python benchmarks/scoring_throughput.py [--candidates 20]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import astuple, fields

import numpy as np
from setup_default import add_common_flags, settings_of

from hybrid_nas.search.candidate import Candidate
from hybrid_nas.search.scorer import SEARCH_SPLITS
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.supernet.runner import Timings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=20)
    add_common_flags(parser)
    arguments = parser.parse_args()
    setup = SearchSetup(settings_of(arguments))
    rng = np.random.default_rng(0)
    rows = setup.space.sample(10 * arguments.candidates, rng)
    rows = rows[setup.limits.fits(setup.problem.costs.evaluate(rows))][: arguments.candidates]
    scorer = setup.scorer
    images = sum(len(setup.data.split(split)) for split in SEARCH_SPLITS)
    scorer.runner.run(tuple(rows[0].tolist()), SEARCH_SPLITS)  # resize images, warm up
    scorer.cloud_correct("fit")
    timings, routers = [], []
    for row in rows:
        genes = tuple(row.tolist())
        _, timing = scorer.runner.run(genes, SEARCH_SPLITS)
        timings.append(astuple(timing))
        scorer.base(genes)
        begun = time.perf_counter()
        scorer.fit_router(Candidate(genes, "linear-features"))
        routers.append(time.perf_counter() - begun)
    means = 1000 * np.mean(timings, 0)
    parts = ", ".join(
        f"{field.name.removesuffix('_s')} {value:.0f} ms"
        for field, value in zip(fields(Timings), means, strict=True)
    )
    total = float(means.sum()) + 1000 * float(np.mean(routers))
    print(
        f"{len(rows)} candidates, {images} images each, {arguments.threads} thread: {parts}, "
        f"router {1000 * np.mean(routers):.0f} ms ({100 * 1000 * np.mean(routers) / total:.1f} %); "
        f"{total:.0f} ms together, {1000 * images / total:.0f} images/s"
    )


if __name__ == "__main__":
    main()
