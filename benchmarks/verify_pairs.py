"""Pairs of a run on emulated boards: what was promised against what is there, and every arithmetic.

    python -m benchmarks.verify_pairs runs/search-1

Ten pairs are spread over the front. Each is exported, built for each board and run there; the same
images go through the integer reference, the exported C on this computer (gcc), LiteRT and
onnxruntime. Prints a row for each pair and board, what int8 costs each pair on the test split
(thresholds set on the scores of each arithmetic), and a line for each bar; fails (exit status 1)
where one is missed. Needs what `hybrid-nas verify` needs, gcc, and ai-edge-litert.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hybrid_nas.cli.output import json_text, make_table, out_console
from hybrid_nas.export.figures import ExportFigures, export_figures
from hybrid_nas.export.from_run import ExportedPair, exported_pair
from hybrid_nas.export.int8_outputs import int8_outputs, network_pixels
from hybrid_nas.export.onnx_nodes import node_differences
from hybrid_nas.quantise.int8_reference import int8_image
from hybrid_nas.search.rundir import RunDirectory
from hybrid_nas.training.job import RunPair
from hybrid_nas.verify.boards import load_verify_board
from hybrid_nas.verify.compare import Reference
from hybrid_nas.verify.job import VerifyJob
from hybrid_nas.verify.outside import LITERT, Outside, onnxruntime_scores, outside_scores
from hybrid_nas.verify.report import Quantity, Verification
from hybrid_nas.verify.subject import Subject, pair_subject
from tests.export.c_host import HostNetwork

BOARDS = ("emulated-cortex-m4", "emulated-cortex-m7")
COVERAGES = (0.9, 0.7)


@dataclass(frozen=True)
class Row:
    """One pair on one board.

    Attributes:
        pair: its number.
        found: by `hybrid-nas verify`.
        host_exact: images on which the C on this computer gives every operator's exact output.
        classes_equal, classes_of: images that onnxruntime puts into the reference's class, of many.
        node_steps: the most that a value of an operator differs from onnxruntime's on equal inputs.
    """

    pair: int
    found: Verification
    host_exact: int
    classes_equal: int
    classes_of: int
    node_steps: int

    def quantity(self, name: str) -> Quantity:
        """One of `Verification.quantities`."""
        return next(one for one in self.found.quantities if one.name == name)

    def error(self, name: str) -> float:
        """Of its prediction, relative; NaN where there is none."""
        error = self.quantity(name).error
        return float("nan") if error is None else error

    @property
    def exact(self) -> bool:
        """Whether board, host and LiteRT all give what the reference says."""
        n = self.found.agreement.images
        litert = [one.exact for one in self.found.outside if one.who == LITERT]
        return self.found.agreement.exact and self.host_exact == n and litert == [n]

    def cells(self) -> list[object]:
        """As in `COLUMNS`."""
        arena, total = self.quantity("arena"), self.quantity("inference")
        ops = [abs(one.error) for one in self.found.ops if one.error is not None]
        return [
            self.pair,
            self.found.board.removeprefix("emulated-"),
            f"{arena.predicted:,.0f}",
            f"{arena.observed:,.0f}",
            f"{self.error('SRAM'):+.2%}",
            f"{self.quantity('flash').observed:,.0f}",
            f"{self.error('flash'):+.2%}",
            f"{total.observed:,.0f}",
            f"{self.error('inference'):+.2%}",
            f"{max(ops):.1%}",
            "yes" if self.exact else "NO",
            f"{self.classes_equal} of {self.classes_of}",
        ]


COLUMNS = (
    *("pair", "board", "arena, predicted", "observed", "SRAM off by", "flash", "off by"),
    *("instructions", "off by", "worst operator", "exact", "class of onnxruntime"),
)


ROUNDING_COLUMNS = (
    *("pair", "base alone, float32", "int8"),
    *("hybrid at 0.9, float32", "int8", "hybrid at 0.7, float32", "int8"),
)


def rounding_cells(pair: int, found: ExportFigures) -> list[object]:
    """As in `ROUNDING_COLUMNS`; a hybrid's accuracy, and the share that it keeps."""
    arithmetics = (found.float32, found.int8)
    cells: list[object] = [pair, *(f"{one.base:.2%}" for one in arithmetics)]
    for coverage in COVERAGES:
        at = [one.hybrid[coverage] for one in arithmetics]
        cells += [f"{one.accuracy:.2%} ({one.coverage:.1%})" for one in at]
    return cells


@dataclass(frozen=True)
class Bar:
    """What must hold, what was found, and whether it does."""

    what: str
    found: str
    met: bool


def bars(rows: Sequence[Row]) -> Iterator[Bar]:
    arena = [row for row in rows if row.error("arena") != 0]
    yield Bar("arena to the byte", f"{len(rows) - len(arena)} of {len(rows)}", not arena)
    flash = np.abs([row.error("flash") for row in rows])
    yield Bar("flash within 2 %", f"{flash.max():.2%} at worst", bool(flash.max() <= 0.02))
    time = np.abs([row.error("inference") for row in rows])
    words = f"{time.mean():.2%} mean, {time.max():.2%} worst"
    met = bool(time.mean() <= 0.05 and time.max() <= 0.10)
    yield Bar("instructions within 5 % mean and 10 % worst", words, met)
    exact = sum(row.exact for row in rows)
    words = "reference, C on this computer, boards and LiteRT, every operator's output"
    yield Bar(f"int8 exact ({words})", f"{exact} of {len(rows)}", exact == len(rows))
    share = sum(row.classes_equal for row in rows) / sum(row.classes_of for row in rows)
    yield Bar("class of onnxruntime on 99 %", f"{share:.2%}", share >= 0.99)
    steps = max(row.node_steps for row in rows)
    yield Bar("every operator within a step of onnxruntime's", f"{steps} at most", steps <= 1)
    under = [row for row in rows if min(row.error("SRAM"), row.error("flash")) < 0]
    words = f"{len(rows) - len(under)} of {len(rows)}"
    yield Bar("SRAM and flash never predicted too low", words, not under)


def verify_pair(opened: ExportedPair, boards: Sequence[str], given: argparse.Namespace, n: int):  # type: ignore[no-untyped-def]
    """Rows of one pair, one for each board."""
    subject = pair_subject(opened, boards[0], given.images)
    outside = outside_scores(opened.network, subject.images)
    host = _exact_on_this_computer(subject, given.out / f"{n}-host")
    equal, of = _classes_of_onnxruntime(opened, given.class_images)
    steps = max(op.worst for op in node_differences(opened.graph, int8_image(subject.images)))
    for board in boards:
        found = _verified(subject, board, outside, given.out / f"{n}-{board}")
        yield Row(n, found, host, equal, of, steps)


def _verified(subject: Subject, board: str, outside: Outside, out: Path) -> Verification:
    limits = {"sram_bytes": subject.sram_bytes, "flash_bytes": subject.flash_bytes}
    job = VerifyJob(subject.code, load_verify_board(board), out, **limits)
    return job.run(subject.images, subject.labels, outside)


def _exact_on_this_computer(subject: Subject, folder: Path) -> int:
    wanted = Reference.of(subject.code.graph, subject.images).outputs
    host, exact = HostNetwork(subject.code, folder), 0
    for number, image in enumerate(subject.images):
        scores = host.run(image).scores
        same = [
            np.array_equal(op, out[number]) for op, out in zip(host.traced(), wanted, strict=True)
        ]
        exact += all(same) and np.array_equal(scores, wanted[-1][number].ravel())
    return exact


def _classes_of_onnxruntime(opened: ExportedPair, images: int) -> tuple[int, int]:
    test = opened.subject.data.split("test").images[:images]
    pixels = network_pixels(test, opened.graph.input_shape)
    scores = onnxruntime_scores(opened.network, pixels)
    wanted = int8_outputs(opened.graph, test).scores
    return int((scores.argmax(1) == wanted.argmax(1)).sum()), len(pixels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--images", type=int, default=10, help="that every arithmetic runs")
    parser.add_argument("--class-images", type=int, default=300, help="that onnxruntime classifies")
    parser.add_argument("--board", action="append", help=f"by default {', '.join(BOARDS)}")
    parser.add_argument("--out", type=Path, default=Path("build/verify-pairs"))
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    directory = RunDirectory(given.run)
    front = [pair["id"] for pair in json.loads(directory.pareto.read_text())["pairs"]]
    chosen = np.unique(np.linspace(0, len(front) - 1, given.pairs).round().astype(int))
    rows: list[Row] = []
    rounding: list[list[object]] = []
    for number in (front[index] for index in chosen.tolist()):
        opened = exported_pair(RunPair(directory, number), COVERAGES)
        rounding.append(rounding_cells(number, export_figures(opened)))
        for row in verify_pair(opened, given.board or BOARDS, given, number):
            rows.append(row)
            print(*row.cells(), sep="  ", file=sys.stderr, flush=True)
    people = out_console()
    people.print(make_table(COLUMNS, [row.cells() for row in rows], numeric=COLUMNS[2:-2]))
    people.print(make_table(ROUNDING_COLUMNS, rounding, numeric=ROUNDING_COLUMNS))
    found = list(bars(rows))
    for bar in found:
        people.print(f"{'met   ' if bar.met else 'MISSED'} {bar.what}: {bar.found}", markup=False)
    (given.out / "verify_pairs.json").write_text(json_text([row.found.document() for row in rows]))
    sys.exit(not all(bar.met for bar in found))


if __name__ == "__main__":
    main()
