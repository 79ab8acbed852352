"""Does final training improve the int8 pair? Before and after, on the test split, over seeds.

    python benchmarks/final_training.py RUN --pairs 14 25 [--seeds 5] [--steps 1500]

RUN is a finished search, and is left as it is. Each seed trains anew; the test split decides
nothing. Prints base and hybrid accuracy at each coverage before and after, mean over seeds
(standard deviation).
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch

from hybrid_nas.evaluation.subject import open_subject
from hybrid_nas.routing.scoring import evaluate_pair
from hybrid_nas.search.rundir import RunDirectory
from hybrid_nas.threads import wait_passively
from hybrid_nas.training.job import FinalJob, RunPair
from hybrid_nas.training.recipe import FinalRecipe

COVERAGES = (0.9, 0.7, 0.5)


def figures(pair: RunPair, *, untrained: bool) -> np.ndarray:
    """Accuracy of the base alone, then of the hybrid at each of `COVERAGES`."""
    subject = open_subject(pair, COVERAGES, untrained=untrained)
    found = evaluate_pair(subject.router, subject.outputs("test"), subject.cloud_correct("test"))
    return np.array([found.base.value, *(found.at[c].accuracy for c in COVERAGES)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--pairs", type=int, nargs="+", default=[1])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=FinalRecipe().steps)
    parser.add_argument("--train-cloud", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    wait_passively()
    torch.set_num_threads(arguments.threads)
    for number in arguments.pairs:
        before, after = [], []
        for seed in range(arguments.seeds):
            with tempfile.TemporaryDirectory() as folder:
                shutil.copytree(arguments.run, Path(folder) / "run")
                pair = RunPair(RunDirectory(Path(folder) / "run"), number)
                recipe = FinalRecipe(
                    steps=arguments.steps, seed=seed, train_cloud=arguments.train_cloud
                )
                if not before:
                    before = [figures(pair, untrained=True)]
                document = FinalJob(pair, recipe, 0.7).run(restart=True)
                assert document is not None
                after.append(figures(pair, untrained=False))
            kept = f"kept: {document['kept']}, round {document['kept_round']}"
            print(f"pair {number} seed {seed}: {_percent(after[-1])}  {kept}", flush=True)
        spread = np.std(after, 0, ddof=1) if len(after) > 1 else np.zeros(len(after[0]))
        print(f"pair {number}, base and hybrid at {COVERAGES}, test split, int8")
        print(f"  before {_percent(before[0])}")
        print(f"  after  {_percent(np.mean(after, 0))}  (sd over seeds {_percent(spread)})")
        gains = 100 * (np.array(after) - before[0])
        text = "  ".join(f"{gain:+.2f}" for gain in gains.mean(0))
        print(f"  gain   {text} points", flush=True)


def _percent(values: np.ndarray) -> str:
    return "  ".join(f"{100 * value:.2f}" for value in values)


if __name__ == "__main__":
    main()
