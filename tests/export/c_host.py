"""Exported C code on this computer: compiled once, called through ctypes, every operator seen."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import torch

from hybrid_nas.export.c_code.network import CNetwork
from hybrid_nas.export.c_code.project import CProject, write_c_project
from hybrid_nas.quantise.fake_quant import FakeQuantNet
from hybrid_nas.quantise.float_graph import float_graph
from hybrid_nas.quantise.int8_graph import Int8Graph, Int8Op, int8_graph
from hybrid_nas.quantise.int8_kernels import Int8Array
from hybrid_nas.quantise.scheme import Affine
from hybrid_nas.resources import firmware_dir
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.supernet.standalone import StandaloneNet
from hybrid_nas.typing import ByteArray
from tests.quantise.test_fake_quant import images, trained_like

FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")

# Keeps a copy of every operator's output; sends by writing down what it was given.
PROBE = """
#include <string.h>
#include "hnas_model.h"

int8_t *traced;
int32_t traced_op;
uint32_t traced_bytes;
void hnas_trace(int op_index, const int8_t *output, uint32_t bytes)
{
    if (op_index != traced_op++)
        traced_op = -1000;
    memcpy(traced + traced_bytes, output, bytes);
    traced_bytes += bytes;
}

uint32_t result_bytes(void) { return sizeof(hnas_result); }

#if HNAS_HAS_ROUTER
int answers, asked;
int16_t answered;
uint32_t asked_timeout;
uint8_t seen[HNAS_IMAGE_BYTES];
static int probe_send(void *context, const uint8_t *image, uint32_t bytes, uint32_t timeout_ms,
                      hnas_answer *answer)
{
    memcpy(seen, image, bytes);
    asked_timeout = timeout_ms;
    asked += *(int *)context;
    answer->class_index = answered;
    return answers ? 0 : -1;
}
int classify(const uint8_t *image, hnas_result *out)
{
    int one = 1;
    return hnas_classify(image, probe_send, &one, 250, out);
}
#endif
"""


def run_gcc(*arguments: str | Path) -> None:
    done = subprocess.run(["gcc", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@cache
def _kernels() -> Path:
    """The kernels, which all projects have in common, compiled once."""
    folder = Path(mkdtemp())
    sources = sorted((firmware_dir() / "kernels").glob("*.c"))
    include = f"-I{firmware_dir()}"
    run_gcc("-std=c99", "-O2", "-fPIC", "-shared", include, *sources, "-o", folder / "kernels.so")
    return folder / "kernels.so"


@cache
def _compiled(text: str) -> Path:
    """Constants that several projects may have in common, as an object file."""
    folder = Path(mkdtemp())
    (folder / "hnas_weights.c").write_text(
        text.replace('#include "hnas_weights.h"', "#include <stdint.h>")
    )
    run_gcc("-std=c99", "-fPIC", "-c", folder / "hnas_weights.c", "-o", folder / "weights.o")
    return folder / "weights.o"


@dataclass(frozen=True)
class Answer:
    """What the exported code says of one image."""

    status: int
    class_index: int
    sent: bool
    send_score: np.float32
    scores: Int8Array


class HostNetwork:
    """A project's library."""

    def __init__(self, network: CNetwork, folder: Path) -> None:
        self.network = network
        self._first = network.patches.n_ops - 1 if network.patches is not None else 0
        self.project: CProject = write_c_project(network, folder)
        (folder / "probe.c").write_text(PROBE)
        weights = _compiled((folder / "src" / "hnas_weights.c").read_text())
        own = [p for p in (folder / "src").glob("*.c") if p.name != "hnas_weights.c"]
        library = folder / "model.so"
        options = [*FLAGS, "-fPIC", "-shared", "-DHNAS_TRACE", f"-I{self.project.include}"]
        run_gcc(*options, *own, folder / "probe.c", weights, _kernels(), "-o", library)
        self.library = ctypes.CDLL(str(library))
        self.library.hnas_image.restype = ctypes.c_void_p
        self._traced = np.zeros(sum(op.spec.out_bytes for op in network.graph.ops), np.int8)
        self._variable("traced", ctypes.c_void_p).value = self._traced.ctypes.data

    def _variable(self, name: str, kind: Any) -> Any:
        return kind.in_dll(self.library, name)

    def run(
        self, image: ByteArray, *, in_arena: bool = False, function: str = "hnas_run"
    ) -> Answer:
        """Run on an image (h, w, c); `in_arena` puts it into `hnas_image` first."""
        self._variable("traced_op", ctypes.c_int32).value = self._first
        self._variable("traced_bytes", ctypes.c_uint32).value = 0
        pixels = np.ascontiguousarray(image)
        at = pixels.ctypes.data
        if in_arena:
            at = self.library.hnas_image()
            ctypes.memmove(at, pixels.ctypes.data, pixels.nbytes)
        out = np.zeros(self.library.result_bytes(), np.uint8)
        call = getattr(self.library, function)
        status = call(ctypes.c_void_p(at), ctypes.c_void_p(out.ctypes.data))
        raw = out.tobytes()
        classes = self.network.graph.classes
        return Answer(
            status,
            int(np.frombuffer(raw, np.int16, 1)[0]),
            bool(raw[2]),
            np.frombuffer(raw, np.float32, 1, 4)[0],
            np.frombuffer(raw, np.int8, classes, 8),
        )

    def traced(self) -> list[Int8Array]:
        """Outputs of the operators of the last run, (h, w, c) each; of a stage that runs in
        patches, of its last operator alone."""
        assert self._variable("traced_op", ctypes.c_int32).value == len(self.network.graph.specs)
        specs = self.network.graph.specs[self._first :]
        ends = np.cumsum([spec.out_bytes for spec in specs])[:-1]
        parts = np.split(self._traced[: sum(spec.out_bytes for spec in specs)].copy(), ends)
        return [p.reshape(s.out_h, s.out_w, s.cout) for p, s in zip(parts, specs, strict=True)]

    def set(self, name: str, kind: Any, value: float) -> None:
        self._variable(name, kind).value = value

    def get(self, name: str, kind: Any) -> Any:
        return self._variable(name, kind).value

    def seen(self) -> ByteArray:
        """The image that was sent."""
        kind = ctypes.c_uint8 * int(np.prod(self.network.graph.input_shape))
        return np.array(self._variable("seen", kind), np.uint8)


def random_graph(
    specs: Sequence[OpSpec], input_shape: tuple[int, int, int], seed: int
) -> Int8Graph:
    """Any operators in int8, with random weights and scales that use most of the range."""
    random = np.random.default_rng(seed)
    image = Affine(float(np.float32(2 / 255)), 0)
    ops: list[Int8Op] = []
    for index, spec in enumerate(specs):
        source = image if index < spec.source else ops[index - spec.source].output
        if spec.op in ("avgpool", "maxpool"):
            ops.append(Int8Op(spec, source))
            continue
        scale = float(np.float32(source.scale * random.uniform(0.5, 2.0)))
        output = Affine(scale, int(random.integers(-128, 128)))
        if not spec.weights:
            ops.append(Int8Op(spec, output))
            continue
        shape = {
            "conv": (spec.cout, spec.kernel, spec.kernel, spec.cin),
            "dwconv": (spec.kernel, spec.kernel, spec.cout),
            "dense": (spec.cout, spec.cin),
        }[spec.op]
        weight = random.integers(-127, 128, shape).astype(np.int8)
        gain = 1.0 / (64.0 * np.sqrt(spec.weights / spec.cout))
        scales = (gain * random.uniform(0.3, 3.0, spec.cout)).astype(np.float32)
        bias = random.integers(-20000, 20000, spec.cout).astype(np.int32)
        ops.append(Int8Op(spec, output, weight, scales, bias))
    return Int8Graph(input_shape, image, tuple(ops))


def narrow_graph(seed: int = 0) -> Int8Graph:
    """A random network of space `mcunet` at its smallest width and resolution, calibrated."""
    space = load_space("mcunet", input_shape=(32, 32, 3), classes=10)
    row = space.sample(1, np.random.default_rng(seed))[0]
    row[:2] = 0  # resolution and width
    genes = tuple(space.canonical(row[None])[0].tolist())
    torch.manual_seed(seed)
    network = trained_like(StandaloneNet(space.architecture(genes)), seed)
    fake = FakeQuantNet(float_graph(network)).eval()
    fake.calibrate([images(network, 16)])
    return int8_graph(fake, network.architecture.input_shape)


def classes_of(graph: Int8Graph) -> tuple[str, ...]:
    return tuple(f"class {number}" for number in range(graph.classes))


def c_network(graph: Int8Graph, name: str = "net", **options: Any) -> CNetwork:
    return CNetwork(name, graph, classes_of(graph), **options)
