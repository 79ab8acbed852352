"""Does the 95 % interval of a pair's accuracy hold what it says?

    python benchmarks/interval_coverage.py [--redraws 200]

The population is all source digits that no network was trained on, each as likely as any other, in
any rendering. The truth for a fixed pair (base, router, threshold) is its accuracy on 10,000 fresh
images, all digits equally often. A redraw takes as many source digits as the test split has, with
replacement, renders each ten times, and computes accuracy ± 1.96 standard errors, once by source
digit (which is what the program reports) and once as if images were independent.
"""

from __future__ import annotations

import argparse

import numpy as np
from setup_default import add_common_flags, settings_of

from hybrid_nas.data.dataset import ImageSet
from hybrid_nas.data.digits import DIGITS_PER_SPLIT, DigitsDataset, _source_digits, render
from hybrid_nas.routing.metrics import clustered_stderr
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.thresholds import sent
from hybrid_nas.search.candidate import Candidate
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.supernet.runner import run_network

PER_DIGIT = 10
BANK = 60


def renderings(data: DigitsDataset, digits: np.ndarray, seed: int) -> ImageSet:
    """One rendering of each entry of `digits`."""
    labels = _source_digits()[1]
    pool = np.unique(digits)
    blocks = [
        render(digits[k : k + 256], np.random.default_rng((seed, k)), pool, data.look)
        for k in range(0, len(digits), 256)
    ]
    return ImageSet(np.concatenate(blocks), labels[digits], digits)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redraws", type=int, default=200)
    add_common_flags(parser)
    arguments = parser.parse_args()
    setup = SearchSetup(settings_of(arguments))
    data = setup.data
    assert isinstance(data, DigitsDataset) and setup.cloud is not None
    genes = tuple(setup.space.sample(1, np.random.default_rng(7))[0].tolist())
    router = setup.scorer.fit_router(Candidate(genes, "linear-logits"))
    network = setup.scorer.runner.network(genes)
    pool = np.concatenate([data.sources(s) for s in ("fit", "threshold", "score", "test")])

    def right(images: ImageSet) -> np.ndarray:
        found = run_network(network, images.images, threads=arguments.threads)
        outputs = ModelOutputs(labels=images.labels, logits=found.logits, features=found.features)
        cloud = setup.cloud.predict(images).pred == images.labels  # type: ignore[union-attr]
        decided = sent(router.send_score(outputs), router.thresholds[0.7])
        return np.where(decided, cloud, outputs.correct).astype(float)

    truth = right(renderings(data, np.resize(pool, 10_000), seed=11)).mean()
    bank = right(renderings(data, np.repeat(pool, BANK), seed=12)).reshape(len(pool), BANK)
    rng, hits, naive_hits, widths = np.random.default_rng(0), 0, 0, []
    for _ in range(arguments.redraws):
        drawn = rng.integers(0, len(pool), DIGITS_PER_SPLIT["test"])
        columns = np.argsort(rng.random((len(drawn), BANK)), axis=1)[:, :PER_DIGIT]
        sample = bank[drawn[:, None], columns]
        groups = np.repeat(np.arange(len(drawn)), PER_DIGIT)
        error = clustered_stderr(sample.ravel(), groups)
        naive = sample.std(ddof=1) / np.sqrt(sample.size)
        hits += abs(sample.mean() - truth) <= 1.96 * error
        naive_hits += abs(sample.mean() - truth) <= 1.96 * naive
        widths.append(error / naive)
    n = arguments.redraws
    print(
        f"pair accuracy on 10,000 fresh images {truth:.4f}; of {n} redraws the 95 % interval by "
        f"source digit covers it in {100 * hits / n:.1f} %, by image in "
        f"{100 * naive_hits / n:.1f} % "
        f"(standard errors by digit are {np.mean(widths):.2f} x those by image)"
    )


if __name__ == "__main__":
    main()
