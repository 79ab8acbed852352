"""Predicting latencies: rows first, then what is fitted to them, with honest uncertainty."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.boards import load_board
from hybrid_nas.hardware.estimate import estimate
from hybrid_nas.hardware.latency import LatencyModel, OpLatencies, model_terms
from hybrid_nas.hardware.latency_files import find_table
from hybrid_nas.hardware.latency_table import (
    Correction,
    Energy,
    Identity,
    LatencyTable,
    Measurement,
)
from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.hardware.runtimes import load_runtime
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.spaces.opspec import Activation, OpSpec

IDENTITY = Identity("host", "x86", 1_000_000_000, "tflm", "1", unit="us")


def random_op(kind: str, rng: np.random.Generator) -> OpSpec:
    size, cin, cout = (int(x) for x in rng.integers(4, 40, 3))
    kernel = int(rng.choice([3, 5, 7]))
    if kind == "pointwise":
        return OpSpec("conv", size, size, cin, cout)
    if kind == "conv":
        return OpSpec("conv", size, size, cin, cout, kernel, 2, kernel // 2)
    if kind == "dwconv":
        return OpSpec("dwconv", size, size, cin, cin, kernel, 1, kernel // 2)
    if kind == "dense":
        return OpSpec("dense", 1, 1, 10 * cin, 10 * cout)
    return OpSpec("add", size, size, cin, cin, bias=False, residual=1)


def true_us(op: OpSpec) -> float:
    """A machine whose time is mechanistic: per call, pixel, value and multiply-accumulate."""
    pixels = op.out_h * op.out_w
    if op.op == "dwconv":
        return 3 + 0.02 * pixels * op.cout + 0.004 * op.macs
    if op.op == "add":
        return 1 + 0.01 * op.out_elements
    return 5 + 0.01 * pixels + 0.002 * op.macs + (0.03 * pixels * op.cout)


def measured_table(n: int, noise: float, seed: int, kinds: tuple[str, ...]) -> LatencyTable:
    rng = np.random.default_rng(seed)
    rows = {}
    for kind in kinds:
        for _ in range(n):
            op = random_op(kind, rng)
            rows[op.shape] = Measurement(true_us(op) * np.exp(noise * rng.normal()), 0.1, 10)
    return LatencyTable(IDENTITY, "measured", "a made-up machine", rows)


KINDS = ("pointwise", "conv", "dwconv", "dense", "add")


@pytest.mark.parametrize("kind", KINDS)
def test_a_mechanistic_machine_is_recovered_from_noisy_rows(kind: str) -> None:
    model = LatencyModel(measured_table(32, 0.02, 1, KINDS))
    rng = np.random.default_rng(2)
    ops = [random_op(kind, rng) for _ in range(50)]
    found = model.ops(ops)
    truth = np.array([true_us(op) for op in ops]) / 1000
    new = ~found.measured & ~found.extrapolated
    assert np.abs(found.ms / truth - 1)[new].mean() < 0.05
    assert (found.sd_ms[new] > 0).all()


def test_a_measured_row_is_taken_as_it_is() -> None:
    table = measured_table(8, 0.3, 3, KINDS)
    op, row = next(iter(table.rows.items()))
    found = LatencyModel(table).ops([op])
    assert found.ms[0] == pytest.approx(row.value / 1000)
    assert found.sd_ms[0] == pytest.approx(row.spread / 1000)
    assert found.measured[0] and not found.extrapolated[0]


def test_wiring_does_not_matter_to_a_row() -> None:
    op = OpSpec("add", 8, 8, 4, 4, bias=False, residual=4, source=2)
    table = LatencyTable(IDENTITY, "measured", "", {op.shape: Measurement(7.0)})
    assert LatencyModel(table).ops([op]).ms[0] == pytest.approx(0.007)


@pytest.mark.parametrize("activation", ["relu", "relu6"])
def test_an_int8_row_without_activation_stands_for_the_clamp(activation: Activation) -> None:
    """Logs that name no activation say none; int8 kernels clamp anyway."""
    bare = OpSpec("conv", 20, 20, 20, 21)
    table = measured_table(8, 0.3, 3, KINDS)
    table = replace(table, rows={**table.rows, bare: Measurement(123.0, 4.0)})
    clamped = replace(bare, activation=activation, source=3)
    found = LatencyModel(table).ops([bare, clamped])
    assert found.ms.tolist() == pytest.approx([0.123, 0.123])
    assert found.sd_ms.tolist() == pytest.approx([0.004, 0.004])
    assert found.measured.all() and not found.extrapolated.any()
    own = replace(table, rows={**table.rows, clamped.shape: Measurement(200.0)})
    assert LatencyModel(own).ops([bare, clamped]).ms.tolist() == pytest.approx([0.123, 0.2])


def test_other_activations_and_floats_need_rows_of_their_own() -> None:
    bare = OpSpec("conv", 20, 20, 20, 21)
    rows = {bare: Measurement(9.0), replace(bare, dtype="float32"): Measurement(9.0)}
    table = LatencyTable(IDENTITY, "measured", "", rows)
    others = [
        replace(bare, activation="h_swish"),
        replace(bare, dtype="float32", activation="relu"),
        replace(bare, bias=False, activation="relu"),
    ]
    assert not LatencyModel(table).ops(others).measured.any()
    only = LatencyTable(IDENTITY, "measured", "", {replace(bare, activation="relu6"): rows[bare]})
    assert not LatencyModel(only).ops([bare]).measured.any()


def test_operators_outside_what_was_measured_are_marked() -> None:
    model = LatencyModel(measured_table(32, 0.0, 4, ("pointwise",)))
    inside, outside = OpSpec("conv", 20, 20, 20, 21), OpSpec("conv", 20, 20, 20, 4000)
    assert model.ops([inside, outside]).extrapolated.tolist() == [False, True]


def test_a_class_without_rows_falls_back_on_the_model_or_is_refused() -> None:
    table = measured_table(8, 0.0, 5, ("pointwise",))
    pool = OpSpec("avgpool", 8, 8, 4, 4, kernel=0, bias=False)
    with pytest.raises(InputError, match="has no avgpool row"):
        LatencyModel(table).ops([pool])
    with_model = LatencyTable(IDENTITY, "measured", "", table.rows, {"out_melem": 100.0})
    assert LatencyModel(with_model).ops([pool]).ms[0] == pytest.approx(100 * 4e-6)


def test_a_network_is_measured_only_if_every_operator_is() -> None:
    model = LatencyModel(measured_table(8, 0.0, 6, KINDS))
    assert model.kind_of(np.array([True, True])) == "measured"
    assert model.kind_of(np.array([True, False])) == "predicted"
    emulated = LatencyTable(IDENTITY, "emulated", "", model.table.rows)
    assert LatencyModel(emulated).kind_of(np.array([True, False])) == "emulated"


def test_the_whole_network_correction_is_applied_to_sums() -> None:
    table = LatencyTable(
        IDENTITY, "predicted", "", {}, {"conv_mmac": 1.0}, Correction(scale=2.0, per_op_ms=0.5)
    )
    model = LatencyModel(table)
    assert model.network_ms(np.array([10.0]), np.array([4.0])).tolist() == [22.0]
    assert model.ms_per_router_mac == pytest.approx(2e-6)


def test_predictions_do_not_depend_on_what_else_is_asked_for() -> None:
    model = LatencyModel(measured_table(16, 0.05, 7, KINDS))
    rng = np.random.default_rng(8)
    ops = [random_op(kind, rng) for kind in KINDS for _ in range(5)]
    together = model.ops(ops)
    alone = [model.ops([op]) for op in ops]
    np.testing.assert_allclose(together.ms, [one.ms[0] for one in alone], rtol=1e-9)
    np.testing.assert_allclose(together.sd_ms, [one.sd_ms[0] for one in alone], rtol=1e-6)


def test_float_and_integer_operators_are_predicted_apart() -> None:
    """A kernel on floats is another kernel: its rows say nothing about int8."""
    rng = np.random.default_rng(9)
    rows = {}
    for dtype, factor in (("int8", 1.0), ("float32", 4.0)):
        for _ in range(12):
            op = replace(random_op("pointwise", rng), dtype=dtype)
            rows[op.shape] = Measurement(factor * true_us(op))
    table = LatencyTable(IDENTITY, "measured", "", rows)
    unseen = OpSpec("conv", 21, 21, 17, 23)
    found = LatencyModel(table).ops([unseen, replace(unseen, dtype="float32")])
    assert found.ms[1] / found.ms[0] == pytest.approx(4, rel=0.02)
    only_int8 = replace(table, rows={op: row for op, row in rows.items() if op.dtype == "int8"})
    with pytest.raises(InputError, match="has no pointwise row of float32"):
        LatencyModel(only_int8).ops([replace(unseen, dtype="float32")])


def test_intervals_hold_the_prediction_and_grow_with_its_uncertainty() -> None:
    found = OpLatencies(
        np.array([2.0, 2.0]), np.array([0.0, 0.4]), np.zeros(2, bool), np.zeros(2, bool)
    )
    low, high = found.interval_ms()
    assert low[0] == high[0] == 2
    # 90 % of a log-normal distribution of that spread, by simulation
    draws = 2 * np.exp(np.random.default_rng(0).normal(0, 0.2, 200_000))
    assert low[1] == pytest.approx(np.quantile(draws, 0.05), rel=0.01)
    assert high[1] == pytest.approx(np.quantile(draws, 0.95), rel=0.01)


def test_energy_is_latency_times_power_where_power_is_known() -> None:
    table = LatencyTable(IDENTITY, "predicted", "", {}, {"conv_mmac": 1.0})
    assert LatencyModel(table).energy_mj(100.0) is None
    powered = replace(table, energy=Energy(50.0, 0.05, 0.1, 3, "a paper"))
    assert LatencyModel(powered).energy_mj(100.0) == pytest.approx(5.0)  # 50 mW for 0.1 s


def test_model_terms_add_up_to_the_networks_counts() -> None:
    ops = [OpSpec("conv", 8, 8, 3, 16, 3, 2, 1), OpSpec("dwconv", 4, 4, 16, 16, 3, 1, 1),
           OpSpec("conv", 4, 4, 16, 8), OpSpec("dense", 1, 1, 8, 10)]  # fmt: skip
    terms = {name: values.sum() * 1e6 for name, values in model_terms(OpArrays.of(ops)).items()}
    assert terms["conv_mmac"] + terms["dwconv_mmac"] == pytest.approx(sum(op.macs for op in ops))
    assert terms["out_melem"] == pytest.approx(sum(op.out_elements for op in ops))
    assert terms["conv_mweights"] == pytest.approx(9 * 3 * 16 + 16 * 8 + 80)
    assert terms["padded_melem"] == pytest.approx(10 * 10 * 3 + 6 * 6 * 16)


def test_a_fitted_table_carries_its_error_as_uncertainty() -> None:
    table = find_table("stm32h743", "tinyengine")
    assert table is not None and table.validation is not None
    found = LatencyModel(table).ops([OpSpec("conv", 40, 40, 16, 48)])
    assert found.sd_ms[0] / found.ms[0] == pytest.approx(1.2533 * table.validation.mean)
    assert not found.measured[0]


def test_an_estimate_has_the_energy_that_its_latency_takes() -> None:
    space = load_space("mcunet", classes=10)
    architecture = space.architecture(space.extremes()[0].tolist())
    for board, runtime in (("stm32l4r5", "x-cube-ai"), ("stm32f746", "tinyengine")):
        table = find_table(board, runtime)
        assert table is not None
        document = estimate(
            architecture, load_board(board), load_runtime(runtime), table
        ).document()
        if table.energy is None:
            assert document["energy_mj"] is None and document["energy_error"] is None
        else:
            expected = document["latency_ms"] * table.energy.power_mw / 1000
            assert document["energy_mj"] == pytest.approx(expected)
            assert document["energy_error"]["worst"] == table.energy.worst
