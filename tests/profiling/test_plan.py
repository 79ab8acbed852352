"""Plans: what is in them, that they are spread, and that they are the same every time."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.latency_table import LatencyTable, Measurement
from hybrid_nas.hardware.op_arrays import OP_CLASSES
from hybrid_nas.profiling.op_list import read_ops
from hybrid_nas.profiling.plan import next_ops, plan_ops
from hybrid_nas.profiling.pool import (
    board_limits,
    fitting_networks,
    op_class,
    op_order,
    op_pool,
)
from hybrid_nas.profiling.spread import Candidates
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.spaces.space import SearchSpace
from tests.profiling.simulated import IDENTITY, cycles

LIMITS = board_limits("stm32f746")


@cache
def mcunet() -> SearchSpace:
    return load_space("mcunet")


@cache
def mcunet_pool() -> tuple[OpSpec, ...]:
    return tuple(op_pool(mcunet(), LIMITS, lambda op: True))


@cache
def default_plan() -> tuple[OpSpec, ...]:
    return tuple(plan_ops(mcunet(), pool=mcunet_pool()))


def measured(ops: list[OpSpec]) -> LatencyTable:
    rows = {op: Measurement(cycles(op)) for op in ops}
    return LatencyTable(IDENTITY, "measured", "a formula", rows)


def test_the_pool_has_the_operators_of_networks_that_fit() -> None:
    rows, _ = fitting_networks(mcunet(), LIMITS, seed=5)
    pool = set(mcunet_pool())
    for row in rows[:40].tolist():
        assert {op.shape for op in mcunet().architecture(row).ops} <= pool


def test_the_pool_has_nothing_twice_and_nothing_too_large() -> None:
    pool = mcunet_pool()
    assert len(pool) == len(set(pool)) and list(pool) == sorted(pool, key=op_order)
    assert max(max(op.in_bytes, op.out_bytes) for op in pool) <= LIMITS.sram_bytes
    assert all(op == op.shape for op in pool)


def test_networks_fit_differ_and_differ_from_those_of_another_purpose() -> None:
    rows, macs = fitting_networks(mcunet(), LIMITS, seed=0)
    assert len(np.unique(rows, axis=0)) == len(rows) == len(macs)
    assert mcunet().architecture(rows[0].tolist()).macs == macs[0]
    other, _ = fitting_networks(mcunet(), LIMITS, seed=0, purpose=1)
    shared = {tuple(r) for r in rows.tolist()} & {tuple(r) for r in other.tolist()}
    assert len(shared) <= 1  # the smallest network is in both


@pytest.mark.parametrize("name", ["mcunet", "ofa-mbv3-w1.0", "ofa-resnet50", "ofa-proxyless-w1.3"])
def test_a_plan_of_120(name: str) -> None:
    space = load_space(name)
    plan = plan_ops(space)
    assert len(plan) == len(set(plan)) == 120
    assert all(op == op.shape for op in plan)
    counts = Counter(map(op_class, plan))
    pool = Counter(map(op_class, op_pool(space, LIMITS, lambda op: True)))
    assert counts.keys() == pool.keys()
    for op_kind, count in counts.items():
        assert count >= min(6, pool[op_kind]), op_kind


def test_most_of_a_plan_is_where_the_time_goes() -> None:
    counts = Counter(map(op_class, default_plan()))
    assert counts["pointwise"] + counts["dwconv"] >= 80
    assert min(counts["pointwise"], counts["dwconv"]) >= 32
    assert all(7 <= counts[name] <= 12 for name in ("conv", "dense", "add", "avgpool"))


def test_the_largest_network_that_fits_is_in_the_plan() -> None:
    rows, macs = fitting_networks(mcunet(), LIMITS, seed=3)
    largest = mcunet().architecture(rows[macs.argmax()].tolist())
    assert {op.shape for op in largest.ops} <= set(
        plan_ops(mcunet(), 150, seed=3, pool=mcunet_pool())
    )


def test_plans_are_the_same_for_a_seed_and_differ_between_seeds() -> None:
    first, again, other = (plan_ops(mcunet(), 60, seed, pool=mcunet_pool()) for seed in (0, 0, 1))
    assert first == again
    assert set(first) != set(other)


def test_what_the_device_cannot_run_is_left_out() -> None:
    plan = plan_ops(mcunet(), 80, admits=lambda op: op.in_bytes + op.out_bytes <= 16 * 1024)
    assert len(plan) == 80
    assert max(op.in_bytes + op.out_bytes for op in plan) <= 16 * 1024


def test_a_space_with_few_operators_gives_all_of_them() -> None:
    space = load_space("mcunet-digits-cloud")
    plan = plan_ops(space, 500)
    assert set(plan) == set(op_pool(space, LIMITS, lambda op: True))


def test_limits_are_a_microcontrollers() -> None:
    assert board_limits("stm32h743").sram_bytes == 512 * 1024
    assert board_limits("emulated-cortex-m0").sram_bytes == 16 * 1024
    for stand_in in ("host", "emulated-cortex-m7", "a board of one's own"):
        assert board_limits(stand_in) == LIMITS


def covering_radius(ops: list[OpSpec], name: str) -> float:
    """Largest distance of an operator of the class to the nearest of `ops`."""
    candidates = Candidates.of(mcunet_pool())
    number = {op: n for n, op in enumerate(candidates.ops)}
    of_class = [n for n, found in enumerate(candidates.classes) if found == name]
    at = candidates.coordinates[of_class]
    chosen = candidates.coordinates[[number[op] for op in ops if op_class(op) == name]]
    return float(np.sqrt(((at[:, None] - chosen[None]) ** 2).sum(2)).min(1).max())


@pytest.mark.parametrize("name", ["pointwise", "dwconv"])
def test_a_plan_covers_the_space_better_than_chance(name: str) -> None:
    plan = list(default_plan())
    count = sum(op_class(op) == name for op in plan)
    rng = np.random.default_rng(0)
    pool = [op for op in mcunet_pool() if op_class(op) == name]
    random = [
        covering_radius([pool[n] for n in rng.choice(len(pool), count, replace=False)], name)
        for _ in range(20)
    ]
    assert covering_radius(plan, name) < min(random)


@settings(max_examples=15)
@given(n=st.integers(1, 40), taken=st.integers(1, 60), seed=st.integers(0, 99))
def test_rounds_choose_new_operators_only(n: int, taken: int, seed: int) -> None:
    pool = plan_ops(load_space("mcunet-digits-cloud"), 60)
    rng = np.random.default_rng(seed)
    order = [pool[k] for k in rng.permutation(len(pool))]
    rows, refused = order[: taken // 2 + 1], set(order[taken // 2 + 1 : taken])
    chosen = next_ops(measured(rows), pool, refused, n)
    assert len(chosen) == len(set(chosen)) <= n
    assert not set(chosen) & (set(rows) | refused)
    assert set(chosen) <= set(pool)


def test_rounds_ask_for_a_class_that_was_never_measured() -> None:
    known = [op for op in default_plan()[:80] if op_class(op) != "dwconv"]
    chosen = next_ops(measured(known), mcunet_pool(), set(), 8)
    assert "dwconv" in set(map(op_class, chosen))


def test_rounds_give_up_a_class_that_is_refused_every_time() -> None:
    known = [op for op in default_plan()[:80] if op_class(op) != "add"]
    adds = [op for op in mcunet_pool() if op_class(op) == "add"]
    chosen = next_ops(measured(known), mcunet_pool(), set(adds[:3]), 40)
    assert not set(map(op_class, chosen)) & {"add"}
    assert len(chosen) == 40


def test_rounds_go_where_the_predictor_is_wrong() -> None:
    """Depthwise times without any pattern, 1x1 times that the terms describe exactly."""
    rng = np.random.default_rng(1)
    plan = [op for op in default_plan()[:90] if op_class(op) in ("pointwise", "dwconv")]
    rows = {
        op: Measurement(cycles(op) * (np.exp(rng.normal(0, 0.7)) if op.op == "dwconv" else 1.0))
        for op in plan
    }
    table = LatencyTable(IDENTITY, "measured", "noise", rows)
    pool = [op for op in mcunet_pool() if op_class(op) in ("pointwise", "dwconv")]
    assert Counter(map(op_class, next_ops(table, pool, set(), 12)))["dwconv"] == 12


def test_classes_have_names_that_cost_models_know() -> None:
    assert set(map(op_class, mcunet_pool())) <= set(OP_CLASSES)


# -- the user's own list


def test_lists_as_csv_and_json(tmp_path: Path) -> None:
    table = tmp_path / "ops.csv"
    table.write_text(
        "op,h,w,cin,cout,kernel,stride,padding,activation,value\n"
        "conv,20,20,8,16,3,2,1,relu6,17\n"
        "add,20,20,8,8,,,,,3\n"
        "add,20,20,8,8,,,,,4\n"
    )
    document = tmp_path / "ops.json"
    document.write_text(
        '{"ops": [{"op": "conv", "h": 20, "w": 20, "cin": 8, "cout": 16, "kernel": 3, '
        '"stride": 2, "padding": 1, "activation": "relu6"}, '
        '{"op": "add", "h": 20, "w": 20, "cin": 8, "cout": 8}]}'
    )
    expected = [
        OpSpec("conv", 20, 20, 8, 16, 3, 2, 1, "relu6"),
        OpSpec("add", 20, 20, 8, 8, bias=False, residual=1),
    ]
    assert read_ops(table) == read_ops(document) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["column op"]),
        ("op,h,w,cin\nconv,1,1,1\n", ["column cout"]),
        ("op,h,w,cin,cout\n", ["no operators"]),
        ("op,h,w,cin,cout\nconv,1,1,1,1\nfft,2,2,1,1\n", ["line 3", "fft"]),
        ("op,h,w,cin,cout\nconv,x,1,1,1\n", ["line 2", "h must", "'x'"]),
        ("op,h,w,cin,cout,kernel\nconv,2,2,1,1,5\n", ["line 2", "no output"]),
        ("op,h,w,cin,cout,stride\nconv,2,2,1,1,0\n", ["line 2", "stride"]),
        ("[1, 2]", ["list of objects"]),
        ("{", ["not valid JSON"]),
        ("[" * 9999, ["not valid JSON"]),
        ("op,h,w,cin,cout\ndwconv,9,9,8,4\n", ["line 2", "8 input and 4 output channels"]),
        ("op,h,w,cin,cout\ndense,9,9,8,4\n", ["line 2", "dense on 9x9 pixels"]),
        ("op,h,w,cin,cout\nconv,9999999,9,8,4\n", ["line 2", "a size of 9999999"]),
        ('[{"op": "conv"}]', ["entry 1", "no h"]),
        ('[{"op": "conv", "h": 1.5, "w": 1, "cin": 1, "cout": 1}]', ["entry 1", "1.5"]),
    ],
)
def test_wrong_lists_say_where(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "ops.csv"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_ops(path)
    assert all(word in str(error.value) for word in [*words, "ops.csv"]), error.value


def test_a_list_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.csv"):
        read_ops(tmp_path / "nothing.csv")
