"""The predicted arena of TensorFlow Lite for Microcontrollers against its interpreter's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from benchmarks.tflm_arena import compare, feasible, host_runtime, shaped_network
from hybrid_nas.export.tflite_borders import aligned
from hybrid_nas.export.tflite_file import tflite_bytes
from hybrid_nas.export.tflite_graph import tflite_graph
from hybrid_nas.export.tflite_judges import Tflm
from hybrid_nas.export.tflite_plan import arena_bytes
from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.hardware.runtimes import load_runtime
from hybrid_nas.hardware.sram import plan
from hybrid_nas.hardware.tflm import copied_bytes
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.spaces.opspec import OpSpec
from tests.export.tflite_networks import random_graph
from tests.hardware.graphs import graphs


def needs_tflm() -> None:
    pytest.importorskip("tflite_micro", reason="TFLM (tflite-micro) is not installed")


def test_random_subnets_are_within_two_percent_and_never_below() -> None:
    needs_tflm()
    found = feasible("mcunet", 320 * 1024, seed=3)
    for _ in range(4):
        row = compare(next(found))
        assert 0 <= row.error <= 0.02, row


def test_the_files_plan_saves_what_the_interpreters_own_wastes() -> None:
    needs_tflm()
    row = compare(next(feasible("mcunet", 320 * 1024, seed=2)))  # one on which it wastes
    assert row.observed < row.unplanned


def test_the_head_is_the_files_plan_to_the_byte() -> None:
    needs_tflm()
    network = shaped_network(next(feasible("mcunet", 320 * 1024, seed=5)))
    assert network.graph is not None
    head = Tflm(tflite_bytes(network)).arena().head
    assert head == arena_bytes(tflite_graph(network.graph))


@settings(max_examples=40)
@given(graphs())
def test_the_plan_in_the_file_is_as_small_as_the_prediction(ops: tuple[OpSpec, ...]) -> None:
    """Any wiring; the placement may miss the largest moment on graphs that are no chains.

    The file ends by reshaping the last output into scores, of which networks have few;
    here that may be the largest moment.
    """
    graph = tflite_graph(random_graph(ops))
    shape = random_graph(ops).input_shape
    predicted = plan(ops, shape, load_runtime("tflm-export"))
    tensors = max(predicted.live_bytes)
    reshaping = 2 * aligned(graph.tensors[graph.result].elements)
    assert tensors <= arena_bytes(graph) <= 1.25 * max(tensors, reshaping) + 64


def test_copies_are_counted_where_no_kernel_avoids_them() -> None:
    ops = (
        OpSpec("conv", 8, 8, 3, 16, 3, 2, 1),
        OpSpec("maxpool", 8, 8, 16, 16, 3, 2, 1, bias=False),
        OpSpec("maxpool", 9, 9, 16, 16, 3, 2, 1, bias=False),
    )
    assert copied_bytes(OpArrays.of(ops)).tolist() == [0, 9 * 9 * 16, 0]


def test_pointers_of_a_microcontroller_take_less() -> None:
    space = load_space("mcunet")
    ops = space.architecture(space.sample(1, np.random.default_rng(0))[0]).ops
    arrays = OpArrays.of(ops)
    device = load_runtime("tflm-export").sram.persistent_bytes(arrays).sum()
    assert device < host_runtime().sram.persistent_bytes(arrays).sum()
