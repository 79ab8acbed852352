"""The runtime hnas-c: the search's plan of many networks against the exporter's plan of each."""

from __future__ import annotations

import numpy as np
import pytest

from hybrid_nas.export.c_code.plan import plan_arena
from hybrid_nas.hardware.boards import load_board
from hybrid_nas.hardware.cost import CostModel
from hybrid_nas.hardware.flash import flash_bytes
from hybrid_nas.hardware.hnas_c import constant_bytes
from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.hardware.runtimes import load_runtime
from hybrid_nas.hardware.sram import plan
from hybrid_nas.hardware.uplink import UplinkImage
from hybrid_nas.spaces.loader import load_space

RUNTIME = load_runtime("hnas-c")
SPACES = ("mcunet-digits", "mcunet", "ofa-proxyless-w1.3")


@pytest.mark.parametrize("space_name", SPACES)
@pytest.mark.parametrize("held", ["none", "input"])
def test_the_arena_is_the_exporters_to_the_byte(space_name: str, held: str) -> None:
    space = load_space(space_name, input_shape=(96, 96, 3), classes=10)
    rows = space.canonical(space.sample(8, np.random.default_rng(5)))
    uplink = UplinkImage.parse(held)
    model = CostModel(space, load_board("emulated-cortex-m7"), RUNTIME, None, uplink)
    many = model.evaluate(rows).sram_bytes - RUNTIME.sram.fixed_bytes
    for row, arena in zip(rows, many.tolist(), strict=True):
        network = space.architecture(tuple(row.tolist()))
        shape = network.input_shape
        exported = plan_arena(network.ops, shape, hold_image=uplink.holds_input)
        alone = plan(network.ops, shape, RUNTIME, uplink).peak_bytes - RUNTIME.sram.fixed_bytes
        assert exported.arena_bytes == arena == alone


def test_scratch_and_writing_in_place_both_count() -> None:
    """Against sums by hand."""
    from hybrid_nas.spaces.opspec import OpSpec

    ops = (
        OpSpec("conv", 8, 8, 4, 16),  # scratch: two columns of 4 int16
        OpSpec(
            "dwconv", 8, 8, 16, 16, 3, 2, 1
        ),  # in place; under windows: 9 columns, so rows of 10
        OpSpec("conv", 4, 4, 16, 4),  # what it reads keeps the place of 1024 bytes
    )
    ring = 3 * (4 + 4 * 2 * (10 + 4))  # a place, four channels of a row and its weights
    found = plan(ops, (8, 8, 4), RUNTIME).live_bytes
    assert found == (256 + 1024 + 16, 1024 + ring, 1024 + 64 + 64)


def test_a_routers_code_counts_where_there_is_a_router() -> None:
    space = load_space("mcunet-digits")
    rows = space.extremes()
    model = CostModel(space, load_board("emulated-cortex-m7"), RUNTIME)
    alone = model.evaluate(rows).flash_bytes
    beside = model.evaluate(rows, router_flash_bytes=100).flash_bytes
    assert (beside - alone == 100 + RUNTIME.flash.router_code_bytes).all()
    ops = space.architecture(tuple(rows[0].tolist())).ops
    own = RUNTIME.flash.fixed_bytes + RUNTIME.flash.bytes_per_step * len(ops)
    constants = int(constant_bytes(OpArrays.of(ops)).sum())
    assert flash_bytes(ops, RUNTIME) == alone[0] == constants + own
    assert flash_bytes(ops, RUNTIME, router_bytes=100) == beside[0]
    assert load_runtime("tinyengine").flash.router_code_bytes == 0
