"""How near predictions are for operators that were never measured, on an emulated board.

    python benchmarks/predictor_error.py [--board emulated-cortex-m7] [--ops 700] [--fit 120]
        [--sample 1] [--seeds 10-19] [--plan random|planned] [--rows FILE.yaml] [--json FILE]

Measures random operators of networks of the space, fits a table to some of them and predicts the
others. With `--plan random` the measured ones are drawn, anew with every seed; with `planned` they
are a plan of `latency build`. `--rows` keeps the measurements in a latency table and takes from it
what it has of the same kernels. Errors and coverage are of operators outside the fit, per class:
mean over all seeds, and the worst seed's. The method was made with sample 0 and seeds 0 to 9.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from hybrid_nas.hardware.latency_errors import Check, check
from hybrid_nas.hardware.latency_files import load_table, save_table
from hybrid_nas.hardware.latency_table import LatencyTable, Measurement
from hybrid_nas.hardware.op_arrays import OP_CLASSES
from hybrid_nas.profiling.backend import Timed
from hybrid_nas.profiling.emulator import open_emulator
from hybrid_nas.profiling.open import admits_of
from hybrid_nas.profiling.plan import plan_ops
from hybrid_nas.profiling.pool import board_limits, distinct, fitting_networks
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.spaces.opspec import OpSpec

Rows = dict[OpSpec, Measurement]


def random_ops(space: str, n: int, seed: int) -> list[OpSpec]:
    """Different operators of random networks that fit the default board."""
    made = load_space(space)
    rows, _ = fitting_networks(made, board_limits(""), seed)
    ops = distinct(op for row in rows for op in made.architecture(row.tolist()).ops)
    order = np.random.default_rng(seed).permutation(len(ops))
    return [ops[number] for number in order[:n]]


def measure(board: str, ops: Sequence[OpSpec], path: Path | None) -> LatencyTable:
    """The operators that the board can run, measured; those that the file has are taken from it.

    A file of another identity (other kernels, say) is measured anew.
    """
    with open_emulator(board) as backend:
        known: Rows = {}
        if path and path.exists():
            before = load_table(path)
            known = dict(before.rows) if before.identity == backend.identity else {}
        admits = admits_of(backend)
        timed = backend.measure([op for op in ops if op not in known and admits(op)])
        known |= {one.op.shape: one.measurement for one in timed if isinstance(one, Timed)}
        table = LatencyTable(backend.identity, backend.kind, backend.source, known, name="rows")
    if path:
        save_table(table, path)
    return table


def fit_and_check(table: LatencyTable, fitted: Sequence[OpSpec], others: Sequence[OpSpec]) -> Check:
    """A table of some rows against others."""
    part = replace(table, rows={op: table.rows[op] for op in fitted})
    return check(part, [(op, table.rows[op]) for op in others])


def summary(checks: list[Check]) -> dict[str, dict[str, float]]:
    """Per class, over seeds: errors, coverage of 90 % intervals, and the worst seed's mean."""
    found: dict[str, dict[str, float]] = {}
    for name in OP_CLASSES:
        ones = [asdict(one.by_class[name]) for one in checks if name in one.by_class]
        if ones:
            keys = ("n", "mean", "p95", "interval_90", "kendall_tau")
            means = {key: float(np.mean([one[key] or np.nan for one in ones])) for key in keys}
            worst = {
                "worst": max(one["worst"] for one in ones),
                "worst_seed_mean": max(one["mean"] for one in ones),
                "least_interval_90": min(one["interval_90"] for one in ones),
                "most_interval_90": max(one["interval_90"] for one in ones),
            }
            found[name] = {**means, **worst}
    return found


def seed_list(text: str) -> list[int]:
    """Seeds from ``10-19`` or ``1,2,3``."""
    if "-" in text:
        first, last = text.split("-")
        return list(range(int(first), int(last) + 1))
    return [int(part) for part in text.split(",")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--board", default="emulated-cortex-m7")
    parser.add_argument("--space", default="mcunet")
    parser.add_argument("--ops", type=int, default=700)
    parser.add_argument("--sample", type=int, default=1, help="seed of the random operators")
    parser.add_argument("--fit", type=int, default=120)
    parser.add_argument("--seeds", type=seed_list, default=seed_list("10-19"))
    parser.add_argument("--plan", choices=("random", "planned"), default="random")
    parser.add_argument(
        "--rows", type=Path, help="table of the measurements: taken from it, kept in it"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    ops = random_ops(arguments.space, arguments.ops, arguments.sample)
    plans: dict[int, list[OpSpec]] = {}
    if arguments.plan == "planned":
        space = load_space(arguments.space)
        plans = {seed: plan_ops(space, arguments.fit, seed) for seed in arguments.seeds}
    wanted = distinct([*ops, *(op for plan in plans.values() for op in plan)])
    start = time.perf_counter()
    table = measure(arguments.board, wanted, arguments.rows)
    seconds = time.perf_counter() - start
    print(f"{len(table.rows)} operators of {arguments.space}, {seconds:.1f} s: {table.source}")
    known = [op for op in ops if op in table.rows]
    checks = []
    for seed in arguments.seeds:
        order = np.random.default_rng(seed).permutation(len(known))[: arguments.fit]
        chosen = plans.get(seed) or [known[number] for number in order]
        fitted = [op for op in chosen if op in table.rows]
        checks.append(fit_and_check(table, fitted, [op for op in known if op not in fitted]))
    found = summary(checks)
    print(f"fitted to {arguments.fit} {arguments.plan} ones, {len(checks)} seeds")
    for name, figures in found.items():
        print(
            f"{name:10s} n {figures['n']:5.1f}  mean {figures['mean']:.2%} (worst seed "
            f"{figures['worst_seed_mean']:.2%})  p95 {figures['p95']:.1%}  worst "
            f"{figures['worst']:.1%}  in 90 %: {figures['interval_90']:.1%} "
            f"({figures['least_interval_90']:.0%} to {figures['most_interval_90']:.0%})"
        )
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"rows": len(table.rows), "classes": found}, indent=2) + "\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
