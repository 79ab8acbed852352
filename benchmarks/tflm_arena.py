"""Predicted arena of TensorFlow Lite for Microcontrollers against its interpreter's.

    python benchmarks/tflm_arena.py [--space mcunet] [--count 50] [--sram 320KB] [--json FILE]

Random subnets that fit are written as TFLite files and loaded into the interpreter of the package
tflite-micro, which says what it takes of its arena (``arena_used_bytes``). Weights do not matter to
it and are ones. The prediction is that of the runtime `tflm-export` with the pointers of this
computer. Also printed: the file's size against the prediction, and the arena without the memory
plan that the file brings along.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from hybrid_nas.export.network import ExportedNetwork
from hybrid_nas.export.tflite_file import tflite_bytes
from hybrid_nas.export.tflite_judges import Tflm
from hybrid_nas.hardware.flash import flash_bytes
from hybrid_nas.hardware.runtimes import Runtime, load_runtime
from hybrid_nas.hardware.sram import plan
from hybrid_nas.quantise.int8_graph import Int8Graph, Int8Op
from hybrid_nas.quantise.scheme import IMAGE, Affine
from hybrid_nas.spaces.architecture import Architecture
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.units import parse_bytes

RUNTIME = "tflm-export"
HOST_POINTER = 8


@dataclass(frozen=True)
class Compared:
    """One subnet; all in bytes. `unplanned` is the arena without the file's own plan."""

    resolution: int
    operators: int
    predicted: int
    observed: int
    head: int
    unplanned: int
    file: int
    predicted_file: int

    @property
    def error(self) -> float:
        """Relative; positive where too much is predicted."""
        return self.predicted / self.observed - 1


def host_runtime() -> Runtime:
    """`RUNTIME` with the pointers of this computer."""
    runtime = load_runtime(RUNTIME)
    return replace(runtime, sram=replace(runtime.sram, pointer_bytes=HOST_POINTER))


def shaped_network(architecture: Architecture, name: str = "subnet") -> ExportedNetwork:
    """A network of that architecture whose weights are all ones, without names of classes."""
    affine = Affine(0.05, -128)
    ops = tuple(Int8Op(spec, affine, *_ones(spec)) for spec in architecture.ops)
    graph = Int8Graph(architecture.input_shape, IMAGE, ops)
    return ExportedNetwork(name, architecture, (), graph, classes=())


def _ones(spec: OpSpec) -> tuple[np.ndarray, ...]:
    k, shapes = spec.kernel, {"dense": (spec.cout, spec.h * spec.w * spec.cin)}
    shapes["conv"] = (spec.cout, k, k, spec.cin)
    shapes["dwconv"] = (k, k, spec.cout)
    if spec.op not in shapes:
        return ()
    scales, bias = np.full(spec.cout, 0.01, np.float32), np.zeros(spec.cout, np.int32)
    return np.ones(shapes[spec.op], np.int8), scales, bias


def feasible(space_name: str, sram: int, seed: int) -> Iterator[Architecture]:
    """Random architectures whose predicted arena on a microcontroller fits `sram` bytes."""
    space, rng, runtime = load_space(space_name), np.random.default_rng(seed), load_runtime(RUNTIME)
    while True:
        architecture = space.architecture(space.sample(1, rng)[0])
        if plan(architecture.ops, architecture.input_shape, runtime).peak_bytes <= sram:
            yield architecture


def compare(architecture: Architecture) -> Compared:
    """One architecture, predicted and observed."""
    network, runtime = shaped_network(architecture), host_runtime()
    data = tflite_bytes(network)
    arena = Tflm(data).arena()
    code = load_runtime("tflm").flash.fixed_bytes
    return Compared(
        resolution=architecture.input_shape[0],
        operators=len(architecture.ops),
        predicted=plan(architecture.ops, architecture.input_shape, runtime).peak_bytes,
        observed=arena.used,
        head=arena.head,
        unplanned=Tflm(tflite_bytes(network, with_plan=False)).arena().used,
        file=len(data),
        predicted_file=flash_bytes(architecture.ops, runtime) - code,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="mcunet")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--sram", default="320KB")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = feasible(arguments.space, parse_bytes(arguments.sram), arguments.seed)
    rows = [compare(next(found)) for _ in range(arguments.count)]
    errors = np.array([row.error for row in rows])
    saved = np.array([row.unplanned - row.observed for row in rows])
    file_errors = np.array([row.predicted_file / row.file - 1 for row in rows])
    print(
        f"{len(rows)} subnets of {arguments.space}, {min(r.observed for r in rows)} to "
        f"{max(r.observed for r in rows)} bytes of arena"
    )
    print(
        f"prediction over the interpreter: mean {errors.mean():+.3%}, least {errors.min():+.3%}, "
        f"most {errors.max():+.3%}; below it: {(errors < 0).sum()}"
    )
    print(
        f"without the file's own plan the interpreter takes more on {(saved > 0).sum()}, up to "
        f"{saved.max()} bytes ({(saved / [r.observed for r in rows]).max():.1%})"
    )
    print(f"file size: mean {file_errors.mean():+.3%}, worst {np.abs(file_errors).max():.3%}")
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return 0 if errors.min() >= 0 and errors.max() <= 0.02 else 1


if __name__ == "__main__":
    sys.exit(main())
