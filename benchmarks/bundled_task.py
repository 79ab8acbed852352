"""Is the bundled task hard enough, and do the limits mean something there?

    python benchmarks/bundled_task.py [--subnets 60]

Accuracies of random subnets that fit, of the smallest, of the largest, of the cloud model and of a
linear classifier on every sixteenth pixel, and how many random subnets each limit admits.
"""

from __future__ import annotations

import argparse

import numpy as np
from setup_default import add_common_flags, settings_of
from sklearn.linear_model import LogisticRegression

from hybrid_nas.data.cloud import cloud_outputs
from hybrid_nas.search.setup import SearchSetup

DRAWN = 4000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subnets", type=int, default=60)
    add_common_flags(parser)
    arguments = parser.parse_args()
    setup = SearchSetup(settings_of(arguments))
    data, space, limits = setup.data, setup.space, setup.limits
    assert setup.cloud is not None
    for split in ("score", "test"):
        right = cloud_outputs(setup.cloud, data, split).pred == data.split(split).labels
        print(f"cloud on {split}: {right.mean():.2%} of {len(right)} images")

    rows = space.sample(DRAWN, np.random.default_rng(0))
    costs = setup.problem.costs.evaluate(rows)
    print(f"over 1 MB of flash: {np.mean(costs.flash_bytes > 2**20):.1%} of {DRAWN} subnets")
    for kib in (48, 64, 96, 320):
        print(f"within {kib} KB of SRAM: {np.mean(costs.sram_bytes <= kib * 1024):.1%}")

    train, score = data.training_images(5000, 0), data.split("score")
    linear = LogisticRegression(max_iter=1000).fit(_pixels(train.images), train.labels)
    print(f"linear classifier on pixels: {linear.score(_pixels(score.images), score.labels):.1%}")

    labels, runner = score.labels, setup.scorer.runner
    fitting = rows[limits.fits(costs)][: arguments.subnets]
    named = dict(zip(("smallest", "largest"), map(tuple, space.extremes().tolist()), strict=True))
    found = []
    for name, genes in [*named.items(), *(("", tuple(row)) for row in fitting.tolist())]:
        logits = runner.run(genes, ("score",))[0]["score"].logits
        accuracy = float(np.mean(logits.argmax(1) == labels))
        if name:
            print(f"{name}: {accuracy:.1%}")
        else:
            found.append(accuracy)
    at = np.quantile(found, [0, 0.1, 0.25, 0.5, 0.75, 0.9, 1])
    print(
        f"{len(found)} random subnets that fit {limits}: lowest, 10, 25, 50, 75, 90 % quantile, "
        f"highest: {', '.join(f'{100 * a:.1f}' for a in at)} %"
    )


def _pixels(images: np.ndarray) -> np.ndarray:
    return images[:, 1::4, 1::4].reshape(len(images), -1).astype(np.float32) / 255 - 0.5


if __name__ == "__main__":
    main()
