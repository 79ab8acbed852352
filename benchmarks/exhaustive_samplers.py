"""Every sampler by its regret on the exhaustive table: no network is run.

    python benchmarks/exhaustive_samplers.py [--seeds 20] [--problems default tight] [--out FILE]

Share of the true hypervolume after so many evaluations, and evaluations until 99 % of it. The
samplers of the program choose among the table's free genes and routers with the limits of the
problem. Two rivals do not know of limits and equal networks beforehand: Optuna's own NSGA-II (with
constraints) and pymoo's NSGA-II with the operators that DyNAS-T gives it. What they propose twice
or beyond a limit is answered and not counted as an evaluation, since it costs no network.

With --out, every run is a line of JSON, and runs that are there are not repeated. Seconds are
processor time of one proposal, with all bookkeeping of the study and without any scoring.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import optuna
from dynast_nsga2 import dynast_nsga2
from exhaustive_space import search_settings
from exhaustive_table import PROBLEMS, TABLE, Table, TableProblem, Truth, evaluations_to
from exhaustive_table import table_problem as problem_of
from json_lines import add_lines, read_lines
from optuna.samplers import NSGAIISampler

from hybrid_nas.search.guided import make_sampler
from hybrid_nas.search.sampler import CANDIDATE, SAMPLER_NAMES
from hybrid_nas.typing import FloatArray, IntArray

BUDGETS = (25, 50, 100, 150, 200, 300, 500, 1000, 2000)
GOAL = 0.99
RIVALS = ("optuna-nsga2", "pymoo")
_IDLE = 50  # generations that bring nothing new, after which a population is taken for stuck


@dataclass(frozen=True, eq=False)
class Task:
    """One problem on the table: what samplers may know, and what scores they are told."""

    problem: TableProblem
    truth: Truth

    def number(self, row: Sequence[int]) -> int:
        """Number of the pair that a row stands for."""
        candidates = self.problem.candidates
        whole = candidates.canonical(np.array([row], dtype=np.int64))
        assert self.problem.table is not None
        return int(self.problem.table.pairs(whole)[0])

    def losses(self, pair: int) -> tuple[float, float]:
        """Minus accuracy, and mean latency in ms."""
        found = self.truth.losses[pair]
        return float(found[0]), float(found[1])


@dataclass(frozen=True)
class Run:
    """Numbers of the pairs in the order of their evaluation, and what proposing one took."""

    order: list[int]
    seconds: float


def run_ours(task: Task, name: str, seed: int, evaluations: int, enough: float) -> Run:
    """A sampler of the program, as the search uses it."""
    settings = search_settings(sampler=name, seed=seed)
    study = optuna.create_study(
        directions=["maximize", "minimize"], sampler=make_sampler(task.problem, settings)
    )
    sizes, order = task.problem.candidates.sizes, Order(task, enough)
    begun = time.process_time()
    while len(order.pairs) < evaluations and not order.enough:
        trial = study.ask()
        row = [trial.suggest_int(column, 0, size - 1) for column, size in sizes.items()]
        canonical = task.problem.candidates.canonical(np.array([row]))[0]
        trial.set_user_attr(CANDIDATE, canonical.tolist())
        pair = task.number(row)
        assert task.truth.fits[pair] and pair not in order.seen
        order.add(pair)
        accuracy, mean_ms = task.losses(pair)
        study.tell(trial, (-accuracy, mean_ms))
    return Run(order.pairs, (time.process_time() - begun) / len(order.pairs))


def run_optuna(task: Task, seed: int, evaluations: int, enough: float) -> Run:
    """Optuna's NSGA-II as it comes: population 50, limits as constraints."""
    sampler = NSGAIISampler(seed=seed)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    sizes, order = task.problem.candidates.sizes, Order(task, enough)
    begun, idle = time.process_time(), 0
    while len(order.pairs) < evaluations and not order.enough and idle < 50 * _IDLE:
        trial = study.ask()
        row = [trial.suggest_int(column, 0, size - 1) for column, size in sizes.items()]
        pair = task.number(row)
        excess = float(excesses(task, np.array([row]))[0])
        trial.set_constraint("limits", excess)
        idle = idle + 1 if excess > 0 or pair in order.seen else 0
        if excess <= 0:
            order.add(pair)
        study.tell(trial, task.losses(pair) if excess <= 0 else (1.0, 1e6))
    return Run(order.pairs, (time.process_time() - begun) / max(1, len(order.pairs)))


def run_pymoo(task: Task, seed: int, evaluations: int, enough: float) -> Run:
    """`dynast_nsga2` on the task."""
    from pymoo.core.problem import Problem as PymooProblem

    algorithm = dynast_nsga2()
    last = np.array(list(task.problem.candidates.sizes.values())) - 1
    problem = PymooProblem(
        n_var=len(last), n_obj=2, n_ieq_constr=1, xl=np.zeros(len(last)), xu=last, vtype=int
    )
    algorithm.setup(problem, termination=("n_gen", 10**6), seed=seed, verbose=False)
    order, idle, begun = Order(task, enough), 0, time.process_time()
    while len(order.pairs) < evaluations and not order.enough and idle < _IDLE:
        children = algorithm.ask()
        if children is None or not len(children):
            break
        rows = children.get("X").astype(np.int64)
        excess = excesses(task, rows)
        pairs = [task.number(row) for row in rows.tolist()]
        before = len(order.pairs)
        for pair, beyond in zip(pairs, excess.tolist(), strict=True):
            if beyond <= 0:
                order.add(pair)
        idle = idle + 1 if len(order.pairs) == before else 0
        children.set("G", excess[:, None])
        children.set("F", np.where(excess[:, None] <= 0, task.truth.losses[pairs], [1.0, 1e6]))
        children.apply(lambda child: child.evaluated.update({"F", "G"}))
        algorithm.tell(infills=children)
    taken = order.pairs[:evaluations]
    return Run(taken, (time.process_time() - begun) / max(1, len(taken)))


class Order:
    """Pairs in the order of their first evaluation; enough when they reach a share of the truth."""

    def __init__(self, task: Task, share: float) -> None:
        self.pairs: list[int] = []
        self.seen: set[int] = set()
        self._task, self._share, self._checked, self.enough = task, share, 0, False

    def add(self, pair: int) -> None:
        """Note a pair, unless it is known."""
        if pair in self.seen:
            return
        self.seen.add(pair)
        self.pairs.append(pair)
        if len(self.pairs) >= self._checked + 25 and self._share < 1:
            self._checked = len(self.pairs)
            self.enough = bool(self._task.truth.curve(self.pairs)[-1] >= self._share)


def excesses(task: Task, rows: IntArray) -> FloatArray:
    """How far rows are beyond the limits, as a share of them; 0 or less where they fit, (n,)."""
    usage = task.problem.limits.usage(task.problem.evaluate(rows))
    return np.asarray(usage.max(axis=1) - 1)


def run(task: Task, name: str, seed: int, evaluations: int, enough: float) -> Run:
    runs: dict[str, Callable[[], Run]] = {
        "optuna-nsga2": lambda: run_optuna(task, seed, evaluations, enough),
        "pymoo": lambda: run_pymoo(task, seed, evaluations, enough),
    }
    return runs.get(name, lambda: run_ours(task, name, seed, evaluations, enough))()


def record(task: Task, problem: str, name: str, seed: int, found: Run) -> dict[str, object]:
    """What is kept of a run."""
    curve = task.truth.curve(found.order)
    needed = evaluations_to(curve, GOAL)
    return {
        "problem": problem,
        "sampler": name,
        "seed": seed,
        "evaluations": len(found.order),
        "shares": {str(n): round(float(curve[n - 1]), 6) for n in BUDGETS if n <= len(curve)},
        "to_99": None if np.isinf(needed) else int(needed),
        "seconds": round(found.seconds, 5),
    }


def summary(records: Sequence[dict[str, object]], size: int) -> Iterator[str]:
    """A line per sampler: medians over seeds."""
    for name in dict.fromkeys(str(r["sampler"]) for r in records):
        mine = [r for r in records if r["sampler"] == name]
        cells = []
        for n in BUDGETS:
            shares = [share_at(r, n) for r in mine]
            if None not in shares:
                cells.append(f"{n}: {np.median(shares):.4f}")  # type: ignore[arg-type]
        needed = [np.inf if r["to_99"] is None else float(str(r["to_99"])) for r in mine]
        middle, worst = float(np.median(needed)), max(needed)
        share = f" ({100 * middle / size:.2f} % of the space)" if np.isfinite(middle) else ""
        seconds = np.mean([float(str(r["seconds"])) for r in mine])
        most = max(int(str(r["evaluations"])) for r in mine)
        yield (
            f"{name:13}{len(mine):3} seeds  {'  '.join(cells)}  "
            f"99 % after {_count(middle, most)}{share}, "
            f"worst seed {_count(worst, most)}; {1000 * seconds:.0f} ms a trial"
        )


def share_at(found: dict[str, object], evaluations: int) -> float | None:
    """Share after so many evaluations; of a run that stopped at its goal, at least what it had."""
    shares = found["shares"]
    assert isinstance(shares, dict)
    return shares.get(str(evaluations))


def _count(evaluations: float, most: int) -> str:
    return f"{evaluations:.0f}" if np.isfinite(evaluations) else f"more than {most}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [*SAMPLER_NAMES, *RIVALS]
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--evaluations", type=int, default=2000)
    parser.add_argument("--samplers", nargs="+", choices=names, default=names)
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--coverage", type=float, default=0.7)
    parser.add_argument("--until", type=float, default=1.0, help="stop a run at this share")
    parser.add_argument("--slow", nargs="*", default=["gp"], help="samplers of seconds a trial")
    parser.add_argument("--slow-seeds", type=int, default=5)
    parser.add_argument("--slow-evaluations", type=int, default=100)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--out", type=Path, help="JSON lines: one per run")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")  # of samplers that Optuna calls experimental
    table, known = Table.load(arguments.table), read_lines(arguments.out)
    for problem in arguments.problems:
        limits = PROBLEMS[problem]
        truth = Truth.of(table, limits, arguments.coverage)
        task = Task(problem_of(table, limits), truth)
        print(f"{problem}: {limits}; {truth.size} pairs, {len(truth.front)} on the true front")
        for name in arguments.samplers:
            slow = name in arguments.slow
            seeds = min(arguments.seeds, arguments.slow_seeds) if slow else arguments.seeds
            most = arguments.slow_evaluations if slow else arguments.evaluations
            found = [r for r in known if r["problem"] == problem and r["sampler"] == name]
            found = [r for r in found if int(str(r["seed"])) < seeds]
            for seed in sorted(set(range(seeds)) - {int(str(r["seed"])) for r in found}):
                done = run(task, name, seed, min(most, truth.size), arguments.until)
                found.append(record(task, problem, name, seed, done))
                add_lines(arguments.out, found[-1:])
            for line in summary(found, truth.size):
                print(line, flush=True)


if __name__ == "__main__":
    main()
