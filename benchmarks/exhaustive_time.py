"""How long a search that scores for real takes to 99 % of the exhaustive table's hypervolume.

    python benchmarks/exhaustive_time.py [--sampler guided] [--seeds 3] [--threads 2]

Networks of the table's space are run, recalibrated and routed as the default search does it, in one
process; the table only says when the front is good enough. Wall time of the search loop, and
beside it that of opening everything (supernet, cloud, images), which a search pays once.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Sequence

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the program does

import numpy as np
import optuna
from exhaustive_samplers import GOAL, Task, evaluations_to
from exhaustive_space import free_columns, narrowed, search_settings, widened
from exhaustive_table import PROBLEMS, Table, Truth, table_problem

from hybrid_nas.data.dataset import Split
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.search.guided import make_sampler
from hybrid_nas.search.sampler import CANDIDATE, SAMPLER_NAMES
from hybrid_nas.search.scorer import Scorer
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.spaces.space import Genes
from hybrid_nas.threads import wait_passively


class LeanScorer(Scorer):
    """Scores pairs whose base is given by the free genes alone."""

    def __init__(self, setup: SearchSetup) -> None:
        super().__init__(setup.runner, setup.data, setup.clouds, setup.settings)
        self._small, self._space = narrowed(setup.space), setup.space

    def run_base(self, genes: Genes, splits: Sequence[Split]) -> dict[Split, ModelOutputs]:
        """Outputs of the network that the free genes stand for."""
        row = np.zeros((1, len(self._space.genes)), dtype=np.int64)
        row[0, free_columns(self._small)] = np.maximum(genes, 0)
        wide = widened(self._small.canonical(row), self._small, self._space)[0]
        return super().run_base(tuple(wide.tolist()), splits)


def searched(
    task: Task, scorer: LeanScorer, sampler: str, seed: int, most: int
) -> tuple[list[int], float]:
    """Pairs in the order of their scoring until they are good enough, and seconds of wall time."""
    candidates, order = task.problem.candidates, []
    settings = search_settings(sampler=sampler, seed=seed)
    study = optuna.create_study(
        directions=["maximize", "minimize"], sampler=make_sampler(task.problem, settings)
    )
    begun = time.perf_counter()
    while len(order) < most and not (order and task.truth.curve(order)[-1] >= GOAL):
        trial = study.ask()
        row = [trial.suggest_int(name, 0, size - 1) for name, size in candidates.sizes.items()]
        pair = candidates.candidate(np.array(row))
        trial.set_user_attr(CANDIDATE, list(candidates.row(pair)))
        at = scorer.score(pair, task.problem.evaluate(np.array([row]))).at[0.7]
        study.tell(trial, (at.accuracy, at.mean_latency_ms))
        order.append(task.number(row))
    return order, time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sampler", choices=SAMPLER_NAMES, default="guided")
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=["default"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--evaluations", type=int, default=1000)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    wait_passively()
    table = Table.load()
    begun = time.perf_counter()
    setup = SearchSetup(search_settings(threads=arguments.threads))
    scorer = LeanScorer(setup)
    for split in scorer.scored_splits:
        scorer.cloud_correct(split)
    print(f"opened in {time.perf_counter() - begun:.0f} s, {arguments.threads} threads", flush=True)
    for name in arguments.problems:
        limits = PROBLEMS[name]
        task = Task(table_problem(table, limits), Truth.of(table, limits))
        for seed in range(arguments.seeds):
            scorer = LeanScorer(setup)  # which remembers no base
            order, seconds = searched(task, scorer, arguments.sampler, seed, arguments.evaluations)
            needed = evaluations_to(task.truth.curve(order), GOAL)
            bases = len({pair // len(table.routers) for pair in order})
            print(
                f"{name} {arguments.sampler} seed {seed}: {100 * GOAL:.0f} % after {needed:.0f} "
                f"evaluations of {bases} bases, {seconds:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
