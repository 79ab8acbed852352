"""The vectorised costs of many architectures equal the costs of each one, op by op."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.boards import load_board
from hybrid_nas.hardware.cost import CostModel
from hybrid_nas.hardware.estimate import estimate
from hybrid_nas.hardware.latency import LatencyModel
from hybrid_nas.hardware.latency_files import find_table
from hybrid_nas.hardware.latency_table import Correction, Identity, LatencyTable, Measurement
from hybrid_nas.hardware.runtimes import load_runtime, runtime_ids
from hybrid_nas.hardware.sram import plan
from hybrid_nas.hardware.uplink import UplinkImage
from hybrid_nas.spaces.cuts import cut_blocks
from hybrid_nas.spaces.loader import load_space, space_names
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.spaces.space import SearchSpace
from tests.hardware.brute_force import PLANNED, peak_sram_bytes

H743 = load_board("stm32h743")


@cache
def space(name: str) -> SearchSpace:
    return load_space(name, classes=10)


@cache
def model(name: str, runtime: str, uplink: str) -> CostModel:
    """One model per combination: blocks that earlier examples met are looked up."""
    return CostModel(
        space(name), H743, load_runtime(runtime), find_table("stm32h743", runtime),
        UplinkImage.parse(uplink), 1000, 2000,
    )  # fmt: skip


@settings(max_examples=40)
@given(
    st.sampled_from(space_names()),
    st.sampled_from(runtime_ids()),
    st.sampled_from(["none", "input", "99x7x3"]),
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6)),
)
def test_costs_equal_the_op_by_op_path(
    name: str, runtime_id: str, uplink: str, seed: int, router: tuple[int, int, int]
) -> None:
    rows = space(name).sample(2, np.random.default_rng(seed))
    flash, sram, macs = router
    costs = model(name, runtime_id, uplink).evaluate(rows, flash, sram, macs)
    runtime, table = load_runtime(runtime_id), find_table("stm32h743", runtime_id)
    image = UplinkImage.parse(uplink)
    for number, row in enumerate(rows):
        arch = space(name).architecture(row)
        one = estimate(
            arch, H743, runtime, table, image, reserve_sram_bytes=1000, reserve_flash_bytes=2000
        )
        memory = plan(
            arch.ops, arch.input_shape, runtime, image, router_bytes=sram, reserve_bytes=1000
        )
        assert costs.sram_bytes[number] == memory.peak_bytes
        code = runtime.flash.router_code_bytes if flash else 0
        assert costs.flash_bytes[number] == one.flash_bytes + flash + code
        assert (costs.macs[number], costs.params[number]) == (arch.macs, arch.params)
        if table is None:
            assert one.latency_ms is None and np.isnan(costs.latency_ms[number])
            continue
        router_ms = LatencyModel(table).ms_per_router_mac * macs
        assert costs.router_ms[number] == pytest.approx(router_ms)
        assert costs.latency_ms[number] == pytest.approx(one.latency_ms + router_ms, rel=1e-12)
        assert not costs.measured[number]


@settings(max_examples=12)
@given(st.sampled_from(PLANNED), st.booleans(), st.integers(0, 2**32 - 1))
def test_costs_equal_the_brute_force_planner(runtime_id: str, hold: bool, seed: int) -> None:
    rows = space("mcunet").sample(1, np.random.default_rng(seed))
    costs = model("mcunet", runtime_id, "input" if hold else "none").evaluate(rows, 0, 50_000)
    expected = peak_sram_bytes(
        space("mcunet").architecture(rows[0]).ops, load_runtime(runtime_id), hold_input=hold,
        router_bytes=50_000, reserve_bytes=1000,
    )  # fmt: skip
    assert costs.sram_bytes[0] == expected


def test_router_costs_are_one_number_or_one_per_row() -> None:
    rows = space("mcunet").sample(3, np.random.default_rng(0))
    one = model("mcunet", "tinyengine", "input")
    flash = np.array([0, 5, 10])
    each = one.evaluate(rows, flash, flash * 10**6, flash * 100)
    plain = one.evaluate(rows)
    assert (each.flash_bytes - plain.flash_bytes).tolist() == [0, 5, 10]
    assert each.sram_bytes[0] == plain.sram_bytes[0] and each.sram_bytes[2] > 10**7
    assert (each.latency_ms - each.router_ms) == pytest.approx(plain.latency_ms)
    assert len(each) == 3


def test_blocks_met_in_any_order_cost_the_same() -> None:
    rows = space("mcunet").sample(40, np.random.default_rng(1))
    runtime = load_runtime("tinyengine")
    at_once = CostModel(space("mcunet"), H743, runtime).evaluate(rows)
    slowly = CostModel(space("mcunet"), H743, runtime)
    one_by_one = [slowly.evaluate(rows[n : n + 1]).sram_bytes[0] for n in range(40)]
    assert at_once.sram_bytes.tolist() == one_by_one


def test_no_rows_cost_nothing() -> None:
    none = space("mcunet").sample(0, np.random.default_rng(0))
    assert len(model("mcunet", "tinyengine", "input").evaluate(none)) == 0


def test_without_a_table_latency_is_not_a_number() -> None:
    rows = space("mcunet").extremes()
    costs = CostModel(space("mcunet"), load_board("rp2040"), load_runtime("tflm")).evaluate(rows)
    assert np.isnan(costs.latency_ms).all() and not costs.measured.any()
    assert (costs.sram_bytes > 0).all()


def test_a_table_for_another_board_is_refused() -> None:
    with pytest.raises(InputError, match="is for board stm32h743, not for stm32f746"):
        CostModel(
            space("mcunet"), load_board("stm32f746"), load_runtime("tflm"),
            find_table("stm32h743", "tflm"),
        )  # fmt: skip


def test_measured_rows_and_the_correction_reach_the_costs() -> None:
    """A table that has every operator of one network, and not all of another."""
    mcunet = space("mcunet")
    known, other = mcunet.extremes()
    ops = mcunet.architecture(known).ops
    rows = {op.shape: Measurement(float(n + 1)) for n, op in enumerate(dict.fromkeys(
        op.shape for op in ops))}  # fmt: skip
    identity = Identity("stm32h743", "cortex-m7", 480_000_000, "tinyengine", "1")
    table = LatencyTable(
        identity, "measured", "", MappingProxyType(rows), correction=Correction(1.5, 0.25)
    )
    costs = CostModel(mcunet, H743, load_runtime("tinyengine"), table).evaluate(
        np.stack([known, other])
    )
    assert costs.measured.tolist() == [True, False]
    expected = 1.5 * sum(rows[op.shape].value for op in ops) + 0.25 * len(ops)
    assert costs.latency_ms[0] == pytest.approx(expected)
    one = estimate(mcunet.architecture(known), H743, load_runtime("tinyengine"), table)
    assert one.latency_ms == pytest.approx(expected)
    assert one.latency_is == "measured"


def test_rows_of_a_log_without_activations_reach_the_costs() -> None:
    """In int8, ``none`` stands for ReLU and ReLU6, in `estimate` and in the costs alike."""
    mcunet = space("mcunet")
    known = mcunet.extremes()[0]
    arch = mcunet.architecture(known)
    shapes = dict.fromkeys(replace(op.shape, activation="none") for op in arch.ops)
    rows = {op: Measurement(float(n + 1)) for n, op in enumerate(shapes)}
    identity = Identity("stm32h743", "cortex-m7", 480_000_000, "tinyengine", "1")
    table = LatencyTable(identity, "measured", "", MappingProxyType(rows))
    costs = CostModel(mcunet, H743, load_runtime("tinyengine"), table).evaluate(known[None])
    one = estimate(arch, H743, load_runtime("tinyengine"), table)
    expected = sum(rows[replace(op.shape, activation="none")].value for op in arch.ops)
    assert costs.measured.tolist() == [True] and one.latency_is == "measured"
    assert costs.latency_ms[0] == pytest.approx(expected)
    assert one.latency_ms == pytest.approx(expected)


@settings(max_examples=40)
@given(
    st.sampled_from(["mcunet", "ofa-mbv3-w1.0", "ofa-resnet50"]),
    st.sampled_from(["none", "input"]),
    st.integers(1, 2),
    st.integers(0, 2**32 - 1),
)
def test_an_early_router_pools_and_saves_what_the_op_by_op_sums_say(
    name: str, uplink: str, cut: int, seed: int
) -> None:
    rows = space(name).sample(3, np.random.default_rng(seed))
    one, table = model(name, "tinyengine", uplink), find_table("stm32h743", "tinyengine")
    assert table is not None
    costs = one.evaluate(rows, 10, 3_000_000, 500, np.array([0, cut, cut]))
    late = one.evaluate(rows, 10, 3_000_000, 500)
    latency, correction = LatencyModel(table), table.correction

    def sum_ms(ops: tuple[OpSpec, ...]) -> float:
        return correction.scale * latency.ops(ops).ms.sum() + correction.per_op_ms * len(ops)

    assert costs.saved_ms[0] == 0
    assert costs.sram_bytes[0] == late.sram_bytes[0]
    for number in (1, 2):
        arch = space(name).architecture(rows[number])
        before = cut_blocks(space(name), tuple(rows[number].tolist()))[cut - 1]
        rest = tuple(op for block in arch.blocks[before:] for op in block.lower())
        h, w, channels = arch.blocks[before - 1].out_shape
        pool = sum_ms((OpSpec("avgpool", h, w, channels, channels, kernel=0, bias=False),))
        assert costs.saved_ms[number] == pytest.approx(sum_ms(rest))
        assert costs.saved_ms[number] < costs.latency_ms[number]
        assert costs.saved_macs[number] == sum(op.macs for op in rest)
        router_ms = pool + latency.ms_per_router_mac * 500
        assert costs.router_ms[number] == pytest.approx(router_ms)
        assert costs.latency_ms[number] == pytest.approx(sum_ms(arch.ops) + router_ms)
        # the router's 3 MB dominate: beside them lies what the base goes on from
        tensor = one.runtime.sram.align(np.array(h * w * channels))
        assert costs.sram_bytes[number] - late.sram_bytes[number] == tensor
        assert costs.flash_bytes[number] == late.flash_bytes[number]


def test_a_small_early_router_leaves_the_peak_where_it_is() -> None:
    rows = space("mcunet").sample(50, np.random.default_rng(3))
    one = model("mcunet", "tinyengine", "input")
    assert (one.evaluate(rows, 0, 64, 64, 2).sram_bytes == one.evaluate(rows).sram_bytes).all()
