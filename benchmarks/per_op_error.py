"""Instruction counts of single operators against published times of single operators.

    python benchmarks/per_op_error.py [--boards ../shared/data/boards] [--write]

Counts the operators of the logs that have shapes on an emulated core, fits one factor per class of
operators, and prints rank correlation and errors (each operator predicted by the factor of the
others of its class). With --write, the sentence goes into `source` of the emulated tables. Needs
QEMU and the logs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
from scale_fit import left_out
from scipy.stats import kendalltau

from hybrid_nas.hardware.latency_files import load_table, save_table
from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.profiling.backend import Timed
from hybrid_nas.profiling.imports.attach import attach
from hybrid_nas.profiling.imports.log import Source
from hybrid_nas.profiling.imports.registry import AUTO, parse
from hybrid_nas.profiling.open import open_backend
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.typing import FloatArray

ROOT = Path(__file__).resolve().parents[1]
BOARDS = ROOT.parent / "shared" / "data" / "boards"
LISTED = "tflm_logs/tflite-micro_benchmarking_README.md"
SAME_NETWORK = "tflm_logs/CFU-Playground_step-by-step.rst"
FLOAT_REPORT = "st_reports/x-cube-ai-7.2_validate_on_target.txt"
FLOAT_OPS = (
    # windows of 3x1: so many taps on the pixels of the output
    OpSpec("conv", 24, 1, 9, 16),
    OpSpec("conv", 22, 1, 48, 8),
    OpSpec("dense", 1, 1, 176, 64),
    OpSpec("dense", 1, 1, 64, 3),
)
_LEAST = 3
"""Operators of a class, for an error of it."""


@dataclass(frozen=True)
class Published:
    """Times of single operators; ``core`` is the emulated one whose counts they are compared to."""

    what: str
    core: str
    ops: tuple[OpSpec, ...]
    times: tuple[float, ...]


@dataclass(frozen=True)
class Comparison:
    """What came of it: errors by class, as fractions, and Kendall's tau over all operators."""

    published: Published
    tau: float
    errors: dict[str, FloatArray]

    def __str__(self) -> str:
        parts = [
            f"{name} {np.abs(off).mean():.1%} mean, {np.abs(off).max():.1%} worst (n = {len(off)})"
            for name, off in self.errors.items()
        ]
        text = f"Kendall tau {self.tau:.2f} over {len(self.published.ops)} operators"
        return f"{self.published.what}: {text}" + (
            f"; after one factor per class {', '.join(parts)}" if parts else ""
        )


def listed_log(path: Path, core: str, what: str) -> Published:
    """A log that lists its model, so that the operators' shapes are known."""
    timed = attach(parse(Source.read(path, None), AUTO), path.name, None)
    known = [(one.spec, median(one.values)) for one in timed if one.spec is not None]
    return Published(what, core, tuple(op for op, _ in known), tuple(time for _, time in known))


def same_network_log(path: Path, listed: Path, core: str, what: str) -> Published:
    """A log of the network of another log, operator by operator."""
    shapes = attach(parse(Source.read(listed, None), AUTO), listed.name, None)
    rows = parse(Source.read(path, None), AUTO).rows
    words = [[row.word for row in rows], [one.row.word for one in shapes]]
    assert words[0] == words[1], "the logs are of different networks"
    known = [
        (one.spec, median(row.values))
        for one, row in zip(shapes, rows, strict=True)
        if one.spec is not None
    ]
    return Published(what, core, tuple(op for op, _ in known), tuple(time for _, time in known))


def float_report(path: Path) -> Published:
    """Convolutions and dense layers of the report; activations are rows of their own there."""
    rows = parse(Source.read(path, None), AUTO).rows
    times = tuple(median(row.values) for row in rows if row.word.startswith(("Conv2D", "Dense")))
    what = "X-CUBE-AI 7.2 on a real STM32H743 (float32: other kernels and types than the counts)"
    return Published(what, "cortex-m7", FLOAT_OPS, times)


def counts(core: str, ops: Sequence[OpSpec]) -> FloatArray:
    """Instructions of each operator."""
    with open_backend(None, f"emulated-{core}") as backend:
        answers = list(backend.measure(list(dict.fromkeys(op.shape for op in ops))))
    values = {one.op: one.measurement.value for one in answers if isinstance(one, Timed)}
    return np.array([values[op.shape] for op in ops])


def compare(published: Published) -> Comparison:
    """Counts against times."""
    x, y = counts(published.core, published.ops), np.array(published.times)
    errors = {
        name: left_out(x[mask], y[mask])
        for name, mask in OpArrays.of(published.ops).classes.items()
        if mask.sum() >= _LEAST
    }
    return Comparison(published, float(kendalltau(x, y).statistic), errors)


def all_published(boards: Path) -> list[Published]:
    """Everything with shapes that there is."""
    listed = boards / LISTED
    arm = "TFLM with CMSIS-NN for Cortex-M4 on Arm's Corstone-300 simulator (no silicon)"
    riscv = "TFLM reference kernels on a RISC-V soft core (silicon, another instruction set)"
    return [
        listed_log(listed, "cortex-m4", arm),
        listed_log(listed, "cortex-m7", arm),
        same_network_log(boards / SAME_NETWORK, listed, "cortex-m7", riscv),
        float_report(boards / FLOAT_REPORT),
    ]


def write(comparisons: Sequence[Comparison]) -> None:
    """State the comparisons in `source` of the table of their core's counts."""
    for core in {one.published.core for one in comparisons}:
        path = ROOT / "latency_tables" / f"emulated-{core}.hnas-c.yaml"
        table = load_table(path)
        own = [str(one) for one in comparisons if one.published.core == core]
        own_source = table.source.split("; against published")[0]
        text = f"{own_source}; against published times of single operators: {'; '.join(own)}"
        save_table(replace(table, source=text), path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boards", type=Path, default=BOARDS)
    parser.add_argument("--write", action="store_true", help="state it in the emulated tables")
    arguments = parser.parse_args()
    comparisons = [compare(one) for one in all_published(arguments.boards)]
    for one in comparisons:
        print(f"counts of {one.published.core}: {one}")
    if arguments.write:
        write(comparisons)
    return 0


if __name__ == "__main__":
    sys.exit(main())
