"""How fast costs are: 10,000 architectures at once, against one at a time and against `ofa`.

    python benchmarks/cost_throughput.py [--space mcunet] [--count 10000] [--json FILE]

Processor time of one core. *Cold* is a new cost model that has met no block; *warm* is a second
call. *Op by op* is `estimate` on single architectures. Three ways of the Once-for-All package, each
to learn one number of a MobileNetV3 subnet: *ofa_latency_table* sums a table's rows,
*ofa_flops_table* sums a table made beforehand, *ofa_macs* activates the subnet, extracts it and
runs an image through its counters. Its tables are downloads; here they answer every query with one
constant, since only time is measured. ``--space ofa-mbv3-w1.2`` is what its latency table is for.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from hybrid_nas.hardware.boards import load_board
from hybrid_nas.hardware.cost import CostModel
from hybrid_nas.hardware.estimate import estimate
from hybrid_nas.hardware.latency_files import find_table
from hybrid_nas.hardware.runtimes import load_runtime
from hybrid_nas.hardware.uplink import UplinkImage
from hybrid_nas.spaces.loader import load_space

Spec = dict[str, list[int]]
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


class _Constant(dict[Any, Any]):
    """A table that has every row."""

    def __missing__(self, key: object) -> Any:
        self[key] = {"mean": 1.0}
        return self[key]


def ofa_module(name: str) -> ModuleType:
    """A module of ``ofa.tutorial``, without the package, which wants torchvision."""
    import hybrid_nas.supernet.ofa_import  # noqa: F401

    # isort: split
    import ofa

    path = Path(ofa.__file__).parent / "tutorial" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"ofa_tutorial_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ofa_tables(n: int = 5000) -> dict[str, float]:
    """Seconds per architecture for `ofa` to sum a latency table and a FLOPs table."""
    rng = np.random.default_rng(0)
    specs = [
        {
            "r": [int(rng.choice([160, 176, 192, 208, 224]))],
            "ks": rng.choice([3, 5, 7], 20).tolist(),
            "e": rng.choice([3, 4, 6], 20).tolist(),
            "d": rng.choice([2, 3, 4], 5).tolist(),
        }
        for _ in range(n)
    ]
    estimator = ofa_module("latency_table").LatencyEstimator
    latency = estimator.__new__(estimator)  # its constructor downloads
    latency.lut = _Constant()
    table = ofa_module("flops_table").FLOPsTable
    flops = table.__new__(table)  # its constructor runs every block
    blocks = [{(ks, e): 1.0 for ks in (3, 5, 7) for e in (1, 3, 4, 6)}] * 21
    others = {f"other {k}": 1.0 for k in range(4)}
    one = {"mobile_inverted_blocks": blocks, "other_blocks": others}
    flops.efficiency_dict = {size: one for size in (160, 176, 192, 208, 224)}
    found = {}
    for name, ask in (
        ("ofa_latency_table", latency.predict_network_latency_given_spec),
        ("ofa_flops_table", flops.predict_efficiency),
    ):
        found[f"{name}_s_each"] = seconds(partial(_ask_all, ask, specs)) / n
    return found


def _ask_all(ask: Callable[[Spec], float], specs: list[Spec]) -> None:
    for spec in specs:
        ask(spec)


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
        found.update(ofa_tables())
    for name, value in found.items():
        print(f"{name:24s} {value:.4g}")
    print(f"per architecture, cold: {found['cold_s'] / arguments.count * 1e6:.1f} microseconds")
    if arguments.json:
        arguments.json.write_text(json.dumps({"count": arguments.count, **found}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
