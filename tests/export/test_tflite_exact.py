"""TFLite files in two outside interpreters.

LiteRT computes as the reference does, so every operator's output is equal to the bit: each is made
the last one of a file, since XNNPACK keeps no others. TensorFlow Lite for Microcontrollers rounds
twice, so a single operator is within a step of the reference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from hybrid_nas.export.tflite_borders import Border
from hybrid_nas.export.tflite_file import tflite_bytes
from hybrid_nas.export.tflite_judges import LiteRt, Tflm
from hybrid_nas.quantise.int8_graph import Int8Graph
from hybrid_nas.quantise.int8_reference import run_int8
from hybrid_nas.spaces.opspec import OpSpec
from tests.export.tflite_networks import network_of, random_graph, random_images, trained_like


def conv(side: int, cin: int, cout: int, kernel: int, stride: int, **more: object) -> OpSpec:
    return OpSpec("conv", side, side, cin, cout, kernel, stride, kernel // 2, **more)  # type: ignore[arg-type]


def windows(side: int, kernel: int, stride: int) -> tuple[OpSpec, ...]:
    first = conv(side, 3, 8, kernel, stride, activation="relu6")
    h = first.out_h
    second = OpSpec("dwconv", h, h, 8, 8, kernel, stride, kernel // 2, activation="relu")
    return first, second, conv(second.out_h, 8, 5, 1, 1)


POOLS = (
    conv(9, 3, 8, 1, 1),
    OpSpec("maxpool", 9, 9, 8, 8, 3, 2, 1, bias=False),
    OpSpec("add", 5, 5, 8, 8, bias=False, residual=1, activation="relu"),
    OpSpec("avgpool", 5, 5, 8, 8, 2, 1, 0, bias=False),
    OpSpec("avgpool", 4, 4, 8, 8, kernel=0, bias=False),
    OpSpec("dense", 1, 1, 8, 7),
)
EVEN_MAX = (conv(8, 3, 8, 1, 1), OpSpec("maxpool", 8, 8, 8, 8, 3, 2, 1, bias=False))


def beginnings(graph: Int8Graph) -> Iterator[Int8Graph]:
    """The network up to each of its operators."""
    for end in range(1, len(graph.ops) + 1):
        yield replace(graph, ops=graph.ops[:end])


def check_litert(graph: Int8Graph, border: Border = "auto", images: int = 4) -> None:
    pytest.importorskip("ai_edge_litert", reason="LiteRT (ai-edge-litert) is not installed")
    inputs = random_images(graph, images)
    wanted = run_int8(graph, inputs)
    for beginning, outputs in zip(beginnings(graph), wanted, strict=True):
        judge = LiteRt(tflite_bytes(network_of(beginning), border=border))
        found = np.stack([judge.scores(image) for image in inputs])
        assert np.array_equal(found, outputs.reshape(images, -1)), beginning.ops[-1].spec


@pytest.mark.parametrize("border", ["auto", "kernel", "pad"])
@pytest.mark.parametrize(
    ("side", "kernel", "stride"),
    [(8, 3, 1), (8, 3, 2), (9, 3, 2), (10, 5, 2), (11, 5, 2), (12, 7, 2), (7, 7, 1), (8, 1, 2)],
)
def test_every_window_in_litert(side: int, kernel: int, stride: int, border: Border) -> None:
    check_litert(random_graph(windows(side, kernel, stride)), border)


def test_a_window_of_unequal_sides_in_litert() -> None:
    op = OpSpec("dwconv", 7, 10, 4, 4, 3, 2, 1)
    for border in ("kernel", "pad"):
        check_litert(random_graph((op,)), border)


@pytest.mark.parametrize("specs", [POOLS, EVEN_MAX])
def test_pools_additions_and_dense_layers_in_litert(specs: tuple[OpSpec, ...]) -> None:
    check_litert(random_graph(specs))


@pytest.mark.parametrize(("space", "seed"), [("mcunet", 0), ("mcunet", 1)])
def test_every_operator_of_a_network_in_litert(space: str, seed: int) -> None:
    check_litert(trained_like(space, seed), images=1)


@pytest.mark.parametrize("specs", [windows(8, 3, 2), windows(9, 5, 2), POOLS, EVEN_MAX])
@pytest.mark.parametrize("border", ["kernel", "pad"])
def test_operators_in_tflm(specs: tuple[OpSpec, ...], border: Border) -> None:
    pytest.importorskip("tflite_micro", reason="TFLM (tflite-micro) is not installed")
    first = replace(random_graph(specs), ops=random_graph(specs).ops[:1])
    judge = Tflm(tflite_bytes(network_of(first), border=border))
    for image in random_images(first, 3):
        off = judge.scores(image).astype(int) - run_int8(first, image)[-1].reshape(-1)
        assert np.abs(off).max() <= 1 and np.mean(off != 0) < 0.05


def test_a_network_in_tflm_with_and_without_the_files_own_plan() -> None:
    pytest.importorskip("tflite_micro", reason="TFLM (tflite-micro) is not installed")
    network = network_of(trained_like("mcunet"))
    judges = [Tflm(tflite_bytes(network, with_plan=with_plan)) for with_plan in (True, False)]
    for image in random_images(trained_like("mcunet"), 2):
        planned, unplanned = (judge.scores(image) for judge in judges)
        assert np.array_equal(planned, unplanned)
