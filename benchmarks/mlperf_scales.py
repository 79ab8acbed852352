"""Fit cycles per counted instruction to MLPerf Tiny, for every board, runtime and version.

    python benchmarks/mlperf_scales.py [--results ../shared/data/boards/mlperf_tiny_v0.5-v1.1.csv]
                                       [--write]
    python benchmarks/mlperf_scales.py --list-ops FILE.csv

Runs the MLPerf Tiny networks on the emulated cores, fits one factor to two of vww, kws and ic and
predicts the third, in all three rotations, and prints the errors beside those of multiply-
accumulates alone. With --write, puts the scales into `hybrid_nas/hardware/scales.yaml` and the
table into `docs/scaling.md`. Needs QEMU. A runtime's version is part of what a factor belongs to:
submissions of different versions are never pooled. --list-ops writes the networks' operators as a
list for `hybrid-nas latency build --ops`, and does nothing else.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import yaml
from mlperf_rows import DENSE_NETWORK, NETWORKS, Submission, read_submissions
from published import load_networks
from scale_fit import Counts, Fit, fit, fit_energy, fit_macs, shared_conv_ratio

from hybrid_nas.files import atomic_write
from hybrid_nas.hardware.boards import board_ids
from hybrid_nas.hardware.latency_table import Energy, Identity, Validation
from hybrid_nas.hardware.limits import REFUSED_ABOVE
from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.hardware.scales import SCALES_FILE, Scale, scales_document
from hybrid_nas.profiling.backend import Timed
from hybrid_nas.profiling.open import open_backend
from hybrid_nas.spaces.opspec import OpSpec

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT.parent / "shared" / "data" / "boards" / "mlperf_tiny_v0.5-v1.1.csv"
SCALES = ROOT / "hybrid_nas" / "hardware" / SCALES_FILE
DOCS = ROOT / "docs" / "scaling.md"
DIGITS = 4  # of errors, as fractions
MARKS = "<!-- errors: begin -->", "<!-- errors: end -->"
_WIDTHS = (640, 128, 128, 128, 128, 8, 128, 128, 128, 128, 640)
AUTOENCODER = tuple(OpSpec("dense", 1, 1, cin, cout) for cin, cout in pairwise(_WIDTHS))
"""The anomaly detection network, ad."""


@dataclass(frozen=True)
class Row:
    """All that was found out about one submission; `shared` is None where no other board tells."""

    submission: Submission
    one: Fit
    shared: Fit | None
    macs: Fit
    energy: Energy | None

    @property
    def chosen(self) -> Fit:
        """The fit with the smaller error."""
        if self.shared is not None and self.shared.mean < self.one.mean:
            return self.shared
        return self.one

    @property
    def how(self) -> str:
        """How its error was found, for the table's validation."""
        text = f"one factor on two of {', '.join(NETWORKS)} predicts the third"
        if self.chosen is self.shared:
            text += "; how convolutions differ from the rest is known from other boards"
        return f"{text}; a calibration, other networks may be off by more (docs/scaling.md)"


def networks() -> dict[str, tuple[OpSpec, ...]]:
    """Operators of the four networks."""
    found = load_networks("mlperf_tiny", Path())
    return {name: found[name].ops for name in NETWORKS} | {DENSE_NETWORK: AUTOENCODER}


def list_ops(path: Path) -> None:
    """The operators of all networks as a list for ``latency build --ops``."""
    columns = ("op", "h", "w", "cin", "cout", "kernel", "stride", "padding")
    shapes = dict.fromkeys(op.shape for ops in networks().values() for op in ops)
    with path.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(columns)
        writer.writerows([getattr(op, column) for column in columns] for op in shapes)


def count(core: str) -> tuple[Identity, dict[str, Counts]]:
    """Counts of the networks on an emulated core, and what they belong to."""
    with open_backend(None, f"emulated-{core}") as backend:
        found = {}
        for name, ops in networks().items():
            measured = {}
            for answer in backend.measure(list(dict.fromkeys(op.shape for op in ops))):
                if not isinstance(answer, Timed):
                    raise SystemExit(f"{backend.identity.board}: {answer.op}: {answer.reason}")
                measured[answer.op] = answer.measurement.value
            values = [measured[op.shape] for op in ops]
            found[name] = _counts(OpArrays.of(ops), values)
        return backend.identity, found


def _counts(arrays: OpArrays, values: Sequence[float]) -> Counts:
    conv, dense = (
        sum(value for value, own in zip(values, arrays.classes[name], strict=True) if own)
        for name in ("conv", "dense")
    )
    return Counts(conv, dense, sum(values) - conv - dense, float(arrays.macs.sum()))


def compare(everyone: Sequence[Submission], counts: dict[str, dict[str, Counts]]) -> list[Row]:
    """Every submission's fits."""
    rows = []
    for one in everyone:
        own = counts[one.core]
        ratio = shared_conv_ratio(one, everyone, counts)
        row = Row(
            one,
            fit(one, own),
            None if ratio is None else fit(one, own, ratio),
            fit_macs(one, own),
            None,
        )
        energy = fit_energy(one, row.chosen.errors)
        rows.append(Row(row.submission, row.one, row.shared, row.macs, energy))
    return sorted(rows, key=lambda row: (row.submission.board, row.submission.runtime))


def scale_of(row: Row, counts: Identity) -> Scale:
    """The scale that a row stands for."""
    one, chosen = row.submission, row.chosen
    return Scale(
        one.board,
        one.core,
        one.clock_hz,
        one.runtime,
        one.version,
        counts,
        {key: float(f"{value:.4g}") for key, value in chosen.cycles.items()},
        one.source,
        Validation(round(chosen.mean, DIGITS), round(chosen.worst, DIGITS), len(NETWORKS), row.how),
        row.energy,
    )


# -- output

_HEADER = (
    "| board | core | runtime, version | cycles per instruction | one factor: vww, kws, ic "
    "| mean / worst | with shared ratio | MACs alone | mW (error of energy) |\n"
    "|---|---|---|---|---|---|---|---|---|\n"
)


def markdown(rows: Sequence[Row]) -> str:
    """The table of `docs/scaling.md`; the scale that is used is in bold."""
    return _HEADER + "".join(_line(row) for row in rows)


def _line(row: Row) -> str:
    one = row.submission
    cycles = ", ".join(f"{key} {value:.3g}" for key, value in row.chosen.cycles.items())
    errors = ", ".join(f"{100 * error:+.1f}" for error in row.one.errors)
    energy = row.energy
    power = f"{energy.power_mw:.3g} ({energy.mean:.0%})" if energy else ""
    cells = (
        one.board,
        f"{one.core.removeprefix('cortex-').upper()} {one.clock_hz / 1e6:g} MHz",
        f"{one.runtime}, {one.version.removeprefix('as submitted to MLPerf Tiny ')}",
        cycles,
        errors,
        _errors(row.one, row.chosen is row.one),
        _errors(row.shared, row.chosen is row.shared) if row.shared else "",
        _errors(row.macs, bold=False),
        power,
    )
    return f"| {' | '.join(cells)} |\n"


def _errors(found: Fit, bold: bool) -> str:
    mean, worst = (round(error, DIGITS) for error in (found.mean, found.worst))  # as it is stored
    text = f"{100 * mean:.1f} / {100 * worst:.1f}"
    return f"**{text}**" if bold else text


def write(rows: Sequence[Row], identities: dict[str, Identity]) -> None:
    """Put the scales that can be used, and all errors, where they belong."""
    scales = tuple(
        scale_of(row, identities[row.submission.core])
        for row in rows
        if row.submission.board in board_ids() and row.chosen.mean <= REFUSED_ABOVE
    )
    names = [one.name for one in scales]
    assert len(set(names)) == len(names), "two submissions have one identity"
    head = "# Written by benchmarks/mlperf_scales.py; docs/scaling.md explains it.\n"
    text = yaml.safe_dump(scales_document(scales), sort_keys=False, width=100)
    atomic_write(SCALES, head + text)
    before, rest = DOCS.read_text().split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    atomic_write(DOCS, f"{before}{MARKS[0]}\n{markdown(rows)}{MARKS[1]}{after}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--only", metavar="WORDS", default="", help="systems whose row has it")
    parser.add_argument("--write", action="store_true", help="put the results into the data files")
    parser.add_argument(
        "--list-ops", type=Path, metavar="FILE", help="write the operators, and end"
    )
    arguments = parser.parse_args()
    if arguments.list_ops:
        list_ops(arguments.list_ops)
        return 0
    submissions, left_out = read_submissions(arguments.results)
    identities, counts = {}, {}
    for core in sorted({one.core for one in submissions}):
        identities[core], counts[core] = count(core)
        totals = ", ".join(f"{name} {own.total:,.0f}" for name, own in counts[core].items())
        print(f"{core} ({identities[core].kernels}): {totals} instructions")
    rows = compare(submissions, counts)
    wanted = re.compile(re.escape(arguments.only), re.IGNORECASE)
    print(markdown([row for row in rows if wanted.search(_line(row))]))
    for name, reason in left_out.items():
        print(f"left out: {name}: {reason}")
    if arguments.write:
        write(rows, identities)
    return 0


if __name__ == "__main__":
    sys.exit(main())
