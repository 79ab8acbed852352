"""The paper's comparison: a finally trained pair against confidences of the base as it was.

    python benchmarks/trained_hybrid.py [--data FILE] [--supernet FILE] [--cloud FILE]
        [--seeds 5] [--steps 1500] [--router linear-features] [--arms pair paper alone]

The base is the weakest of 40 random subnets and the space's extremes, by accuracy on the ``fit``
split. Each seed deals the evaluation images into splits anew and trains three arms for as many
steps: the pair as `hybrid-nas train` does it, the pair with the paper's weights 2 - r from the
first step on, and the base alone, all images equal. They are judged on the images that decide
nothing in training (``score`` and ``test``), in int8, at equal coverage: hybrid, entropy, and the
best of three confidences, named in hindsight. Prints accuracies, and differences as mean (standard
deviation over seeds) with the range of the seeds' paired 95 % intervals (bootstrap over source
groups).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import torch
from final_pair import pair_trainer
from setup_default import add_common_flags, settings_of

from hybrid_nas.data.dataset import Split
from hybrid_nas.routing.bootstrap import Interval, bootstrap_means
from hybrid_nas.routing.confidence import confidence_score
from hybrid_nas.routing.designs import DEFAULT_DESIGN
from hybrid_nas.routing.ranking import input_accuracy, send_weights
from hybrid_nas.search.candidate import Candidate
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.spaces.space import Genes
from hybrid_nas.training.recipe import FinalRecipe
from hybrid_nas.training.trainer import PairTrainer
from hybrid_nas.typing import FloatArray, IntArray

COVERAGES = (0.9, 0.7)
CONFIDENCES = ("entropy", "msp", "margin")
JUDGED: tuple[Split, ...] = ("score", "test")
CANDIDATES = 40
ARMS = {"pair": FinalRecipe().weighted_from, "paper": 0.0, "alone": 1.0}
"""`FinalRecipe.weighted_from` of each."""

Rights = dict[tuple[str, str, float], FloatArray]
"""Accuracy on each input, by arm, method and coverage."""


@dataclass(frozen=True)
class Study:
    """What all seeds share."""

    given: argparse.Namespace
    genes: Genes

    def setup(self, seed: int) -> SearchSetup:
        """Splits dealt out by a seed."""
        return SearchSetup(settings_of(self.given, seed=seed))

    def trainer(self, weighted_from: float, setup: SearchSetup, seed: int) -> PairTrainer:
        """Of the base as the supernet has it, rounded to int8."""
        candidate = Candidate(self.genes, self.given.router)
        recipe = FinalRecipe(steps=self.given.steps, seed=seed, weighted_from=weighted_from)
        return pair_trainer(setup, candidate, COVERAGES, COVERAGES[-1], recipe)


def weakest(setup: SearchSetup) -> Genes:
    """By accuracy on the ``fit`` split."""
    rows = np.unique(setup.space.sample(CANDIDATES, np.random.default_rng(0)), axis=0)
    rows = np.concatenate([rows, setup.space.extremes()])

    def accuracy(genes: Genes) -> float:
        return float(setup.scorer.run_base(genes, ("fit",))["fit"].correct.mean())

    return min((tuple(row) for row in rows.tolist()), key=accuracy)


def judge(arm: str, trainer: PairTrainer) -> tuple[Rights, IntArray | None]:
    """Accuracy on each of the judged images, and their groups."""
    router, cloud = trainer.fit_router(), trainer.cloud
    assert cloud is not None
    parts: dict[tuple[str, str, float], list[FloatArray]] = {}
    groups = []
    for split in JUDGED:
        outputs = trainer.base.outputs(trainer.data.split(split), f"the base on split {split}")
        correct = cloud.answers(split).correct
        scores = {name: confidence_score(outputs, name) for name in CONFIDENCES}
        scores["hybrid"] = router.send_score(outputs)
        for name, score in scores.items():
            for coverage in COVERAGES:
                right = input_accuracy(send_weights(score, coverage), outputs.correct, correct)
                parts.setdefault((arm, name, coverage), []).append(right)
        parts.setdefault((arm, "base", 1.0), []).append(outputs.correct.astype(np.float64))
        groups.append(np.arange(outputs.n) if outputs.groups is None else outputs.groups)
    rights = {key: np.concatenate(arrays) for key, arrays in parts.items()}
    for coverage in COVERAGES:
        best = max(CONFIDENCES, key=lambda name: rights[arm, name, coverage].mean())
        rights[arm, "best confidence", coverage] = rights[arm, best, coverage]
    return rights, np.concatenate(groups)


def study_seed(study: Study, seed: int) -> tuple[Rights, IntArray | None]:
    """Before, and after each training."""
    setup = study.setup(seed)
    rights: Rights = {}
    groups = None
    for arm in study.given.arms:
        trainer = study.trainer(ARMS[arm], setup, seed)
        if not rights:
            rights, groups = judge("before", trainer)
        trainer.run()
        rights |= judge(arm, trainer)[0]
    return rights, groups


COMPARISONS = (
    (("pair", "hybrid"), ("before", "entropy")),
    (("pair", "hybrid"), ("before", "best confidence")),
    (("before", "hybrid"), ("before", "entropy")),
    (("pair", "hybrid"), ("pair", "entropy")),
    (("pair", "hybrid"), ("pair", "best confidence")),
    (("pair", "hybrid"), ("alone", "entropy")),
    (("pair", "hybrid"), ("alone", "best confidence")),
    (("pair", "hybrid"), ("alone", "hybrid")),
    (("pair", "hybrid"), ("paper", "hybrid")),
)


def report(found: list[tuple[Rights, IntArray | None]]) -> None:
    """Means over seeds."""
    for key in sorted(found[0][0]):
        values = [100 * rights[key].mean() for rights, _ in found]
        arm, name, coverage = key
        print(f"{arm:7s} {name:16s} {coverage:g}: {np.mean(values):.2f} ({_sd(values):.2f})")
    done = {arm for arm, _, _ in found[0][0]}
    for ours, rival in COMPARISONS:
        if not {ours[0], rival[0]} <= done:
            continue
        for coverage in COVERAGES:
            intervals: list[Interval] = []
            for seed, (rights, groups) in enumerate(found):
                gain = rights[(*ours, coverage)] - rights[(*rival, coverage)]
                intervals += bootstrap_means(gain[:, None], groups=groups, seed=seed)
            values = [100 * one.value for one in intervals]
            low, high = min(one.low for one in intervals), max(one.high for one in intervals)
            print(
                f"{' '.join(ours)} against {' '.join(rival)} at {coverage:g}: "
                f"{np.mean(values):+.2f} ({_sd(values):.2f}) [{100 * low:+.2f}, {100 * high:+.2f}]",
                flush=True,
            )


def _sd(values: list[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def main() -> None:
    """Parse, train seed by seed, report after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=FinalRecipe().steps)
    parser.add_argument("--router", default=DEFAULT_DESIGN)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    add_common_flags(parser)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    first = SearchSetup(settings_of(given))
    study = Study(given, weakest(first))
    macs = first.space.architecture(study.genes).macs / 1e6
    print(f"weakest base: {macs:.2f} M MACs, {given.router}, {given.steps} steps", flush=True)
    found = []
    for seed in range(given.seeds):
        found.append(study_seed(study, seed))
        print(f"-- {seed + 1} seeds, {len(found[-1][0]['before', 'base', 1.0])} images each")
        report(found)


if __name__ == "__main__":
    main()
