"""Scaled instruction counts on the MCUNet zoo: more networks per board than MLPerf Tiny has.

    python benchmarks/zoo_scales.py [--data ../shared/data/mcunet]

For every board and runtime with published latencies of several networks, one factor on instruction
counts (of the shipped Cortex-M7 table, operators that it has not measured being predicted), each
network left out in turn, beside the model that `benchmarks/fit_runtimes.py` fits to the same
latencies. It shows how far one factor goes, and why those boards keep their fitted models.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from fit_runtimes import ROOT
from published import load_figures, load_networks
from scale_fit import left_out

from hybrid_nas.hardware.latency import LatencyModel
from hybrid_nas.hardware.latency_files import find_table, load_table
from hybrid_nas.hardware.op_arrays import OpArrays

LEAST = 3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "mcunet")
    zoo = load_networks("mcunet_zoo", parser.parse_args().data)
    counts = LatencyModel(load_table(ROOT / "latency_tables" / "emulated-cortex-m7.hnas-c.yaml"))
    print("| board | runtime | networks | counts | MACs | fitted model |")
    print("|---|---|---|---|---|---|")
    for figures in load_figures("mcunet_zoo"):
        for runtime, ms in figures.ms.items():
            nets = {name: zoo[name].ops for name in ms if name in zoo}
            if len(nets) < LEAST:
                continue
            y = np.array([ms[name] for name in nets])
            sums = np.array([counts.ops(ops).ms.sum() for ops in nets.values()])
            macs = np.array([float(OpArrays.of(ops).macs.sum()) for ops in nets.values()])
            model = find_table(figures.board, runtime)
            assert model is not None and model.validation is not None
            cells = [_cell(left_out(x, y)) for x in (sums, macs)]
            fitted = f"{100 * model.validation.mean:.1f} / {100 * model.validation.worst:.1f}"
            print(f"| {figures.board} | {runtime} | {len(nets)} | {' | '.join(cells)} | {fitted} |")
    return 0


def _cell(errors: np.ndarray) -> str:
    return f"{100 * np.abs(errors).mean():.1f} / {100 * np.abs(errors).max():.1f}"


if __name__ == "__main__":
    sys.exit(main())
