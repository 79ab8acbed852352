"""Memory and work of stages that run patch by patch, of many networks at once.

While a stage runs, the image and the tensor that patches are put together to are in memory from
beginning to end. Beside them are one patch's tensors, planned by their lifetimes like a network's,
each as large as the largest patch needs it, so that one plan serves all patches. What is not in one
piece is copied first, which takes scratch memory: an operator's part of the image, above all. With
patches side by side the last output is made apart and then copied to its place; strips of full
width are written there directly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.hardware.patch_regions import Grid, StageSpans
from hybrid_nas.hardware.runtimes import SramModel, evaluate
from hybrid_nas.hardware.sram import last_uses, live_bytes
from hybrid_nas.typing import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class StageMemory:
    """What n stages of k operators need, patch by patch; sizes in bytes, whole words or tensors.

    Attributes:
        tensors: of the image (0: it is counted in `held`) and of every patch's outputs, (n, k + 1).
        held: image and assembled output, (n,).
        scratch: of each operator, the copy of its operand included, (n, k).
        copies: that copy alone, (n, k).
        in_place: which operators write over their first operand, bool (n, k).
        buffers: buffers that all operators share, (n, buffers).
        live: at the busiest moment of each operator, (n, k).
        pixels: output pixels computed, all patches together, over those of the whole output,
            float64 (n, k).
    """

    tensors: IntArray
    held: IntArray
    scratch: IntArray
    copies: IntArray
    in_place: BoolArray
    buffers: IntArray
    live: IntArray
    pixels: FloatArray


def stage_memory(model: SramModel, arrays: OpArrays, spans: StageSpans) -> StageMemory:
    """Plan n stages; `arrays` has their n * k operators, one stage after the other.

    Every output must be at least as large as the grid.
    """
    wiring, grid = spans.wiring, spans.grid
    k = len(wiring)
    itemsize = arrays.itemsize.reshape(-1, k)
    channels = np.concatenate(
        [arrays.cin.reshape(-1, k)[:, :1], arrays.cout.reshape(-1, k)], axis=1
    )
    high, wide = spans.rows.count.max(2).T, spans.columns.count.max(2).T
    tensors = model.align(high * wide * channels * itemsize[:, :1])
    image = tensors[:, 0].copy()
    tensors[:, 0] = 0
    if grid.columns == 1:
        tensors[:, k] = 0
    whole_out = arrays.out_bytes.reshape(-1, k)[:, -1]

    read = spans.rows.read_count.max(2).T * spans.columns.read_count.max(2).T
    copies = np.where(spans.copies, model.align(read * arrays.cin.reshape(-1, k) * itemsize), 0)
    of_patch = patch_arrays(arrays, spans)
    scratch = model.scratch_bytes(of_patch).reshape(-1, k) + copies
    in_place = may_overwrite(spans) & (copies == 0)
    if grid.columns == 1:
        in_place[:, k - 1] = False
    reuse = np.where(in_place, model.reuse(of_patch).reshape(-1, k), 0.0)
    held = image + model.align(whole_out)
    nothing = np.zeros_like(scratch)
    live = live_bytes(
        wiring, tensors, nothing, scratch, reuse, frozenset(), whole_places=model.own_kernels
    )
    buffers = [
        evaluate(formula, of_patch).reshape(-1, k).max(1)
        for formula in model.network_buffers.values()
    ]
    whole_pixels = (arrays.out_h * arrays.out_w).reshape(-1, k)
    return StageMemory(
        tensors=tensors,
        held=held,
        scratch=scratch,
        copies=copies,
        in_place=np.asarray(reuse > 0),
        buffers=np.array(buffers, np.int64).reshape(len(buffers), len(held)).T,
        live=live + held[:, None],
        pixels=spans.pixels / whole_pixels,
    )


def patch_arrays(arrays: OpArrays, spans: StageSpans) -> OpArrays:
    """Each operator as the largest patch has it: padding, where there is any, made part of it."""

    def along(count: IntArray) -> IntArray:
        out = count[1:].max(2).T.reshape(-1)
        return np.asarray((out - 1) * arrays.stride + arrays.kernel)

    none = np.zeros_like(arrays.padding)
    high, wide = along(spans.rows.count), along(spans.columns.count)
    return replace(arrays, h=high, w=wide, padding=none)


def may_overwrite(spans: StageSpans) -> BoolArray:
    """Which operators' outputs, in every patch, fit over their first operand, bool (n, k).

    The operand dies there, is read whole, and is at least as large; for an addition, equally large,
    which is what `AxisSpans.reads_all` says of it.
    """
    wiring = spans.wiring
    last = last_uses(wiring)
    fits = np.ones((spans.rows.start.shape[1], len(wiring)), bool)
    for axis in (spans.rows, spans.columns):
        fits &= axis.reads_all(wiring).all(2).T
        fits &= (axis.count[1:] <= axis.read_count).all(2).T
    dies = [last[t + 1 - source] == t and t >= source for t, (source, _) in enumerate(wiring)]
    return np.asarray(fits & np.array(dies))


def enough_pixels(arrays: OpArrays, k: int, grid: Grid) -> BoolArray:
    """`pixels_suffice` of the last outputs of n stages of k operators, (n,)."""
    high, wide = (each.reshape(-1, k)[:, -1] for each in (arrays.out_h, arrays.out_w))
    return np.asarray((high >= grid.rows) & (wide >= grid.columns))


def extra_macs(arrays: OpArrays, memory: StageMemory, k: int) -> IntArray:
    """Multiply-accumulates beyond those of the whole, int64 (n,)."""
    macs = arrays.macs.reshape(-1, k)
    with_patches = np.rint((macs * memory.pixels).sum(1)).astype(np.int64)
    return np.asarray(with_patches - macs.sum(1))
