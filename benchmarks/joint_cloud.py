"""Is choosing the cloud with the base better than the largest cloud for every base?

    python benchmarks/joint_cloud.py [--trials 60] [--seeds 3]

Both searches have the same supernet, number of evaluations and objectives: accuracy and mean MACs
(base + q * cloud) at the target coverage. *Joint*: ``--search-cloud``. *Largest*: ``--cloud`` with
the supernet's largest network. Both fronts are judged once on the test split with their own
thresholds: the share of the joint search's box that they dominate, and, at budgets of mean MACs,
the accuracy of the pair that the score split likes best among those within the budget there.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from setup_default import add_common_flags, search_in_memory, settings_of

from hybrid_nas.search.complete import complete
from hybrid_nas.search.front import FrontPair, judge, pareto_front
from hybrid_nas.search.progress import Box
from hybrid_nas.search.settings import OWN_SUPERNET, SearchSettings
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.supernet.network_file import save_network

BUDGETS_M = (2.0, 3.0, 5.0, 8.0, 12.0)
OBJECTIVES = ("accuracy", "mean-macs")


def front_of(setup: SearchSetup) -> list[FrontPair]:
    """The front of a search, looked at on the test split."""
    scored = search_in_memory(setup, setup.scorer)
    return [judge(pair, setup.scorer) for pair in pareto_front(scored, setup.settings)]


def largest_network(settings: SearchSettings, path: Path) -> None:
    """Write the supernet's largest network, calibrated as the search calibrates its clouds."""
    setup = SearchSetup(settings)
    genes = tuple(setup.space.extremes()[1].tolist())
    save_network(path, setup.runner.network(genes), setup.opened.info, genes)


def dominated(front: list[FrontPair], box: Box, target: float) -> float:
    """Share of the box on the test split."""
    at = [pair.test[target] for pair in front]
    return box.share(np.array([[-one.accuracy, one.mean_macs] for one in at], float))


def at_budgets(front: list[FrontPair], target: float) -> list[float]:
    """Test accuracy of the choice within each budget; NaN where no pair is."""
    found = []
    for budget in BUDGETS_M:
        inside = [
            (pair.scored.figures.at[target].accuracy, pair.test[target].accuracy)
            for pair in front
            if (pair.scored.figures.at[target].mean_macs or 0) <= budget * 1e6
        ]
        found.append(max(inside)[1] if inside else float("nan"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    add_common_flags(parser)
    arguments = parser.parse_args()
    arguments.cloud = None  # neither search has the bundled one
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.seeds):
            common = {"trials": arguments.trials, "seed": seed, "objectives": OBJECTIVES}
            path = Path(folder) / f"largest-{seed}.pt"
            joint = complete(settings_of(arguments, search_cloud=OWN_SUPERNET, **common))
            largest_network(joint, path)
            fixed = complete(settings_of(arguments, **{**common, "cloud": str(path)}))
            setup, target = SearchSetup(joint), joint.target_coverage
            box = Box.of(setup.problem, joint)
            ways = {"joint": front_of(setup), "largest": front_of(SearchSetup(fixed))}
            rows.append(
                [[dominated(f, box, target), *at_budgets(f, target)] for f in ways.values()]
            )
            for (name, front), row in zip(ways.items(), rows[-1], strict=True):
                figures = ", ".join(
                    f"{budget:g} M {100 * accuracy:.1f} %"
                    for budget, accuracy in zip(BUDGETS_M, row[1:], strict=True)
                )
                share = f"{row[0]:.4f}"
                print(
                    f"seed {seed} {name}: {len(front)} pairs, share {share}; {figures}", flush=True
                )
    table = np.array(rows)
    difference = table[:, 0] - table[:, 1]
    names = ["share of the box", *(f"accuracy at {budget:g} M" for budget in BUDGETS_M)]
    for k, name in enumerate(names):
        each = ", ".join(f"{value:+.4f}" for value in difference[:, k])
        print(
            f"{name}: {table[:, 0, k].mean():.4f} joint, {table[:, 1, k].mean():.4f} largest; "
            f"difference by seed {each}"
        )


if __name__ == "__main__":
    main()
