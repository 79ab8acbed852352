"""Early routers against those that wait for the base, at equal mean latency, on the test split.

    python benchmarks/early_routers.py [--bases 10] [--query-ms 2000 200 50]

Each base gets every design. The reference is the default design at each target coverage; the other
designs send as many test inputs as fit into the mean latency that the reference has there.
"""

from __future__ import annotations

import argparse

import numpy as np
from setup_default import add_common_flags, settings_of

from hybrid_nas.routing.designs import DEFAULT_DESIGN, EARLY_DESIGNS
from hybrid_nas.routing.query import affordable_query_rate
from hybrid_nas.routing.ranking import Curve, pair_curve
from hybrid_nas.search.candidate import Candidate, CandidateSpace
from hybrid_nas.search.problem import Problem
from hybrid_nas.search.setup import SearchSetup

COVERAGES = (0.9, 0.7, 0.5)
DESIGNS = (DEFAULT_DESIGN, "confidence", *EARLY_DESIGNS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bases", type=int, default=10)
    parser.add_argument("--query-ms", type=float, nargs="+", default=[2000.0, 200.0, 50.0])
    add_common_flags(parser)
    arguments = parser.parse_args()
    setup = SearchSetup(settings_of(arguments, routers=DESIGNS))
    rows = setup.space.sample(400, np.random.default_rng(0))
    costs = setup.problem.costs.evaluate(rows)
    fits = setup.limits.fits(costs)
    rows, macs = rows[fits], costs.macs[fits]
    order = np.argsort(macs)
    places = (np.linspace(0.05, 0.95, arguments.bases) * len(order)).astype(int)
    found = [one_base(rows[order[place]], setup, arguments.query_ms) for place in places]
    print(f"mean over {len(found)} bases: points above {DEFAULT_DESIGN} at 0.9 / 0.7 / 0.5")
    for key in found[0]:
        values = 100 * np.array([one[key] for one in found])
        spread = values.std(0, ddof=1) if len(found) > 1 else np.zeros(len(COVERAGES))
        print(
            f"query {key[0]:>6g} ms  {key[1]:<16} "
            + " / ".join(f"{m:+.2f} ({s:.2f})" for m, s in zip(values.mean(0), spread, strict=True))
        )


def one_base(
    row: np.ndarray, setup: SearchSetup, queries: list[float]
) -> dict[tuple[float, str], list[float]]:
    """Differences in accuracy at each of `COVERAGES`, by time of a query and design."""
    problem = Problem(
        CandidateSpace(setup.space, DESIGNS), setup.problem.costs, setup.limits,
        setup.problem.classes,
    )  # fmt: skip
    pairs = np.stack([np.append(row, number) for number in range(len(DESIGNS))])
    costs, genes = problem.evaluate(pairs), tuple(row.tolist())
    scorer = setup.scorer
    outputs, cloud = scorer.run_base(genes, ("test",))["test"], scorer.cloud_correct("test")
    curves: list[Curve] = [
        pair_curve(
            scorer.fit_router(Candidate(genes, name)).send_score(outputs), outputs.correct, cloud
        )
        for name in DESIGNS
    ]
    shares = costs.saved_ms / costs.latency_ms
    print(
        f"base {100 * outputs.correct.mean():.1f} %, {costs.latency_ms[0]:.1f} ms; saved "
        + ", ".join(f"{n} {100 * s:.0f} %" for n, s in zip(DESIGNS, shares, strict=True) if s > 0)
        + "; at 0.7: "
        + ", ".join(f"{100 * curve.at(0.7):.1f}" for curve in curves),
        flush=True,
    )
    found = {}
    for query in queries:
        for k, name in enumerate(DESIGNS[1:], 1):
            differences = []
            for coverage in COVERAGES:
                budget = costs.latency_ms[0] + (1 - coverage) * query
                rate = affordable_query_rate(budget, costs.latency_ms[k], query - costs.saved_ms[k])
                differences.append(curves[k].at(1 - rate) - curves[0].at(coverage))
            found[query, name] = differences
    return found


if __name__ == "__main__":
    main()
