"""Validation: corrections against exact answers, errors against a fit of one's own."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from hybrid_nas.errors import HybridNasError, InputError
from hybrid_nas.hardware.latency_files import load_table, save_table
from hybrid_nas.hardware.latency_table import Correction, Identity, LatencyTable, Measurement
from hybrid_nas.hardware.limits import check_latency_limit, trust_in_latency
from hybrid_nas.profiling.validation import (
    fit_correction,
    leave_one_out,
    random_networks,
    validate,
)
from hybrid_nas.spaces.architecture import Architecture
from hybrid_nas.spaces.loader import load_space
from tests.profiling.simulated import IDENTITY, PER_OP, SCALE, Simulated, cycles


@cache
def networks() -> tuple[Architecture, ...]:
    space = load_space("mcunet", choices={"resolution": [48, 96], "width": [0.3, 0.5]}, classes=10)
    return tuple(random_networks(space, "stm32f746", seed=0, n=8))


@cache
def exact_table() -> LatencyTable:
    """Every operator of the networks, so that nothing is predicted."""
    rows = {op.shape: Measurement(cycles(op)) for net in networks() for op in net.ops}
    return LatencyTable(IDENTITY, "measured", "a formula", rows, name="exact")


def test_networks_are_different_and_the_same_for_a_seed() -> None:
    space = load_space("mcunet", choices={"resolution": [48, 96], "width": [0.3, 0.5]}, classes=10)
    assert len(set(networks())) == len(networks()) >= 8
    assert tuple(random_networks(space, "stm32f746", seed=0, n=8)) == networks()
    assert tuple(random_networks(space, "stm32f746", seed=1, n=8)) != networks()


def test_an_exact_device_is_corrected_exactly() -> None:
    result = validate(exact_table(), Simulated(), networks(), 8)
    correction = result.table.correction
    assert correction.scale == pytest.approx(SCALE)
    assert correction.per_op_ms == pytest.approx(PER_OP * IDENTITY.unit_ms)
    assert result.validation.worst < 1e-9
    assert result.validation.kendall_tau == pytest.approx(1.0)
    assert result.validation.networks == len(result.networks) == 8
    assert all(check.in_table == 1 for check in result.networks)


def test_an_old_correction_plays_no_part() -> None:
    skewed = replace(exact_table(), correction=Correction(3.0, 5.0))
    fresh = validate(exact_table(), Simulated(), networks(), 5)
    assert validate(skewed, Simulated(), networks(), 5).table == fresh.table


def test_fits_agree_with_bounded_least_squares() -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        n = int(rng.integers(3, 9))
        sums, n_ops = rng.uniform(1, 100, n), rng.integers(20, 80, n).astype(float)
        measured = sums * rng.uniform(0.5, 2) + n_ops * rng.uniform(-0.3, 0.3)
        measured = np.maximum(measured * rng.uniform(0.9, 1.1, n), 0.1)
        terms = np.stack([sums, n_ops], axis=1) / measured[:, None]
        expected = lsq_linear(terms, np.ones(n), bounds=(0, np.inf), tol=1e-14).x
        found = fit_correction(sums, n_ops, measured)
        assert [found.scale, found.per_op_ms] == pytest.approx(expected, abs=1e-6)


def test_errors_are_of_networks_left_out() -> None:
    """Against a plain loop, with one network far off that must not help to predict itself."""
    device = Simulated(jitter=0.08)
    result = validate(exact_table(), device, networks(), 7)
    measured = np.array([check.measured_ms for check in result.networks])
    sums = np.array([check.sum_ms for check in result.networks])
    n_ops = np.array([float(check.n_ops) for check in result.networks])
    errors = []
    for out in range(7):
        rest = [k for k in range(7) if k != out]
        terms = np.stack([sums[rest], n_ops[rest]], axis=1) / measured[rest, None]
        a, b = lsq_linear(terms, np.ones(6), bounds=(0, np.inf), tol=1e-14).x
        errors.append(abs(a * sums[out] + b * n_ops[out] - measured[out]) / measured[out])
    assert result.validation.mean == pytest.approx(np.mean(errors), rel=1e-3)
    assert result.validation.worst == pytest.approx(max(errors), rel=1e-3)
    assert result.validation.mean > 0.03
    predicted = leave_one_out(sums, n_ops, measured)
    pairs = list(combinations(range(7), 2))
    agree = sum(
        np.sign(predicted[i] - predicted[j]) * np.sign(measured[i] - measured[j]) for i, j in pairs
    )
    assert result.validation.kendall_tau == pytest.approx(agree / len(pairs), abs=1e-5)


def test_operators_without_rows_come_from_the_predictor() -> None:
    half = dict(list(exact_table().rows.items())[::2])
    result = validate(replace(exact_table(), rows=half), Simulated(), networks(), 6)
    assert all(0 < check.in_table < 1 for check in result.networks)
    assert result.validation.worst < 0.05  # cycles() is what the predictor's terms can say


def test_networks_that_the_device_refuses_are_passed_over() -> None:
    needs = sorted(max(op.in_bytes + op.out_bytes for op in net.ops) for net in networks())
    device = Simulated(arena=needs[len(needs) // 2])
    result = validate(exact_table(), device, networks(), 5)
    assert len(result.networks) == 5 and result.refused
    assert all("bytes" in reason for reason in result.refused)


def test_too_few_networks_are_no_validation() -> None:
    with pytest.raises(HybridNasError, match=r"only 0 networks.*at least 3.*bytes"):
        validate(exact_table(), Simulated(arena=10), networks(), 5)
    with pytest.raises(InputError, match="at least 3 networks"):
        validate(exact_table(), Simulated(), networks(), 2)


def test_a_table_of_another_device_is_refused() -> None:
    other = Simulated(identity=Identity(**{**IDENTITY.__dict__, "placement": "dtcm"}))
    with pytest.raises(InputError, match=r"placement 'sram'.*'dtcm'"):
        validate(exact_table(), other, networks(), 5)


def test_it_stops_between_networks() -> None:
    device = Simulated()
    with pytest.raises(KeyboardInterrupt):
        validate(exact_table(), device, networks(), 5, stop=lambda: device.networks == 2)
    assert device.networks == 2


def test_a_validation_is_kept_in_the_file(tmp_path: Path) -> None:
    result = validate(exact_table(), Simulated(jitter=0.02), networks(), 6)
    save_table(result.table, tmp_path / "t.yaml")
    read = load_table(tmp_path / "t.yaml")
    assert read.validation == result.validation and read.correction == result.table.correction


# -- what it means for limits


@pytest.mark.parametrize(
    ("mean", "doubted", "refused"),
    [(0.0, False, False), (0.10, False, False), (0.11, True, False), (0.2, True, False),
     (0.21, True, True), (2.0, True, True)],
)  # fmt: skip
def test_limits_follow_the_error(mean: float, doubted: bool, refused: bool) -> None:
    result = validate(exact_table(), Simulated(), networks(), 4)
    table = replace(result.table, validation=replace(result.validation, mean=mean))
    trust = trust_in_latency(table)
    assert (bool(trust.doubt), trust.refused) == (doubted, refused)
    if refused:
        with pytest.raises(InputError, match=f"exact is off by {mean:.0%}.*--force-latency"):
            check_latency_limit(table)
    else:
        assert check_latency_limit(table) == trust.doubt
    assert bool(check_latency_limit(table, forced=True)) == doubted


def test_a_table_without_validation_is_doubted() -> None:
    assert "never compared" in check_latency_limit(exact_table())


def test_equal_latencies_have_no_rank(tmp_path: Path) -> None:
    same = [networks()[0]] * 4
    result = validate(exact_table(), Simulated(), same, 4)
    assert result.validation.kendall_tau is None
    assert math.isfinite(result.validation.mean)
    save_table(result.table, tmp_path / "t.yaml")
    assert load_table(tmp_path / "t.yaml").validation == result.validation
