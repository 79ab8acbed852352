"""Networks that the tests of TFLite files are about: calibrated ones, and single operators."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from hybrid_nas.export.network import ExportedNetwork
from hybrid_nas.quantise.int8_graph import Int8Graph, Int8Op
from hybrid_nas.quantise.int8_kernels import Int8Array
from hybrid_nas.quantise.scheme import Affine
from hybrid_nas.spaces.architecture import Architecture
from hybrid_nas.spaces.opspec import OpSpec
from tests.quantise.test_int8_graph import calibrated


@lru_cache
def trained_like(space: str, seed: int = 0) -> Int8Graph:
    """A calibrated network with random weights."""
    return calibrated(space, seed)[1]


def network_of(graph: Int8Graph, name: str = "net") -> ExportedNetwork:
    """What an exporter gets, around a graph."""
    architecture = Architecture(graph.input_shape, (), name)
    return ExportedNetwork(name, architecture, (), graph, tuple(map(str, range(graph.classes))))


def random_graph(specs: tuple[OpSpec, ...], seed: int = 0) -> Int8Graph:
    """Operators with random weights and scales; pools keep the scale of what they read."""
    rng = np.random.default_rng(seed)
    first = specs[0]
    image = Affine(float(np.float32(2 / 255)), 0)
    ops: list[Int8Op] = []
    for index, spec in enumerate(specs):
        if spec.op in ("avgpool", "maxpool"):
            before = image if index < spec.source else ops[index - spec.source].output
            ops.append(Int8Op(spec, before))
            continue
        zero = -128 if spec.activation != "none" else int(rng.integers(-100, 100))
        output = Affine(float(np.float32(rng.uniform(0.01, 0.1))), zero)
        k = spec.kernel
        shape = {
            "conv": (spec.cout, k, k, spec.cin),
            "dwconv": (k, k, spec.cout),
            "dense": (spec.cout, spec.cin),
        }.get(spec.op)
        if shape is None:
            ops.append(Int8Op(spec, output))
            continue
        weight = rng.integers(-127, 128, shape).astype(np.int8)
        scales = rng.uniform(0.0005, 0.01, spec.cout).astype(np.float32)
        bias = rng.integers(-3000, 3000, spec.cout).astype(np.int32)
        ops.append(Int8Op(spec, output, weight, scales, bias))
    return Int8Graph((first.h, first.w, first.cin), image, tuple(ops))


def random_images(graph: Int8Graph, n: int, seed: int = 0) -> Int8Array:
    """int8 (n, h, w, c)."""
    rng = np.random.default_rng(seed)
    return rng.integers(-128, 128, (n, *graph.input_shape)).astype(np.int8)


__all__ = ["network_of", "random_graph", "random_images", "trained_like"]
