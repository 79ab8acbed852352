"""Routers with a supernet's features against entropy and the best confidence, on any data.

    python benchmarks/supernet_routers.py [--data FILE] [--supernet FILE] [--cloud FILE]
        [--bases 4] [--seeds 5] [--router linear-features]

Bases are subnets from the weakest to the strongest, by accuracy among 40 random ones. All images
that trained neither base nor cloud are judged: for each seed five folds of source groups are drawn
anew, the router is fitted and chosen on four of them and judged on the fifth, where each method
sends equally many inputs. Prints accuracies, differences with the range of the paired 95 %
intervals (bootstrap over groups), and the share of the way from entropy and from the best
confidence, named in hindsight, to the signed oracle.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import numpy as np
from setup_default import add_common_flags, settings_of

from hybrid_nas.data.dataset import Split
from hybrid_nas.routing import ModelOutputs
from hybrid_nas.routing.bootstrap import Interval, bootstrap_means
from hybrid_nas.routing.designs import DEFAULT_DESIGN, design
from hybrid_nas.routing.evidence import gather_evidence
from hybrid_nas.routing.ranking import input_accuracy, oracle_accuracy
from hybrid_nas.routing.unseen import SELECTED, decide_unseen
from hybrid_nas.search.setup import SearchSetup

COVERAGES = (0.9, 0.7, 0.5)
CONFIDENCES = ("msp", "entropy", "margin")
POOL: tuple[Split, ...] = ("fit", "threshold", "score", "test")
FOLDS = 5
CANDIDATES = 40


def pooled(parts: Mapping[Split, ModelOutputs]) -> ModelOutputs:
    """Outputs on all evaluation splits, one after the other."""

    def column(name: str) -> np.ndarray | None:
        values = [getattr(parts[split], name) for split in POOL]
        return None if any(one is None for one in values) else np.concatenate(values)

    names = ("labels", "logits", "features", "groups", "probabilities", "predicted")
    return ModelOutputs(**{name: column(name) for name in names}, source="the pool")


def main() -> None:
    """Parse, choose bases, judge them one by one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bases", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--router", default=DEFAULT_DESIGN)
    add_common_flags(parser)
    given = parser.parse_args()
    setup = SearchSetup(settings_of(given))
    cloud = pooled({split: setup.scorer.cloud_answers(split) for split in POOL})
    rows = np.unique(setup.space.sample(CANDIDATES, np.random.default_rng(0)), axis=0)
    rows = np.concatenate([rows, setup.space.extremes()])
    found = []
    for row in rows.tolist():
        outputs = pooled(setup.scorer.run_base(tuple(row), POOL))
        found.append((float(outputs.correct.mean()), tuple(row), outputs))
    found.sort(key=lambda one: one[0])
    at = np.linspace(0, len(found) - 1, given.bases).round().astype(int)
    print(f"{cloud.n} images, cloud alone {100 * cloud.correct.mean():.2f} %, {given.router}")
    for k in at:
        accuracy, genes, outputs = found[k]
        macs = setup.space.architecture(genes).macs / 1e6
        print(f"base of {macs:.2f} M MACs, alone {100 * accuracy:.2f} %", flush=True)
        judge(outputs, cloud, given.router, given.seeds)


def judge(base: ModelOutputs, cloud: ModelOutputs, router: str, seeds: int) -> None:
    """Print what the default choice of router gains on one base."""
    shape = design(router)
    accuracy: dict[tuple[str, float], list[float]] = {}
    gains: dict[tuple[str, float], list[Interval]] = {}
    for seed in range(seeds):
        evidence = gather_evidence(base, shape, base.correct, cloud.correct, cloud=cloud)
        decisions = decide_unseen(
            evidence, COVERAGES, hidden=shape.hidden, folds=FOLDS, repeats=1, seed=seed
        )
        for index, coverage in enumerate(COVERAGES):
            right = {
                name: input_accuracy(decisions.matched[name][index], base.correct, cloud.correct)
                for name in (SELECTED, *CONFIDENCES)
            }
            right["best"] = max((right[name] for name in CONFIDENCES), key=lambda one: one.mean())
            for name, values in right.items():
                accuracy.setdefault((name, coverage), []).append(float(values.mean()))
            rivals = np.stack([right[SELECTED] - right[name] for name in ("entropy", "best")], 1)
            for name, values in zip(("entropy", "best"), rivals.T, strict=True):
                (one,) = bootstrap_means(values[:, None], groups=base.groups, seed=seed)
                gains.setdefault((name, coverage), []).append(one)
    for coverage in COVERAGES:
        hybrid = np.mean(accuracy[SELECTED, coverage])
        oracle = oracle_accuracy(base.correct, cloud.correct, coverage)
        line = f"  at {coverage:g}: {100 * hybrid:.2f} %"
        for name in ("entropy", "best"):
            rival = np.mean(accuracy[name, coverage])
            found = [one.value for one in gains[name, coverage]]
            spread = np.std(found, ddof=1) if len(found) > 1 else 0.0
            low = min(one.low for one in gains[name, coverage])
            high = max(one.high for one in gains[name, coverage])
            share = (hybrid - rival) / (oracle - rival) if oracle > rival else 0.0
            line += (
                f"; {name} {100 * np.mean(found):+.2f} (sd {100 * spread:.2f}) "
                f"[{100 * low:+.2f}, {100 * high:+.2f}], {share:.0%} of the way"
            )
        print(f"{line}; signed oracle {100 * oracle:.2f} %", flush=True)


if __name__ == "__main__":
    main()
