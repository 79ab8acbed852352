"""Runs the first operators of an int8 network patch by patch: equal to `run_int8` to the bit."""

from __future__ import annotations

import numpy as np

from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.hardware.patch_regions import AxisSpans, Patches, StageSpans, check_stage
from hybrid_nas.quantise.int8_graph import Int8Graph
from hybrid_nas.quantise.int8_kernels import Int8Array
from hybrid_nas.quantise.int8_reference import run_op
from hybrid_nas.spaces.opspec import OpSpec


def run_stage(graph: Int8Graph, patches: Patches, images: Int8Array) -> Int8Array:
    """Output of the last operator of the stage, (..., h, w, c), for images (..., h, w, c).

    Each patch sees nothing of a tensor but the part that the plan keeps in memory.

    Raises:
        InputError: those operators cannot run in patches.
    """
    specs = graph.specs[: patches.n_ops]
    check_stage(graph.specs, patches)
    wiring = tuple((spec.source, spec.residual) for spec in specs)
    spans = StageSpans.of(OpArrays.of(specs), wiring, patches.grid)
    last = specs[-1]
    whole = np.zeros((*images.shape[:-3], last.out_h, last.out_w, last.cout), np.int8)
    for row in range(patches.grid.rows):
        for column in range(patches.grid.columns):
            tensors = [images]
            for index, spec in enumerate(specs):
                tensors.append(_run_patch(graph, index, spec, tensors, spans, row, column))
            top, high = _stored(spans.rows, len(specs), row)
            left, wide = _stored(spans.columns, len(specs), column)
            whole[..., top : top + high, left : left + wide, :] = tensors[-1]
    return whole


def _run_patch(
    graph: Int8Graph,
    index: int,
    spec: OpSpec,
    tensors: list[Int8Array],
    spans: StageSpans,
    row: int,
    column: int,
) -> Int8Array:
    borders, parts = [], []
    for axis, number in ((spans.rows, row), (spans.columns, column)):
        start, count = (int(each[index, 0, number]) for each in (axis.read_start, axis.read_count))
        made = _stored(axis, index + 1, number)[1]
        before = int(axis.pad[index, 0, number])
        after = (made - 1) * spec.stride + spec.kernel - before - count
        borders.append((before, max(0, after)))
        parts.append((start, count))
    operands = []
    for distance in (spec.source, spec.residual) if spec.residual else (spec.source,):
        tensor = index + 1 - distance
        (top, high), (left, wide) = parts
        top -= _stored(spans.rows, tensor, row)[0]
        left -= _stored(spans.columns, tensor, column)[0]
        operands.append(tensors[tensor][..., top : top + high, left : left + wide, :])
    return run_op(graph, index, operands, (borders[0], borders[1]))


def _stored(axis: AxisSpans, tensor: int, number: int) -> tuple[int, int]:
    """(start, count) of what a part keeps of a tensor."""
    return int(axis.start[tensor, 0, number]), int(axis.count[tensor, 0, number])
