"""Routers against entropy and the best confidence, on the test split, over five redrawn data sets.

    python benchmarks/router_gain.py [--seeds 5]

For each seed all splits are rendered anew from the same pools of source digits, routers are fitted
and thresholds set as in a search, and the test split is looked at once. Differences are at equal
realised coverage, paired, with a bootstrap over source digits.
"""

from __future__ import annotations

import argparse

import numpy as np
from setup_default import add_common_flags, settings_of

from hybrid_nas.data.digits import DigitsDataset
from hybrid_nas.routing.confidence import available_confidences, confidence_score
from hybrid_nas.routing.designs import DEFAULT_DESIGN
from hybrid_nas.routing.ranking import accuracy_curve
from hybrid_nas.routing.scoring import evaluate_pair, paired_gains
from hybrid_nas.search.candidate import Candidate
from hybrid_nas.search.scorer import Scorer
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.supernet.runner import SubnetRunner

COVERAGES = (0.9, 0.7, 0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--bases", type=int, default=3)
    parser.add_argument("--router", default=DEFAULT_DESIGN)
    parser.add_argument("--router-objective", default="auto")
    add_common_flags(parser)
    arguments = parser.parse_args()
    settings = settings_of(arguments, router_objective=arguments.router_objective)
    setup = SearchSetup(settings)
    space = setup.space
    rng = np.random.default_rng(0)
    rows = space.sample(400, rng)
    fitting = rows[setup.limits.fits(setup.problem.costs.evaluate(rows))]
    macs = setup.problem.costs.evaluate(fitting).macs
    order = np.argsort(macs)
    at = np.linspace(0.1, 0.9, arguments.bases)
    bases = [tuple(fitting[order[int(q * len(order))]].tolist()) for q in at]
    for genes in bases:
        one_base(genes, setup, arguments)


def one_base(genes: tuple[int, ...], setup: SearchSetup, arguments: argparse.Namespace) -> None:
    """Print the gains of one base's router, seed by seed and on average."""
    gains: dict[tuple[str, float], list[tuple[float, float, float]]] = {}
    accuracies = []
    for seed in range(arguments.seeds):
        data = DigitsDataset(seed=1000 + seed)
        runner = SubnetRunner(
            setup.opened.supernet,
            data.training_images(256, seed).images,
            lambda split, data=data: data.split(split).images,
            threads=arguments.threads,
        )
        scorer = Scorer(runner, data, setup.clouds, setup.settings)
        router = scorer.fit_router(Candidate(genes, arguments.router))
        outputs = scorer.run_base(genes, ("test",))["test"]
        cloud = scorer.cloud_correct("test")
        assert cloud is not None
        score = evaluate_pair(router, outputs, cloud)
        found = paired_gains(router, outputs, cloud, seed=seed)
        best = best_confidence(scorer, genes)
        for coverage in COVERAGES:
            for label, name in (("entropy", "entropy"), ("best confidence", best)):
                interval = found[name][coverage]
                gains.setdefault((label, coverage), []).append(
                    (interval.value, interval.low, interval.high)
                )
        accuracies.append((score.base.value, *(score.at[c].accuracy for c in COVERAGES)))
    means = 100 * np.mean(accuracies, 0)
    macs = setup.space.architecture(genes).macs / 1e6
    print(
        f"base of {macs:.2f} M MACs: alone {means[0]:.2f} %, hybrid at 0.9/0.7/0.5 "
        + " / ".join(f"{value:.2f}" for value in means[1:]),
        flush=True,
    )
    for (label, coverage), rows in gains.items():
        table = 100 * np.array(rows)
        spread = table[:, 0].std(ddof=1) if len(table) > 1 else 0.0
        print(
            f"  against {label} at {coverage:g}: {table[:, 0].mean():+.2f} points (sd over seeds "
            f"{spread:.2f}); intervals "
            + " ".join(f"[{low:+.2f}, {high:+.2f}]" for _, low, high in table),
            flush=True,
        )


def best_confidence(scorer: Scorer, genes: tuple[int, ...]) -> str:
    """The confidence with the best accuracy at coverage 0.7 on the router's own fitting split."""
    outputs, cloud = scorer.base(genes).splits["fit"], scorer.cloud_correct("fit")
    assert cloud is not None
    return max(
        available_confidences(outputs),
        key=lambda name: accuracy_curve(confidence_score(outputs, name), outputs.correct, cloud).at(
            0.7
        ),
    )


if __name__ == "__main__":
    main()
