"""Predictions of the runtime hnas-c against emulated boards, over pairs of a run.

    python -m benchmarks.verify_pairs runs/search-1 --pairs 10 --board emulated-cortex-m7

Pairs are spread over the front. Prints one line for each pair and board, then means and worsts, and
what the constants of hybrid_nas/hardware/runtimes.yaml would have to be: code beside the exact
constants, by operators (`bytes_per_step`), and stack with variables (`sram.fixed_bytes`).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from hybrid_nas.export.c_code.network import CNetwork
from hybrid_nas.export.from_run import ExportedPair, exported_pair
from hybrid_nas.export.int8_outputs import network_pixels
from hybrid_nas.search.rundir import RunDirectory
from hybrid_nas.training.job import RunPair
from hybrid_nas.verify.boards import load_verify_board
from hybrid_nas.verify.job import VerifyJob
from hybrid_nas.verify.report import Verification


def verify_pair(
    opened: ExportedPair, images: int, board: str, out: Path
) -> tuple[CNetwork, Verification]:
    network = CNetwork.of(opened.network, opened.device, opened.subject.base.cuts)
    limits = opened.pair.setup.limits
    job = VerifyJob(
        network,
        load_verify_board(board),
        out,
        sram_bytes=limits.sram_bytes,
        flash_bytes=limits.flash_bytes,
    )
    test = opened.subject.data.split("test")
    pixels = network_pixels(test.images[:images], opened.graph.input_shape)
    return network, job.run(pixels, test.labels[:images])


def line(pair: int, found: Verification) -> str:
    parts = [
        f"{one.name} {one.predicted:.0f} / {one.observed:.0f} ({one.error:+.2%})"
        for one in found.quantities
    ]
    worst = max(abs(one.error) for one in found.ops if one.error is not None)
    return (
        f"pair {pair} on {found.board}: {', '.join(parts)}; operators off by {worst:.1%} at worst; "
        f"exact: {found.agreement.exact}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--board", action="append")
    parser.add_argument("--out", type=Path, default=Path("build/verify-pairs"))
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    directory = RunDirectory(given.run)
    front = [pair["id"] for pair in json.loads(directory.pareto.read_text())["pairs"]]
    chosen = np.unique(np.linspace(0, len(front) - 1, given.pairs).round().astype(int))
    errors: dict[str, list[float]] = {}
    steps, code, beside = [], [], []
    for pair in (front[index] for index in chosen.tolist()):
        opened = exported_pair(RunPair(directory, pair))
        for board in given.board or ["emulated-cortex-m7"]:
            network, found = verify_pair(opened, given.images, board, given.out / f"{pair}-{board}")
            print(line(pair, found), flush=True)
            for one in found.quantities:
                if one.error is not None:
                    errors.setdefault(one.name, []).append(one.error)
            steps.append(len(network.graph.ops))
            code.append(found.flash.total - network.constant_bytes)
            beside.append(found.memory.total - found.memory.arena_high)
    for name, values in errors.items():
        off = np.abs(values)
        print(f"{name}: off by {off.mean():.2%} on average, {off.max():.2%} at worst")
    slope, base = np.polyfit(steps, code, 1) if len(set(steps)) > 1 else (float("nan"),) * 2
    print(f"code: {slope:.1f} bytes per operator and {base:.0f}, router included")
    print(f"stack and variables: {max(beside)} bytes at most")


if __name__ == "__main__":
    main()
