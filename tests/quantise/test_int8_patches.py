"""The first operators patch by patch against the whole, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.patch_regions import Grid, Patches
from hybrid_nas.quantise.int8_patches import run_stage
from hybrid_nas.quantise.int8_reference import run_int8
from tests.export.c_host import narrow_graph, random_graph
from tests.hardware.stages import Stage, input_shape, stages


@settings(max_examples=60)
@given(stages(), st.integers(0, 1000))
def test_any_stage_is_the_same_in_patches(stage: Stage, seed: int) -> None:
    ops, patches = stage
    graph = random_graph(ops, input_shape(ops), seed)
    images = np.random.default_rng(seed).integers(-128, 128, (2, *graph.input_shape), np.int8)
    whole = run_int8(graph, images)[patches.n_ops - 1]
    np.testing.assert_array_equal(run_stage(graph, patches, images), whole)


@pytest.mark.parametrize("grid", ["2x2", "3x3", "4x1", "1x3"])
def test_blocks_with_shortcuts_are_the_same_in_patches(grid: str) -> None:
    graph = narrow_graph(4)
    ends = [index + 1 for index, op in enumerate(graph.specs) if op.op == "add"][:2]
    images = np.random.default_rng(0).integers(-128, 128, (2, *graph.input_shape), np.int8)
    whole = run_int8(graph, images)
    for end in ends:
        found = run_stage(graph, Patches(end, Grid.parse(grid)), images)
        np.testing.assert_array_equal(found, whole[end - 1])


def test_a_stage_that_is_none_is_refused() -> None:
    graph = narrow_graph(4)
    images = np.zeros(graph.input_shape, np.int8)
    with pytest.raises(InputError, match="cannot run in patches"):
        run_stage(graph, Patches(len(graph.ops), Grid(2, 2)), images)
