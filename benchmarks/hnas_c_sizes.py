"""What the exported C code takes in flash beside its constants: constants of the runtime hnas-c.

    python -m benchmarks.hnas_c_sizes

Random subnets with random weights are linked, not run, with and without a router, for each board.
Prints a row for each, and what ``flash`` of hnas-c in hybrid_nas/hardware/runtimes.yaml has to be
so that none is predicted too low: bytes for each operator's call, of kernels and start-up code, and
of the router's code. Needs arm-none-eabi-gcc.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from hybrid_nas.cli.output import make_table, out_console
from hybrid_nas.export.c_code.network import CNetwork
from hybrid_nas.export.device_router import DeviceRouter
from hybrid_nas.routing.designs import design
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.verify.boards import load_verify_board
from hybrid_nas.verify.job import VerifyJob
from tests.export.c_host import c_network, random_graph
from tests.export.device_cases import random_router

BOARDS = ("emulated-cortex-m4", "emulated-cortex-m7", "emulated-cortex-m33")
SPACES = ("mcunet-digits", "mcunet")


def code_bytes(network: CNetwork, board: str, folder: Path) -> int:
    """Flash beside the constants that the exporter counts."""
    plain, _ = VerifyJob(network, load_verify_board(board), folder).build()
    return plain.flash.total - network.constant_bytes


def routed(alone: CNetwork, kind: str) -> CNetwork:
    """The network with a router of a design."""
    graph = alone.graph
    router = DeviceRouter.of(random_router(design(kind), "signed-gain", graph), graph)
    score = np.linspace(-1, 1, 11, dtype=np.float32)
    return CNetwork(alone.name, graph, alone.classes, router.with_thresholds(score, (0.7,)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--networks", type=int, default=4, help="of each space, beside its smallest"
    )
    parser.add_argument("--designs", nargs="*", default=["linear-stats", "mlp8-features"])
    given = parser.parse_args()
    rows: list[tuple[str, str, int, str, int]] = []
    for name in SPACES:
        space = load_space(name, input_shape=(32, 32, 3), classes=10)
        drawn = space.sample(given.networks, np.random.default_rng(7))
        genes = space.canonical(np.concatenate([space.extremes()[:1], drawn]))
        for seed, row in enumerate(genes.tolist()):
            architecture = space.architecture(tuple(row))
            graph = random_graph(architecture.ops, architecture.input_shape, seed)
            alone = c_network(graph)
            with tempfile.TemporaryDirectory() as folder:
                for kind in ("none", *given.designs):
                    network = alone if kind == "none" else routed(alone, kind)
                    for board in BOARDS:
                        found = code_bytes(network, board, Path(folder) / board)
                        rows.append((name, board, len(graph.ops), kind, found))
    people = out_console()
    columns = ["space", "board", "operators", "router", "code"]
    people.print(make_table(columns, rows, numeric=["operators", "code"]))
    bare = np.array([(ops, code) for _, _, ops, kind, code in rows if kind == "none"], float)
    step = int(np.ceil(np.polyfit(bare[:, 0], bare[:, 1], 1)[0]))
    fixed = int((bare[:, 1] - step * bare[:, 0]).max())
    router = max(code - step * ops - fixed for _, _, ops, kind, code in rows if kind != "none")
    least = min(code - step * ops - fixed for _, _, ops, kind, code in rows if kind == "none")
    people.print(f"bytes_per_step: {step}, fixed_bytes: {fixed}, router_code_bytes: {router}")
    people.print(f"at most {-least} bytes too many for a network alone")


if __name__ == "__main__":
    main()
