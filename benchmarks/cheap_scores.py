"""Would cheaper scores lead to the same front? Shortcuts against the full score.

    python benchmarks/cheap_scores.py images [--trials 150] [--seeds 1] [--sampler guided]
    python benchmarks/cheap_scores.py calibration [--candidates 24]

`images`: every pair of a search is also scored on a third of the groups of each split, and counts
as stopped if an earlier pair that costs no more is better on these images at the given confidence
(paired difference by group). Prints Kendall's tau between both scores, how many pairs are stopped,
how many of them are on the front, what share of the hypervolume goes with them, and the bound on
the time saved. The search itself is that without the shortcut.

`calibration`: accuracy of bases with fewer calibration images against that with 1024.
docs/scoring.md has the results, and which shortcuts were therefore left out.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import kendalltau, norm
from setup_default import SharedScorer, add_common_flags, front_share, search_in_memory, settings_of

from hybrid_nas.data.dataset import Split
from hybrid_nas.hardware.cost import Costs
from hybrid_nas.routing.designs import design
from hybrid_nas.routing.metrics import clustered_mean
from hybrid_nas.routing.ranking import input_accuracy, send_weights
from hybrid_nas.routing.scoring import fit_pair_router
from hybrid_nas.search.candidate import Candidate
from hybrid_nas.search.front import pareto_front
from hybrid_nas.search.score import PairFigures
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.supernet.runner import SubnetRunner
from hybrid_nas.typing import FloatArray, IntArray

SHARE = 1 / 3
REFERENCE_IMAGES = 1024


@dataclass(frozen=True)
class Early:
    """A pair on a part of the images.

    Attributes:
        right: probability that each image of the part is answered rightly, (n,).
        latency_ms: mean, by the full score.
        seconds: that the router of the part took.
    """

    right: FloatArray
    latency_ms: float
    seconds: float


class PartScorer(SharedScorer):
    """Scores every pair fully, and on a part of the groups beside it."""

    def __init__(self, first: Any, settings: Any) -> None:
        super().__init__(first, settings)
        self.early: list[Early] = []
        self._rows = {split: self._part(split) for split in self.scored_splits}

    @property
    def groups(self) -> IntArray:
        """Of the part's images of the score split."""
        return self.data.split("score").groups[self._rows["score"]]

    def _part(self, split: Split) -> IntArray:
        groups = self.data.split(split).groups
        different = np.unique(groups)
        rng = np.random.default_rng((7, self.scored_splits.index(split)))
        chosen = rng.permutation(different)[: round(SHARE * len(different))]
        return np.flatnonzero(np.isin(groups, chosen))

    def score(self, candidate: Candidate, costs: Costs) -> PairFigures:
        """The full figures; those of the part are appended to `early`."""
        figures, settings = super().score(candidate, costs), self.settings
        splits = self.base(candidate.genes).splits
        fit, score = (splits[name].take(self._rows[name]) for name in ("fit", "score"))
        known = {name: self.cloud_correct(name) for name in ("fit", "score")}
        cloud = {name: c[self._rows[name]] for name, c in known.items() if c is not None}
        answers = self.cloud_answers("fit")
        assert answers is not None
        begun = time.process_time()
        router = fit_pair_router(
            design(candidate.router),
            fit,
            cloud["fit"],
            None,
            settings.coverages,
            cloud=answers.take(self._rows["fit"]),
            seed=settings.seed,
        )
        send = router.send_score(score)
        floor = float((send <= 0).mean()) if router.break_even else 0.0
        weights = send_weights(send, max(settings.target_coverage, floor))
        right = input_accuracy(weights, score.correct, cloud["score"])
        taken = time.process_time() - begun
        latency = figures.at[settings.target_coverage].mean_latency_ms
        self.early.append(Early(right, latency, taken))
        return figures


def stopped(early: list[Early], groups: IntArray, confidence: float) -> list[int]:
    """Pairs that an earlier one, no dearer, beats on the part at the given confidence."""
    z, found = float(norm.ppf(confidence)), []
    for k, late in enumerate(early):
        for one in early[:k]:
            if one.latency_ms <= late.latency_ms:
                gain = clustered_mean(one.right - late.right, groups)
                if gain.value > z * gain.stderr:
                    found.append(k)
                    break
    return found


def images(arguments: argparse.Namespace) -> None:
    """A third of the images first."""
    first = SearchSetup(settings_of(arguments)).scorer
    for seed in range(arguments.seeds):
        settings = settings_of(
            arguments, sampler=arguments.sampler, seed=seed, trials=arguments.trials
        )
        setup = SearchSetup(settings)
        scorer = PartScorer(first, settings)
        pairs = search_in_memory(setup, scorer)
        full = np.array([p.figures.at[settings.target_coverage].accuracy for p in pairs])
        part = np.array([early.right.mean() for early in scorer.early])
        tau = kendalltau(part, full).statistic
        print(f"{arguments.sampler} seed {seed}: {len(pairs)} pairs, tau {tau:.2f}", flush=True)
        front = {pair.number for pair in pareto_front(pairs, settings)}
        total = sum(sum(pair.figures.seconds.values()) for pair in pairs)
        network = np.array([pair.figures.seconds["network"] for pair in pairs])
        for confidence in (0.95, 0.99, 0.999):
            out = set(stopped(scorer.early, scorer.groups, confidence))
            kept = [pair for k, pair in enumerate(pairs) if k not in out]
            lost = front_share(setup, pairs) - front_share(setup, kept)
            gone = sum(pairs[k].number in front for k in out)
            saved = (1 - SHARE) * float(network[list(out)].sum())
            saved -= sum(e.seconds for k, e in enumerate(scorer.early) if k not in out)
            print(
                f"  at {100 * confidence:g} %: {len(out)} stopped, {gone} of {len(front)} front "
                f"members, hypervolume lost {lost:.5f}, at most {100 * saved / total:.1f} % of the "
                "scoring time saved",
                flush=True,
            )


def calibration(arguments: argparse.Namespace) -> None:
    """Fewer images for batch-norm statistics."""
    setup = SearchSetup(settings_of(arguments))
    rng = np.random.default_rng(0)
    rows = setup.space.sample(10 * arguments.candidates, rng)
    rows = rows[setup.limits.fits(setup.problem.costs.evaluate(rows))][: arguments.candidates]
    score = setup.data.split("score")
    accuracy = {}
    for count in (64, 128, 256, REFERENCE_IMAGES):
        runner = SubnetRunner(
            setup.opened.supernet,
            setup.data.training_images(count, 0).images,
            lambda _: score.images,
            threads=arguments.threads,
        )
        found = [runner.run(tuple(row.tolist()), ("score",))[0]["score"].logits for row in rows]
        accuracy[count] = np.array([(f.argmax(1) == score.labels).mean() for f in found])
    reference = accuracy.pop(REFERENCE_IMAGES)
    for count, found in accuracy.items():
        change = 100 * (found - reference)
        print(
            f"{count} images: tau {kendalltau(found, reference).statistic:.2f}, accuracy "
            f"{change.mean():+.2f} points (sd {change.std(ddof=1):.2f}) against {REFERENCE_IMAGES}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("images", "calibration"))
    parser.add_argument("--trials", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--sampler", default="guided")
    parser.add_argument("--candidates", type=int, default=24)
    add_common_flags(parser)
    arguments = parser.parse_args()
    {"images": images, "calibration": calibration}[arguments.what](arguments)


if __name__ == "__main__":
    main()
