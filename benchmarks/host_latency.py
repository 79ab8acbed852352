"""Do operators timed on this computer add up to networks? Left-one-out errors on random networks.

    python benchmarks/host_latency.py [--space mcunet] [--networks 8] [--seed 0] [--json FILE]

Measures every operator of the networks and the networks as a whole, int8 and float32, with
onnxruntime on one thread; fits ``a * sum + b * n``, and says how far each network is from what a
fit to the others predicts. Beside it the same with multiply-accumulates in place of the sum.
`--passes` measures everything several times and keeps the fastest: for a busy computer.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from scipy.stats import kendalltau

from hybrid_nas.profiling.backend import Timed
from hybrid_nas.profiling.host import HostBackend
from hybrid_nas.profiling.validation import fit_correction, leave_one_out
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.spaces.opspec import Dtype, OpSpec
from hybrid_nas.typing import FloatArray

Network = tuple[OpSpec, ...]


@dataclass(frozen=True)
class Errors:
    """Left-one-out errors, as fractions, and the rank correlation of predictions."""

    mean: float
    worst: float
    kendall_tau: float

    @classmethod
    def of(cls, sums: FloatArray, n_ops: FloatArray, measured: FloatArray) -> Errors:
        """Errors of predictions by a fit to all other networks."""
        predicted = leave_one_out(sums, n_ops, measured)
        errors = np.abs(predicted / measured - 1)
        tau = kendalltau(predicted, measured).statistic
        return cls(float(errors.mean()), float(errors.max()), float(tau))


def random_networks(space: str, count: int, seed: int) -> list[Network]:
    found = load_space(space)
    rows = found.sample(count, np.random.default_rng(seed))
    return [found.architecture(row).ops for row in rows.tolist()]


def measured_ms(
    backend: HostBackend, networks: Sequence[Network], passes: int
) -> tuple[FloatArray, FloatArray]:
    """Sums of operators and whole networks, in ms; each the fastest of its passes."""
    ops = list(dict.fromkeys(op.shape for network in networks for op in network))
    us: dict[OpSpec, float] = {}
    whole = np.full(len(networks), np.inf)
    for number in range(passes):
        for answer in backend.measure(ops):
            if not isinstance(answer, Timed):
                raise SystemExit(f"{answer.op}: {answer.reason}")
            us[answer.op] = min(us.get(answer.op, np.inf), answer.measurement.value)
        times = [backend.measure_network(network).value for network in networks]
        whole = np.minimum(whole, times)
        print(f"pass {number + 1} of {passes} done", file=sys.stderr)
    sums = [sum(us[op.shape] for op in network) for network in networks]
    return np.array(sums) / 1e3, whole / 1e3


def report(backend: HostBackend, networks: Sequence[Network], passes: int) -> dict[str, Any]:
    sums, whole = measured_ms(backend, networks, passes)
    n_ops = np.array([float(len(network)) for network in networks])
    macs = np.array([float(sum(op.macs for op in network)) for network in networks])
    predicted = leave_one_out(sums, n_ops, whole)
    print(f"{'ops':>4} {'MMACs':>7} {'sum ms':>8} {'whole ms':>9} {'left out':>9} {'error':>7}")
    for row in zip(n_ops, macs / 1e6, sums, whole, predicted, predicted / whole - 1, strict=True):
        print("{:4.0f} {:7.1f} {:8.3f} {:9.3f} {:9.3f} {:+7.1%}".format(*row))
    found = {"sum": Errors.of(sums, n_ops, whole), "macs": Errors.of(macs / 1e9, n_ops, whole)}
    for name, errors in found.items():
        print(
            f"{name:5s} mean {errors.mean:.1%}, worst {errors.worst:.1%}, "
            f"Kendall tau {errors.kendall_tau:.2f}"
        )
    correction = fit_correction(sums, n_ops, whole)
    print(f"whole = {correction.scale:.3f} * sum + {correction.per_op_ms * 1e3:.2f} us * n\n")
    return {
        "sum_ms": sums.tolist(),
        "whole_ms": whole.tolist(),
        "n_ops": n_ops.tolist(),
        "correction": asdict(correction),
        "errors": {name: asdict(errors) for name, errors in found.items()},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="mcunet")
    parser.add_argument("--networks", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    networks = random_networks(arguments.space, arguments.networks, arguments.seed)
    results: dict[str, Any] = {}
    with HostBackend() as backend:
        results["identity"] = asdict(backend.identity)
        print(*results["identity"].values(), sep=", ")
        for dtype in get_args(Dtype):
            print(dtype)
            typed = [tuple(replace(op, dtype=dtype) for op in network) for network in networks]
            results[dtype] = report(backend, typed, arguments.passes)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
