"""Patches: what they need, pixel by pixel; their memory, step by step; choices one by one."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings

from hybrid_nas.errors import InputError
from hybrid_nas.export.c_code.plan import plan_arena
from hybrid_nas.hardware.boards import load_board
from hybrid_nas.hardware.cost import CostModel
from hybrid_nas.hardware.estimate import estimate
from hybrid_nas.hardware.latency_files import find_table
from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.hardware.patch_planning import choose_patches, plan_patches
from hybrid_nas.hardware.patch_regions import Grid, Patches, StageSpans, check_stage, is_stage
from hybrid_nas.hardware.patches import GRIDS, MAX_BLOCKS, STACK_BYTES, block_ends, parse_patches
from hybrid_nas.hardware.runtimes import load_runtime
from hybrid_nas.hardware.sram import plan
from hybrid_nas.hardware.uplink import UplinkImage
from hybrid_nas.spaces.cuts import cut_blocks
from hybrid_nas.spaces.interchange import read_architecture
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.spaces.opspec import OpSpec
from tests.conftest import shared_data
from tests.hardware.stages import Stage, input_shape, stages

TINYENGINE, HNAS_C = load_runtime("tinyengine"), load_runtime("hnas-c")


def spans_of(ops: tuple[OpSpec, ...], patches: Patches) -> StageSpans:
    stage = ops[: patches.n_ops]
    wiring = tuple((op.source, op.residual) for op in stage)
    return StageSpans.of(OpArrays.of(stage), wiring, patches.grid)


def needed_pixels(
    ops: tuple[OpSpec, ...], patches: Patches, row: int, column: int
) -> list[np.ndarray]:
    """Masks of the pixels of every tensor that one patch needs, traced one output at a time."""
    stage, grid = ops[: patches.n_ops], patches.grid
    shapes = [(stage[0].h, stage[0].w), *((op.out_h, op.out_w) for op in stage)]
    masks = [np.zeros(shape, bool) for shape in shapes]
    high, wide = shapes[-1]
    masks[-1][
        row * high // grid.rows : (row + 1) * high // grid.rows,
        column * wide // grid.columns : (column + 1) * wide // grid.columns,
    ] = True
    for t in range(len(stage) - 1, -1, -1):
        op = stage[t]
        masks[t + 1] = rectangle(masks[t + 1], grid)
        read = np.zeros((op.h, op.w), bool)
        for y, x in np.argwhere(masks[t + 1]):
            top, left = y * op.stride - op.padding, x * op.stride - op.padding
            read[max(top, 0) : max(top + op.kernel, 0), max(left, 0) : max(left + op.kernel, 0)] = 1
        for distance in (op.source, op.residual) if op.residual else (op.source,):
            masks[t + 1 - distance] |= read
    return masks


def rectangle(mask: np.ndarray, grid: Grid) -> np.ndarray:
    """The smallest one that holds a mask; all of an axis that is not cut."""
    rows, columns = mask.any(1), mask.any(0)
    full = np.zeros_like(mask)
    top, bottom = np.flatnonzero(rows)[[0, -1]]
    left, right = np.flatnonzero(columns)[[0, -1]]
    if grid.rows == 1:
        top, bottom = 0, len(rows) - 1
    if grid.columns == 1:
        left, right = 0, len(columns) - 1
    full[top : bottom + 1, left : right + 1] = True
    return full


@settings(max_examples=40)
@given(stages())
def test_a_patch_keeps_what_it_needs_and_no_more(stage: Stage) -> None:
    ops, patches = stage
    spans = spans_of(ops, patches)
    for row in range(patches.grid.rows):
        for column in range(patches.grid.columns):
            masks = needed_pixels(ops, patches, row, column)
            for t in range(1, patches.n_ops + 1):
                mask = rectangle(masks[t], patches.grid)
                for axis, part, there in (
                    (spans.rows, row, mask.any(1)),
                    (spans.columns, column, mask.any(0)),
                ):
                    start, count = axis.start[t, 0, part], axis.count[t, 0, part]
                    assert np.flatnonzero(there).tolist() == list(range(start, start + count))


def slow_peak(ops: tuple[OpSpec, ...], patches: Patches) -> int:
    """Peak of a stage under ``tinyengine``, image and output included: sets of live tensors."""
    stage, grid, k = ops[: patches.n_ops], patches.grid, patches.n_ops
    largest = [(0, 0)] * (k + 1)
    parts: dict[int, set[tuple[bool, bool]]] = {t: set() for t in range(k)}
    spans = spans_of(ops, patches)
    copied = [0] * k
    for row in range(grid.rows):
        for column in range(grid.columns):
            masks = [rectangle(m, grid) for m in needed_pixels(ops, patches, row, column)]
            masks[0] = np.ones_like(masks[0])  # the image is all there
            for t, mask in enumerate(masks):
                size = int(mask.any(1).sum()), int(mask.any(0).sum())
                largest[t] = max(largest[t][0], size[0]), max(largest[t][1], size[1])
            for t, op in enumerate(stage):
                read = [
                    int(a.read_count[t, 0, n])
                    for a, n in ((spans.rows, row), (spans.columns, column))
                ]
                source = masks[t + 1 - op.source]
                parts[t].add((read[0] < source.any(1).sum(), read[1] < source.any(0).sum()))
                copied[t] = max(copied[t], read[0] * read[1] * op.cin)
    channels = [stage[0].cin, *(op.cout for op in stage)]
    size = [-(-h * w * c // 4) * 4 for (h, w), c in zip(largest, channels, strict=True)]
    image, output = size[0], -(-ops[k - 1].out_bytes // 4) * 4
    size[0] = 0
    if grid.columns == 1:
        size[k] = 0
    peak = 0
    for t, op in enumerate(stage):
        later = [
            u + 1 - d
            for u in range(t + 1, k)
            for d in (
                (stage[u].source, stage[u].residual) if stage[u].residual else (stage[u].source,)
            )
        ]
        now = [t + 1 - op.source, *([t + 1 - op.residual] if op.residual else [])]
        alive = {tensor for tensor in {*later, *now} if tensor <= t}
        total = image + output + sum(size[tensor] for tensor in alive) + size[t + 1]
        copy = op.op != "add" and any(columns for _, columns in parts[t])
        total += -(-copied[t] // 4) * 4 if copy else 0
        whole = not any(rows or columns for rows, columns in parts[t])
        operand = t + 1 - op.source
        if op.op == "dwconv" and whole and operand > 0 and operand not in later:
            shrinks = all(
                axis.count[t + 1, 0, n] <= axis.read_count[t, 0, n]
                for axis in (spans.rows, spans.columns)
                for n in range(axis.count.shape[2])
            )
            total -= min(size[operand], size[t + 1]) if shrinks else 0
        peak = max(peak, total)
    return peak


@settings(max_examples=40)
@given(stages())
def test_memory_of_a_stage_is_that_of_sets_of_live_tensors(stage: Stage) -> None:
    ops, patches = stage
    found = plan_patches(ops, input_shape(ops), TINYENGINE, patches)
    assert max(found.plan.live_bytes[: patches.n_ops]) == slow_peak(ops, patches)


@settings(max_examples=40)
@given(stages())
def test_work_is_that_of_all_pixels_that_are_computed(stage: Stage) -> None:
    ops, patches = stage
    macs = 0
    for row in range(patches.grid.rows):
        for column in range(patches.grid.columns):
            masks = needed_pixels(ops, patches, row, column)
            for t, op in enumerate(ops[: patches.n_ops]):
                macs += int(rectangle(masks[t + 1], patches.grid).sum()) * op.weights
    whole = sum(op.macs for op in ops[: patches.n_ops])
    assert plan_patches(ops, input_shape(ops), HNAS_C, patches).extra_macs == macs - whole


@pytest.mark.parametrize("image", ["none", "input"])
def test_the_search_and_the_exporter_plan_the_same_memory(image: str) -> None:
    """Networks of a space: what the search counts is the exported code's arena, to the byte."""
    space = load_space("mcunet", input_shape=(96, 96, 3), classes=10)
    held = UplinkImage.parse(image)
    random = np.random.default_rng(3)
    for row in space.canonical(space.sample(6, random)):
        architecture = space.architecture(tuple(row.tolist()))
        ops, shape = architecture.ops, architecture.input_shape
        for end in random.choice(block_ends(architecture), 2, replace=False).tolist():
            patches = Patches(end, GRIDS[random.integers(len(GRIDS))])
            found = plan_patches(ops, shape, HNAS_C, patches, held)
            arena = plan_arena(ops, shape, hold_image=image == "input", patches=patches)
            beside = HNAS_C.sram.fixed_bytes + STACK_BYTES
            assert arena.arena_bytes == found.peak_bytes - beside


@pytest.mark.parametrize("runtime", [TINYENGINE, HNAS_C], ids=lambda r: r.id)
@pytest.mark.parametrize(("limit", "image"), [(None, "none"), (60_000, "input")])
def test_many_at_once_are_chosen_as_one_by_one(
    runtime: object, limit: int | None, image: str
) -> None:
    assert runtime in (TINYENGINE, HNAS_C)
    space = load_space("mcunet", input_shape=(64, 64, 3), classes=10)
    board, held = load_board("stm32f746"), UplinkImage.parse(image)
    table = find_table(board.id, runtime.id)
    model = CostModel(space, board, runtime, table, held, patches=True, patch_limit_bytes=limit)
    rows = space.canonical(space.sample(4, np.random.default_rng(1)))
    costs = model.evaluate(np.concatenate([rows, rows[:1]]))
    assert costs.sram_bytes[4] == costs.sram_bytes[0]
    for number, row in enumerate(rows):
        architecture = space.architecture(tuple(row.tolist()))
        ops, shape = architecture.ops, architecture.input_shape
        ends = block_ends(architecture)
        found = choose_patches(ops, shape, runtime, ends, held, limit_bytes=limit)
        if found is None:
            assert costs.patch_grid[number] == -1 and costs.patched_blocks[number] == 0
            assert costs.sram_bytes[number] == plan(ops, shape, runtime, held).peak_bytes
            assert costs.macs[number] == architecture.macs
            continue
        assert GRIDS[costs.patch_grid[number]] == found.patches.grid
        assert ends[costs.patched_blocks[number] - 1] == found.patches.n_ops
        assert costs.sram_bytes[number] == found.peak_bytes
        assert costs.macs[number] == architecture.macs + found.extra_macs
        assert not costs.measured[number]
        if limit is None and table is not None:
            alone = estimate(architecture, board, runtime, table, held, grids=GRIDS)
            assert alone.latency_ms == pytest.approx(costs.latency_ms[number])
            assert alone.flash_bytes == costs.flash_bytes[number]


def test_a_limit_keeps_networks_whole_and_patches_cheap() -> None:
    space = load_space("mcunet", input_shape=(96, 96, 3), classes=10)
    architecture = space.architecture(tuple(space.canonical(space.extremes()[1:])[0].tolist()))
    ops, shape, ends = architecture.ops, architecture.input_shape, block_ends(architecture)

    def choice(limit: int | None) -> tuple[int, int] | None:
        found = choose_patches(ops, shape, TINYENGINE, ends, limit_bytes=limit)
        return None if found is None else (found.peak_bytes, found.extra_macs)

    whole = plan(ops, shape, TINYENGINE).peak_bytes
    least = choice(None)
    assert choice(whole) is None and least is not None
    near = choice(whole - 1)
    assert near is not None and least[0] <= near[0] < whole and near[1] < least[1]
    assert choice(1) == least  # nothing fits: the smallest


def test_an_early_router_keeps_what_it_reads_out_of_patches() -> None:
    space = load_space("mcunet", input_shape=(96, 96, 3), classes=10)
    rows = space.canonical(space.sample(6, np.random.default_rng(0)))
    model = CostModel(space, load_board("stm32f746"), TINYENGINE, patches=True)
    late, early = model.evaluate(rows), model.evaluate(rows, router_cut=1)
    assert (early.sram_bytes >= late.sram_bytes).all()
    for number, row in enumerate(rows):
        before = cut_blocks(space, tuple(row.tolist()))[0]
        assert early.patched_blocks[number] <= before


def test_what_cannot_run_in_patches_is_refused() -> None:
    conv, pool = OpSpec("conv", 8, 8, 3, 3), OpSpec("avgpool", 8, 8, 3, 3, kernel=0, bias=False)
    skip = OpSpec("add", 8, 8, 3, 3, bias=False, residual=2)
    assert is_stage((conv, conv, pool), 2)
    assert not is_stage((conv, conv, pool), 3)  # nothing is left to run whole
    assert not is_stage((conv, pool, OpSpec("dense", 1, 1, 3, 2)), 2)  # pools the whole image
    assert not is_stage((conv, conv, skip, pool), 2)  # the addition reads the first output
    assert is_stage((conv, conv, skip, pool), 3)
    assert not is_stage((conv, conv, pool), 2, hold=frozenset({0}))
    with pytest.raises(InputError, match="first 3 of 3 operators cannot run in patches"):
        check_stage((conv, conv, pool), Patches(3, Grid(2, 2)))
    with pytest.raises(InputError, match="9x1 patches of an output of 8x8"):
        check_stage((conv, conv, pool), Patches(2, Grid(9, 1)))
    with pytest.raises(InputError, match="runtime cmsis-nn runs no patches"):
        plan_patches((conv, pool), (8, 8, 3), load_runtime("cmsis-nn"), Patches(1, Grid(2, 2)))
    with pytest.raises(InputError, match="runtime tflm runs no patches"):
        space = load_space("mcunet")
        CostModel(space, load_board("stm32f746"), load_runtime("tflm"), patches=True)


def test_grids_are_read() -> None:
    assert parse_patches("off") == () and parse_patches("AUTO") == GRIDS
    assert parse_patches("3") == (Grid(3, 3),) and parse_patches("4x1") == (Grid(4, 1),)
    for wrong in ("1", "1x1", "0", "2x", "x2", "-2", "2x2x2", "yes", ""):
        with pytest.raises(InputError, match="--patches: no grid of patches"):
            parse_patches(wrong)


def test_patches_can_raise_the_peak_and_are_then_not_chosen() -> None:
    ops = (OpSpec("conv", 16, 16, 3, 16, 5, 2, 2), OpSpec("avgpool", 8, 8, 16, 16, 0, bias=False))
    whole = plan(ops, (16, 16, 3), HNAS_C).peak_bytes
    assert plan_patches(ops, (16, 16, 3), HNAS_C, Patches(1, Grid(2, 2))).peak_bytes > whole
    assert choose_patches(ops, (16, 16, 3), HNAS_C, [1]) is None


def test_mcunet_in3_fits_in_less() -> None:
    """256 KB boards hold the published network with patches (whole: 260 KB, published 266,344)."""
    path = shared_data("mcunet/mcunet-in3.json")
    result = estimate(read_architecture(path), load_board("stm32f746"), TINYENGINE, grids=GRIDS)
    assert result.whole_bytes == 266_344
    assert result.sram_bytes < 192 * 1024 and result.patched is not None
    assert result.macs == result.architecture.macs + result.patched.extra_macs
    assert result.document()["patches"]["blocks"] <= MAX_BLOCKS
    assert prod(result.architecture.input_shape) < result.sram_bytes
