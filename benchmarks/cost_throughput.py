"""How fast costs are: 10,000 architectures at once, against one at a time and against `ofa`.

    python benchmarks/cost_throughput.py [--space mcunet] [--count 10000] [--json FILE]

Processor time of one core. *Cold* is a new cost model that has met no block; *warm* is a second
call. *Op by op* is `estimate` on single architectures. *ofa* is the way of the Once-for-All package
to learn one number (multiply-accumulates): activate the subnet, extract it, run an image through
its counters.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from hybrid_nas.hardware.boards import load_board
from hybrid_nas.hardware.cost import CostModel
from hybrid_nas.hardware.estimate import estimate
from hybrid_nas.hardware.latency_files import find_table
from hybrid_nas.hardware.runtimes import load_runtime
from hybrid_nas.hardware.uplink import UplinkImage
from hybrid_nas.spaces.loader import load_space

BOARD, RUNTIME = "stm32f746", "tinyengine"


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def many_at_once(name: str, count: int) -> dict[str, float]:
    """Seconds for `count` architectures, cold (median of 5 new models) and warm."""
    space = load_space(name)
    rows = space.sample(count, np.random.default_rng(0))
    table, uplink = find_table(BOARD, RUNTIME), UplinkImage.parse("input")

    def new_model() -> CostModel:
        return CostModel(space, load_board(BOARD), load_runtime(RUNTIME), table, uplink)

    cold, warm = [], []
    for _ in range(5):
        work = partial(new_model().evaluate, rows)
        cold.append(seconds(work))
        warm.append(seconds(work))
    return {"cold_s": float(np.median(cold)), "warm_s": float(np.median(warm))}


def one_at_a_time(name: str, n: int = 50) -> float:
    """Seconds per architecture of the op-by-op path."""
    space = load_space(name)
    rows = space.sample(n, np.random.default_rng(1))
    board, runtime, table = load_board(BOARD), load_runtime(RUNTIME), find_table(BOARD, RUNTIME)
    return (
        seconds(lambda: [estimate(space.architecture(row), board, runtime, table) for row in rows])
        / n
    )


def ofa_macs(n: int = 3) -> float:
    """Seconds per architecture for `ofa` to count the MACs of a MobileNetV3 subnet at 224."""
    import hybrid_nas.supernet.ofa_import  # noqa: F401

    # isort: split
    import torch
    from ofa.imagenet_classification.elastic_nn.networks import OFAMobileNetV3
    from ofa.utils.pytorch_utils import count_net_flops

    torch.set_num_threads(1)
    supernet = OFAMobileNetV3(ks_list=[3, 5, 7], expand_ratio_list=[3, 4, 6], depth_list=[2, 3, 4])

    def count_one() -> None:
        supernet.sample_active_subnet()
        count_net_flops(supernet.get_active_subnet(preserve_weight=False), (1, 3, 224, 224))

    count_one()
    return seconds(lambda: [count_one() for _ in range(n)]) / n


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="mcunet")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--skip-ofa", action="store_true", help="do not compare with `ofa`")
    arguments = parser.parse_args()
    found = many_at_once(arguments.space, arguments.count)
    found["op_by_op_s_each"] = one_at_a_time(arguments.space)
    if not arguments.skip_ofa:
        found["ofa_macs_s_each"] = ofa_macs()
    for name, value in found.items():
        print(f"{name:18s} {value:.4g}")
    print(f"per architecture, cold: {found['cold_s'] / arguments.count * 1e6:.1f} microseconds")
    if arguments.json:
        arguments.json.write_text(json.dumps({"count": arguments.count, **found}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
