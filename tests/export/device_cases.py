"""Routers of every design with random weights, their inputs, and their C, compiled and called."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest

from hybrid_nas.export.device_router import DeviceRouter
from hybrid_nas.quantise.int8_graph import Int8Graph, Int8Op
from hybrid_nas.quantise.int8_kernels import Int8Array
from hybrid_nas.quantise.scheme import Affine
from hybrid_nas.routing.confidence import CONFIDENCES
from hybrid_nas.routing.designs import ALL_DESIGNS, RouterDesign, design
from hybrid_nas.routing.fitted import FittedRouter
from hybrid_nas.routing.network import Layer, RouterNetwork
from hybrid_nas.routing.objectives import OBJECTIVES
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.typing import Float32Array

FIRMWARE = Path(__file__).parents[2] / "firmware"
SOURCE = FIRMWARE / "router" / "hnas_router.c"
CUTS = (0, 1)
FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion"]

WRAPPER = """
void many(const hnas_router *router, int32_t n, const int8_t *scores, const int8_t *features,
          const int8_t *stage, uint8_t *scratch, float *out)
{
    for (int32_t i = 0; i < n; i++) {
        out[i] = hnas_send_score(router, scores, features, stage, scratch);
        if (scores)
            scores += router->classes;
        if (features)
            features += router->width;
        if (stage)
            stage += router->pixels * router->width;
    }
}
"""


def base(
    classes: int, features: int, *, seed: int = 0, stage: tuple[int, int] = (5, 7)
) -> Int8Graph:
    """The outline of a base: two stages (5 x 5 pixels, 7 channels), pooled features, scores."""
    random = np.random.default_rng(seed)
    side, channels = stage

    def affine() -> Affine:
        scale = float(np.float32(random.uniform(0.01, 0.3)))
        return Affine(scale, int(random.integers(-128, 128)))

    specs = (
        OpSpec("conv", side, side, 3, channels),
        OpSpec("conv", side, side, channels, channels),
        OpSpec("conv", side, side, channels, features),
        OpSpec("avgpool", side, side, features, features, kernel=0),
        OpSpec("dense", 1, 1, features, classes),
    )
    ops = tuple(Int8Op(spec, affine()) for spec in specs)
    return Int8Graph((side, side, 3), Affine(1.0, 0), ops)


def random_router(
    shape: RouterDesign, method: str, graph: Int8Graph, seed: int = 0
) -> FittedRouter:
    """A router of that shape, or a plain confidence of that name, for a base."""
    classes, cin = graph.classes, graph.ops[-1].spec.cin
    if method in CONFIDENCES:
        return FittedRouter(shape, method, None, classes, cin, {})
    width = graph.ops[0].spec.cout if shape.cut else cin if shape.needs_features else 0
    random = np.random.default_rng(seed)
    signals = shape.n_signals(classes, width)
    # One head more than the objective needs, in another order: the others must be left out.
    heads = ("ratio", *OBJECTIVES[method].heads[::-1], "only-cloud-again")

    def layer(inputs: int, outputs: int) -> Layer:
        weights = random.normal(size=(inputs, outputs)) / np.sqrt(inputs)
        return Layer(weights, random.normal(size=outputs))

    hidden = layer(signals, shape.hidden) if shape.hidden else None
    mean, scale = random.normal(size=signals), random.uniform(0.3, 3.0, signals)
    network = RouterNetwork(mean, scale, hidden, layer(shape.hidden or signals, len(heads)), heads)
    return FittedRouter(shape, method, network, classes, width, {})


@dataclass(frozen=True, eq=False)
class Inputs:
    """int8 tensors (n, ...) of a base."""

    scores: Int8Array
    features: Int8Array
    stage: Int8Array

    @classmethod
    def of(cls, graph: Int8Graph, n: int = 300, seed: int = 0) -> Inputs:
        """Random ones, and scores at their extremes: equal, saturated, far apart, tied."""
        random = np.random.default_rng(seed)
        spread = random.choice([1, 4, 20, 128], size=(n, 1))
        scores = random.integers(-128, 128, (n, graph.classes)) * spread // 128
        scores[0], scores[1], scores[2] = -128, 127, 0
        scores[3], scores[3, -1] = -128, 127
        scores[4], scores[4, 0] = 127, -128
        scores[5] = np.where(np.arange(graph.classes) % 2, 127, -128)
        scores[6], scores[6, :2] = -128, 127
        features = random.integers(-128, 128, (n, graph.ops[-1].spec.cin))
        spec = graph.ops[0].spec
        stage = random.integers(-128, 128, (n, spec.out_h, spec.out_w, spec.cout))
        features[:2], stage[:2] = [[-128], [127]], [[[[-128]]], [[[127]]]]
        tensors = (x.astype(np.int8) for x in (scores, features, stage))
        return cls(*(np.ascontiguousarray(x) for x in tensors))


def all_methods() -> Iterator[tuple[str, str]]:
    """Every design with every objective; plain confidences once."""
    for kind, shape in ALL_DESIGNS.items():
        if shape.blocks:
            yield from ((kind, method) for method in OBJECTIVES)
    yield from (("confidence", name) for name in CONFIDENCES)


def some_methods() -> Iterator[tuple[str, str]]:
    """Every design once, the objectives in turn; all plain confidences."""
    for (kind, shape), method in zip(ALL_DESIGNS.items(), cycle(OBJECTIVES), strict=False):
        if shape.blocks:
            yield kind, method
    yield from (("confidence", name) for name in CONFIDENCES)


def routers_of(graph: Int8Graph, methods: Iterable[tuple[str, str]]) -> list[DeviceRouter]:
    """One of each design and objective or confidence."""
    return [
        DeviceRouter.of(random_router(design(kind), method, graph, seed), graph, CUTS)
        for seed, (kind, method) in enumerate(methods)
    ]


def source_of(routers: Sequence[DeviceRouter]) -> str:
    """C of routers named r0, r1, ..."""
    texts = [router.to_c(f"r{index}") for index, router in enumerate(routers)]
    return "\n".join(["#include <stddef.h>", '#include "hnas_router.h"', *texts, WRAPPER])


class Compiled:
    """hnas_router.c with some routers' constants, on this computer."""

    def __init__(
        self,
        routers: Sequence[DeviceRouter],
        directory: Path,
        flags: Sequence[str] = ("-O2",),
        source: Path = SOURCE,
    ) -> None:
        text, path = directory / "routers.c", directory / "routers.so"
        text.write_text(source_of(routers))
        command = ["gcc", *FLAGS, *flags, "-shared", "-fPIC", f"-I{SOURCE.parent}"]
        done = subprocess.run(
            [*command, source, text, "-o", path], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        self.library = ctypes.CDLL(str(path))
        self.library.hnas_router_scratch.restype = ctypes.c_uint32

    def scores(self, index: int, router: DeviceRouter, inputs: Inputs) -> Float32Array:
        """What C computes; scratch memory is as long as it says, between bytes that stay."""
        struct = ctypes.byref(ctypes.c_uint8.in_dll(self.library, f"r{index}"))
        n_bytes = self.library.hnas_router_scratch(struct)
        assert n_bytes == router.scratch_bytes
        scratch = np.full(n_bytes + 64, 0x5A, np.uint8)
        n = len(inputs.scores)
        out = np.empty(n, np.float32)
        early = router.design.cut > 0
        self.library.many(
            struct,
            n,
            None if early else _pointer(inputs.scores),
            _pointer(inputs.features) if router.design.needs_features else None,
            _pointer(inputs.stage) if early else None,
            ctypes.c_void_p(scratch.ctypes.data + 32),
            _pointer(out),
        )
        assert (scratch[:32] == 0x5A).all() and (scratch[32 + n_bytes :] == 0x5A).all()
        return out

    def decisions(self, index: int, scores: Float32Array) -> tuple[list[bool], list[int]]:
        """The controller's, and the threshold after each."""
        constants = (ctypes.c_int32 * 6).in_dll(self.library, f"r{index}_rate")
        threshold = ctypes.c_int32(constants[0])
        decide = self.library.hnas_rate_decide
        decide.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_float]
        sent, after = [], []
        for score in scores:
            sent.append(bool(decide(ctypes.byref(constants), ctypes.byref(threshold), score)))
            after.append(threshold.value)
        return sent, after

    def sent(self, score: float, threshold: float) -> bool:
        """hnas_sent."""
        function = self.library.hnas_sent
        function.argtypes = [ctypes.c_float, ctypes.c_float]
        return bool(function(score, threshold))


def _pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def mirrored(router: DeviceRouter, inputs: Inputs) -> Float32Array:
    """What Python computes."""
    early = router.design.cut > 0
    return router.send_score(
        None if early else inputs.scores,
        inputs.features if router.design.needs_features else None,
        inputs.stage if early else None,
    )


def assert_same_bits(found: Float32Array, expected: Float32Array) -> None:
    """Bit for bit, the sign of 0 included."""
    assert found.dtype == expected.dtype == np.float32
    np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))


def arm_program(
    routers: Sequence[DeviceRouter], inputs: Inputs, flags: Sequence[str], directory: Path
) -> Path:
    """A program for a bare Cortex-M that prints the bits of every router's score of every input."""

    def array(name: str, x: Int8Array) -> str:
        return f"const int8_t {name}[] = {{{', '.join(map(str, x.reshape(-1).tolist()))}}};"

    names = ", ".join(f"&r{index}" for index in range(len(routers)))
    lines = [
        source_of(routers),
        f"const hnas_router *const routers[] = {{{names}}};",
        f"const int32_t n_routers = {len(routers)}, n_inputs = {len(inputs.scores)};",
        *(array(name, getattr(inputs, name)) for name in ("scores", "features", "stage")),
    ]
    text, script = directory / "routers.c", directory / "link.ld"
    text.write_text("\n".join(lines))
    script.write_text(
        "ENTRY(reset) SECTIONS { . = 0; .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) } "
        ".bss 0x20000000 : { *(.data*) *(.bss*) } }"
    )
    program = directory / "routers.elf"
    command = ["arm-none-eabi-gcc", *flags, "-mthumb", "-std=gnu11", "-O2", "-ffreestanding"]
    command += ["-nostdlib", f"-I{SOURCE.parent}", f"-T{script}", "-Wl,--build-id=none"]
    sources = [Path(__file__).with_name("device_probe.c"), SOURCE, text]
    subprocess.run([*command, *sources, "-lgcc", "-o", program], check=True)
    return program


needs_gcc = pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
