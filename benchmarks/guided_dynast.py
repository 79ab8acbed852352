"""The guided sampler against others on the DyNAS-T problem: hypervolume and seconds per proposal.

    python benchmarks/guided_dynast.py [--seeds 10] [--evaluations 500] [--samplers NAME ...]

The problem: OFA MobileNetV3 subnets, 45 genes, MACs and top-1, as a bagged MLP fitted to published
measurements gives them (``../shared/data/nas/surrogate``). Hypervolume in million MACs times
percent, reference 700 M MACs and 70 %. All samplers run in one process on one thread; seconds are
of the proposal alone (``ask`` and all ``suggest`` calls), by wall clock and by processor time.

``--objective params`` searches parameters and top-1 instead (reference 9 M, 70 %): what the guided
sampler was developed on, with seeds from 100.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import optuna
from dynast_nsga2 import dynast_nsga2
from dynast_ridge import RidgeSearch
from optuna.distributions import IntDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

from hybrid_nas.guided import INACTIVE, GuidedSampler, Parameters, Problem

GENES = 45
BUDGETS = (50, 100, 150, 250, 500)
SURROGATE = Path(__file__).resolve().parents[2] / "shared/data/nas/surrogate/surrogate.py"


@dataclass(frozen=True)
class Task:
    """Two objectives of the surrogate: a cost by its place in `evaluate`, and minus top-1."""

    surrogate: ModuleType
    cost: int
    reference: tuple[float, float]

    def losses(self, row: list[int]) -> tuple[float, float]:
        """Cost and minus top-1 in percent."""
        values = self.surrogate.evaluate(row)
        return values[self.cost], values[1]

    def costs(self, rows: np.ndarray) -> np.ndarray:
        """The exact objective of rows, (n, 1)."""
        weights, intercept = (
            self.surrogate._W[name] for name in (("mc", "mi") if self.cost == 0 else ("pc", "pi"))
        )
        return np.asarray(one_hot(rows) @ weights[:, None] + intercept)

    def problem(self) -> Problem:
        """What the guided sampler may know: genes, which of them have no effect, exact costs."""
        genes = Parameters(SPACE).genes
        return Problem(genes, (0, None), costs=self.costs, canonical=canonical)


SPACE = {f"g{k}": IntDistribution(0, 2) for k in range(GENES)}
TASKS = {"macs": (0, (700.0, -70.0)), "params": (2, (9.0, -70.0))}


def canonical(rows: np.ndarray) -> np.ndarray:
    """Kernel and expansion of layers beyond a stage's depth have no effect."""
    rows = rows.copy()
    for stage in range(5):
        for layer in range(2, 4):
            off = layer >= 2 + rows[:, 40 + stage]
            rows[off, 4 * stage + layer] = rows[off, 20 + 4 * stage + layer] = INACTIVE
    return rows


def one_hot(rows: np.ndarray) -> np.ndarray:
    """The surrogate's features, for many rows at once: MACs and parameters are linear in them."""
    features = np.zeros((len(rows), 195))
    every = np.arange(len(rows))
    for stage in range(5):
        features[every, 39 * stage + rows[:, 40 + stage]] = 1
        for layer in range(4):
            on = every[layer < 2 + rows[:, 40 + stage]]
            kernel, expansion = rows[on, 4 * stage + layer], rows[on, 20 + 4 * stage + layer]
            features[on, 39 * stage + 3 + 9 * layer + 3 * kernel + expansion] = 1
    return features


SAMPLERS: dict[str, Callable[[Task, int], BaseSampler]] = {
    "guided": lambda task, seed: GuidedSampler(SPACE, task.problem(), seed=seed),
    "random": lambda task, seed: RandomSampler(seed=seed),
    "nsga2": lambda task, seed: NSGAIISampler(seed=seed),
    "tpe": lambda task, seed: TPESampler(seed=seed),
    "gp": lambda task, seed: GPSampler(seed=seed, deterministic_objective=True),
}


@dataclass
class Clock:
    """Seconds that went by while it ran."""

    wall_s: float = 0.0
    cpu_s: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count what is done within."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall_s += time.perf_counter() - wall
        self.cpu_s += time.process_time() - cpu


@dataclass(frozen=True)
class Run:
    """Losses in the order of scoring, and what proposing took in all."""

    losses: list[tuple[float, float]]
    spent: Clock


def run_optuna(task: Task, sampler: BaseSampler, evaluations: int) -> Run:
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    losses, clock = [], Clock()
    for _ in range(evaluations):
        with clock.running():
            trial = study.ask()
            row = [trial.suggest_int(name, 0, 2) for name in SPACE]
        losses.append(task.losses(row))
        study.tell(trial, losses[-1])
    return Run(losses, clock)


def run_pymoo(task: Task, seed: int, evaluations: int) -> Run:
    """`dynast_nsga2` on the task."""
    from pymoo.core.problem import Problem as PymooProblem

    algorithm = dynast_nsga2()
    problem = PymooProblem(n_var=GENES, n_obj=2, xl=0, xu=2, vtype=int)
    algorithm.setup(problem, termination=("n_eval", evaluations), seed=seed, verbose=False)
    losses: list[tuple[float, float]] = []
    clock = Clock()
    while len(losses) < evaluations:
        with clock.running():
            children = algorithm.ask()
        found = [task.losses(row) for row in children.get("X").tolist()]
        losses += found
        children.set("F", np.array(found))
        children.apply(lambda child: child.evaluated.add("F"))
        algorithm.tell(infills=children)
    return Run(losses[:evaluations], clock)


def run_ridge(task: Task, seed: int, evaluations: int) -> Run:
    """`RidgeSearch` on the task."""
    search = RidgeSearch(GENES, one_hot, lambda rows: task.costs(rows)[:, 0], canonical, seed)
    losses: list[tuple[float, float]] = []
    clock = Clock()
    while len(losses) < evaluations:
        with clock.running():
            rows = search.ask()
        found = [task.losses(row) for row in rows]
        search.tell(rows, [loss for _, loss in found])
        losses += found
    return Run(losses[:evaluations], clock)


RIVALS = {"pymoo": run_pymoo, "ridge": run_ridge}
"""Searches that pymoo is needed for."""


def runs(task: Task, name: str, seeds: range, evaluations: int) -> Iterator[tuple[int, Run]]:
    for seed in seeds:
        if name in RIVALS:
            yield seed, RIVALS[name](task, seed, evaluations)
        else:
            yield seed, run_optuna(task, SAMPLERS[name](task, seed), evaluations)


def report(task: Task, name: str, seeds: range, evaluations: int) -> None:
    """Hypervolumes of every seed on stderr, their mean and spread on stdout."""
    budgets = [n for n in BUDGETS if n <= evaluations]
    volumes, seconds = [], []
    for seed, run in runs(task, name, seeds, evaluations):
        volumes.append(
            [task.surrogate.hypervolume(run.losses[:n], task.reference) for n in budgets]
        )
        seconds.append((run.spent.wall_s / evaluations, run.spent.cpu_s / evaluations))
        shown = " ".join(f"{volume:.2f}" for volume in volumes[-1])
        print(f"{name} seed {seed}: {shown}", file=sys.stderr, flush=True)
    spread = np.std(volumes, axis=0, ddof=1) if len(volumes) > 1 else np.full(len(budgets), np.nan)
    cells = [
        f"{n}: {mean:.2f} ({sd:.2f})"
        for n, mean, sd in zip(budgets, np.mean(volumes, axis=0), spread, strict=True)
    ]
    wall, cpu = np.mean(seconds, axis=0)
    print(
        f"{name:7} {len(volumes)} seeds  {'  '.join(cells)}  "
        f"proposal {wall:.3f} s (processor {cpu:.3f} s)",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [*SAMPLERS, *RIVALS]
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--evaluations", type=int, default=500)
    parser.add_argument("--samplers", nargs="+", choices=names, default=names)
    parser.add_argument("--gp-seeds", type=int, default=3, help="GPSampler takes seconds a trial")
    parser.add_argument("--gp-evaluations", type=int, default=100)
    parser.add_argument("--objective", choices=TASKS, default="macs")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore")  # of samplers that Optuna calls experimental
    spec = importlib.util.spec_from_file_location("surrogate", SURROGATE)
    if spec is None or spec.loader is None or not SURROGATE.exists():
        parser.error(f"the surrogate is not there: {SURROGATE}")
    surrogate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(surrogate)
    task = Task(surrogate, *TASKS[arguments.objective])
    print(f"(cost, top-1), hypervolume mean (sd) by evaluations; reference {task.reference}")
    for name in arguments.samplers:
        if name in RIVALS and importlib.util.find_spec("pymoo") is None:
            print(f"{name}: pymoo is not installed, left out")
            continue
        slow = name == "gp"
        seeds = min(arguments.seeds, arguments.gp_seeds) if slow else arguments.seeds
        evaluations = arguments.evaluations
        evaluations = min(evaluations, arguments.gp_evaluations) if slow else evaluations
        first = arguments.first_seed
        report(task, name, range(first, first + seeds), evaluations)


if __name__ == "__main__":
    main()
