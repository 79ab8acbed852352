"""Whole networks against patches, on the emulated Cortex-M7: memory, work, instructions, outputs.

    python -m benchmarks.patches runs/search-1 --pair 14 --pair 20
    python -m benchmarks.patches --arch mcunet-in3.json --weights mcunet-in3.pth

Each network is exported whole, with the patches of fewest extra multiply-accumulates that make its
peak a tenth smaller, and with those of the smallest peak; built, and run on two images. Fails (exit
status 1) where scores differ from the integer reference's or the arena from the prediction.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from hybrid_nas.cli.output import make_table, out_console
from hybrid_nas.export.c_code.network import CNetwork
from hybrid_nas.export.c_code.patch_choice import patches_document, with_patches
from hybrid_nas.export.c_code.project import write_c_project
from hybrid_nas.export.from_files import NetworkJob
from hybrid_nas.export.from_run import exported_pair
from hybrid_nas.hardware.latency_files import table_for
from hybrid_nas.search.rundir import RunDirectory
from hybrid_nas.training.job import RunPair
from hybrid_nas.verify.boards import load_verify_board
from hybrid_nas.verify.build import Project, build_program
from hybrid_nas.verify.compare import Reference
from hybrid_nas.verify.observe import emulated, run_plain
from hybrid_nas.verify.predict import RUNTIME, predict
from hybrid_nas.verify.subject import Subject, files_subject, pair_subject

BOARD = "emulated-cortex-m7"
IMAGES = 2
COLUMNS = (
    *("network", "patches", "extra MACs", "arena, predicted", "seen", "flash, predicted", "seen"),
    *("instructions, predicted", "seen", "exact"),
)


def choices(subject: Subject) -> Iterator[CNetwork]:
    """Whole, a tenth smaller, smallest."""
    whole, architecture = subject.code, subject.network.architecture
    yield whole
    found = {}
    peak = predict(whole, None, "ms").sram_bytes
    for limit in (peak * 9 // 10, None):
        network = with_patches(whole, architecture, "auto", limit)
        if network.patches is not None:
            found[network.patches] = network
    yield from found.values()


def row(name: str, subject: Subject, network: CNetwork, folder: Path) -> tuple[list[object], bool]:
    """A row of the table, and whether all is as it should be."""
    board, table = load_verify_board(BOARD), table_for(BOARD, RUNTIME, None)
    written = write_c_project(network, folder / "project")
    program = build_program(Project(written.sources, (written.include,)), board, folder)
    with emulated(board, program) as (device, unit):
        inferences, memory = run_plain(device, subject.images, lambda number: None)
    reference = Reference.of(network.graph, subject.images)
    wanted = reference.scores
    exact = all(
        np.array_equal(one.scores, scores) for one, scores in zip(inferences, wanted, strict=True)
    )
    expected = predict(network, table, unit.name)
    seen = float(np.mean([one.ticks for one in inferences])) * unit.per_tick
    document = patches_document(network, written.plan)
    extra = 0 if document is None else document["extra_macs"]
    patches = network.patches
    total = expected.total or float("nan")
    cells: list[object] = [
        name,
        "whole" if patches is None else f"{patches.grid} of {patches.n_ops} operators",
        f"{extra / subject.network.architecture.macs:+.1%}",
        f"{expected.arena_bytes:,}",
        f"{memory.arena_high:,}",
        f"{expected.flash_bytes:,}",
        f"{program.flash.total:,}",
        f"{total:,.0f} ({total / seen - 1:+.1%})",
        f"{seen:,.0f}",
        "yes" if exact else "NO",
    ]
    return cells, exact and memory.arena_high == expected.arena_bytes


def subjects(arguments: argparse.Namespace) -> Iterator[tuple[str, Subject]]:
    if arguments.arch is not None:
        job = NetworkJob(arguments.arch, arguments.weights, Path("unused"), ())
        yield arguments.arch.stem, files_subject(job, BOARD, IMAGES)
    for number in arguments.pair:
        opened = exported_pair(RunPair(RunDirectory(arguments.run), number))
        found = pair_subject(opened, BOARD, IMAGES)
        yield f"pair {number}", replace(found, sram_bytes=0, flash_bytes=0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("--pair", action="append", type=int, default=[])
    parser.add_argument("--arch", type=Path)
    parser.add_argument("--weights", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows, fine = [], True
    for name, subject in subjects(arguments):
        for network in choices(subject):
            with TemporaryDirectory() as folder:
                cells, good = row(name, subject, network, Path(folder))
            rows.append(cells)
            fine &= good
    out_console().print(make_table(list(COLUMNS), rows, numeric=COLUMNS[2:-1]))
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
