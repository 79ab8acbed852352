"""The SRAM planner against a brute-force one, hand-made networks, and its own promises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_nas.errors import HybridNasError
from hybrid_nas.hardware.runtimes import load_runtime, runtime_ids
from hybrid_nas.hardware.sram import INPUT, last_uses, plan
from hybrid_nas.hardware.uplink import NO_UPLINK, UplinkImage
from hybrid_nas.spaces.opspec import OpSpec
from tests.hardware.brute_force import PLANNED, peak_sram_bytes
from tests.hardware.graphs import graphs

runtimes = st.sampled_from(runtime_ids()).map(load_runtime)
planned = st.sampled_from(PLANNED).map(load_runtime)
TINYENGINE = load_runtime("tinyengine")


def shape_of(ops: tuple[OpSpec, ...]) -> tuple[int, int, int]:
    return ops[0].h, ops[0].w, ops[0].cin


@given(graphs(), planned, st.booleans(), st.integers(0, 999), st.integers(0, 999))
def test_the_peak_is_what_brute_force_finds(
    ops: tuple[OpSpec, ...], runtime: object, hold: bool, extra: int, router: int
) -> None:
    uplink = UplinkImage("?", holds_input=hold, extra_bytes=extra)
    found = plan(ops, shape_of(ops), runtime, uplink, router_bytes=router, reserve_bytes=17)
    expected = peak_sram_bytes(
        ops, runtime, hold_input=hold, extra_bytes=extra, router_bytes=router, reserve_bytes=17
    )
    assert found.peak_bytes == expected


@given(graphs(), runtimes)
def test_holding_more_never_takes_less(ops: tuple[OpSpec, ...], runtime: object) -> None:
    shape = shape_of(ops)
    free = plan(ops, shape, runtime)
    held = plan(ops, shape, runtime, UplinkImage.parse("input"))
    all_held = plan(ops, shape, runtime, hold=frozenset(range(-1, len(ops))))
    assert free.peak_bytes <= held.peak_bytes <= all_held.peak_bytes
    size = shape[0] * shape[1] * shape[2]
    # at most the input more: it is a lifetime, not an addition where it is live already (in-place
    # writing over it, and rounding up, can cost a little beside)
    out = max(op.out_bytes for op in ops)
    assert held.peak_bytes <= free.peak_bytes + size + out + 16


@given(graphs(), runtimes)
def test_every_operator_has_its_tensors_in_memory(ops: tuple[OpSpec, ...], runtime: object) -> None:
    found = plan(ops, shape_of(ops), runtime)
    for number, op in enumerate(ops):
        assert found.live_bytes[number] >= max(op.in_bytes, op.out_bytes)
        for tensor in (found.tensors[number + 1 - op.source], found.tensors[number + 1]):
            assert tensor.first <= number <= tensor.last
    assert found.live_bytes[found.peak_index] == max(found.live_bytes)


BLOCK = (  # 8x8x4 -> expand 16 -> depthwise -> project 4, shortcut
    OpSpec("conv", 8, 8, 4, 16),
    OpSpec("dwconv", 8, 8, 16, 16, 3, 1, 1),
    OpSpec("conv", 8, 8, 16, 4),
    OpSpec("add", 8, 8, 4, 4, bias=False, residual=4),
)


def test_a_shortcut_is_held_and_depthwise_is_in_place() -> None:
    found = plan(BLOCK, (8, 8, 4), TINYENGINE)
    assert found.live_bytes == (
        256 + 1024,  # input (which is the shortcut) and expanded
        256 + 1024,  # depthwise writes over its input
        256 + 1024 + 256,  # shortcut, expanded, projected
        256 + 256 + 256,
    )
    assert found.peak_index == 2
    # one im2col buffer (the depthwise plane is the largest), no kernel copy for 1x1
    assert found.buffer_bytes == {"im2col": 2 * 10 * 10, "kernel": 0}
    assert found.peak_bytes == 1536 + 200


def test_a_depthwise_whose_input_is_a_shortcut_cannot_be_in_place() -> None:
    ops = (
        OpSpec("dwconv", 8, 8, 4, 4, 3, 1, 1),
        OpSpec("conv", 8, 8, 4, 4),
        OpSpec("add", 8, 8, 4, 4, bias=False, residual=3),
    )
    assert plan(ops, (8, 8, 4), TINYENGINE).live_bytes[0] == 512


def test_explicit_padding_copies_the_input_first() -> None:
    ops = (OpSpec("dwconv", 8, 8, 4, 4, 3, 2, 1),)
    found = plan(ops, (8, 8, 4), load_runtime("tflm"))
    assert found.live_bytes == (256 + 10 * 10 * 4,)  # more than the copy and the 4x4x4 output
    late = plan((OpSpec("conv", 8, 8, 4, 32, 3, 1, 1),), (8, 8, 4), load_runtime("tflm"))
    assert late.live_bytes == (400 + 2048,)


def test_the_held_image_counts_where_it_would_be_gone() -> None:
    ops = (OpSpec("conv", 8, 8, 3, 1), OpSpec("conv", 8, 8, 1, 8))
    free = plan(ops, (8, 8, 3), TINYENGINE)
    held = plan(ops, (8, 8, 3), TINYENGINE, UplinkImage.parse("input"))
    assert free.live_bytes == (192 + 64, 64 + 512)
    assert held.live_bytes == (192 + 64, 192 + 64 + 512)


def test_a_picture_beside_the_input_is_added_throughout() -> None:
    ops = (OpSpec("conv", 8, 8, 3, 1), OpSpec("conv", 8, 8, 1, 8))
    held = plan(ops, (8, 8, 3), TINYENGINE, UplinkImage.parse("10x10x2"))
    assert held.live_bytes == (192 + 64 + 200, 64 + 512 + 200)


def test_the_router_runs_after_the_base() -> None:
    ops = (OpSpec("conv", 2, 2, 3, 2), OpSpec("avgpool", 2, 2, 2, 2, kernel=0, bias=False))
    image = UplinkImage.parse("input")
    small = plan(ops, (2, 2, 3), TINYENGINE, image, router_bytes=4)
    large = plan(ops, (2, 2, 3), TINYENGINE, image, router_bytes=1000)
    assert small.router_bytes == 12 + 4
    assert small.peak_bytes == plan(ops, (2, 2, 3), TINYENGINE, image).peak_bytes
    assert large.peak_index == len(ops)
    assert large.peak_bytes - large.overhead_bytes == 12 + 1000


def test_outputs_that_the_router_reads_are_kept() -> None:
    kept = plan(BLOCK, (8, 8, 4), TINYENGINE, hold=frozenset({0}))
    assert kept.live_bytes == (1280, 1280 + 1024, 2560, 1024 + 768)
    assert kept.tensors[1].last == len(BLOCK)


def test_a_reserve_is_added() -> None:
    plain = plan(BLOCK, (8, 8, 4), TINYENGINE)
    assert plan(BLOCK, (8, 8, 4), TINYENGINE, reserve_bytes=99).peak_bytes == plain.peak_bytes + 99


def test_lifetimes_end_with_the_last_reader() -> None:
    wiring = tuple((op.source, op.residual) for op in BLOCK)
    assert last_uses(wiring) == [3, 1, 2, 3, 4]
    assert last_uses(wiring, frozenset({INPUT, 1})) == [4, 1, 4, 3, 4]


def test_an_operator_cannot_read_what_comes_later() -> None:
    with pytest.raises(HybridNasError, match="operator 0 reads the output of operator -2"):
        plan((OpSpec("conv", 8, 8, 4, 4, source=2),), (8, 8, 4), TINYENGINE, NO_UPLINK)
