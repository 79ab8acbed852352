"""Limits, and what to do when nothing fits them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.boards import load_board
from hybrid_nas.hardware.cost import CostModel
from hybrid_nas.hardware.feasible import nearest_feasible
from hybrid_nas.hardware.latency_files import find_table
from hybrid_nas.hardware.limits import Limits
from hybrid_nas.hardware.runtimes import load_runtime
from hybrid_nas.hardware.uplink import UplinkImage
from hybrid_nas.spaces.loader import load_space

KIB = 1024
SPACE = load_space("mcunet", classes=10)


@cache
def model() -> CostModel:
    return CostModel(
        SPACE, load_board("stm32f746"), load_runtime("tinyengine"),
        find_table("stm32f746", "tinyengine"), UplinkImage.parse("input"),
    )  # fmt: skip


def test_a_cost_equal_to_the_limit_fits() -> None:
    costs = model().evaluate(SPACE.extremes())
    exact = Limits(int(costs.sram_bytes[0]), int(costs.flash_bytes[0]), float(costs.latency_ms[0]))
    assert exact.fits(costs).tolist() == [True, False]
    tighter = Limits(exact.sram_bytes - 1, exact.flash_bytes, exact.latency_ms)
    assert not tighter.fits(costs).any()
    assert tighter.binding(costs) == "sram"


def test_a_boards_limits_are_its_memory() -> None:
    limits = Limits.of_board(load_board("stm32f746"))
    assert limits == Limits(320 * KIB, 1024 * KIB)
    assert str(limits) == "320 KB of SRAM, 1 MB of flash"
    assert limits.names == ("sram", "flash")


def test_a_latency_limit_without_a_table_is_refused() -> None:
    unknown = CostModel(SPACE, load_board("rp2040"), load_runtime("tflm"))
    with pytest.raises(InputError, match="no latency table"):
        Limits(10**6, 10**6, 100.0).fits(unknown.evaluate(SPACE.extremes()))


def test_limits_that_many_fit_are_met() -> None:
    found = nearest_feasible(SPACE, model(), Limits(320 * KIB, 1024 * KIB))
    assert found.feasible and 0 < found.share < 1 and not found.nearest
    assert "fit 320 KB of SRAM, 1 MB of flash" in found.message("mcunet")


def test_a_network_that_random_ones_miss_is_found() -> None:
    """Limits just above the smallest network, which random sampling does not meet."""
    smallest = model().evaluate(SPACE.extremes()[:1])
    limits = Limits(int(smallest.sram_bytes[0]) + KIB, int(smallest.flash_bytes[0]) + 8 * KIB)
    found = nearest_feasible(SPACE, model(), limits)
    assert found.feasible
    assert limits.fits(model().evaluate(np.array([found.genes]))).all()


@pytest.mark.parametrize(
    ("limits", "binding"),
    [
        (Limits(2 * KIB, 1024 * KIB), "sram"),
        (Limits(320 * KIB, 80 * KIB), "flash"),
        (Limits(320 * KIB, 1024 * KIB, 1.0), "latency"),
    ],
)
def test_the_binding_limit_and_its_nearest_value_are_found(limits: Limits, binding: str) -> None:
    """One limit is hopeless: the nearest value is that of the smallest network of the space."""
    found = nearest_feasible(SPACE, model(), limits)
    assert not found.feasible and found.binding == binding and found.share == 0
    smallest = model().evaluate(SPACE.extremes()[:1])
    option = found.nearest[0]
    assert option.fits(smallest).all()
    changed = {name: value for name, value in vars(option).items() if value != vars(limits)[name]}
    assert len(changed) == 1 and next(iter(changed)).startswith(binding)
    message = found.message("mcunet")
    assert f"the {binding} limit binds" in message and f"--{binding} " in message
    assert "\n" not in message


def test_two_hopeless_limits_are_relaxed_together() -> None:
    found = nearest_feasible(SPACE, model(), Limits(2 * KIB, 80 * KIB))
    assert not found.feasible and len(found.nearest) == 1
    smallest = model().evaluate(SPACE.extremes()[:1])
    assert found.nearest[0].fits(smallest).all()


def test_the_router_counts() -> None:
    limits = Limits(320 * KIB, 1024 * KIB)
    found = nearest_feasible(SPACE, model(), limits, router_flash_bytes=10**6)
    assert not found.feasible and found.binding == "flash"


def test_the_same_seed_gives_the_same_answer() -> None:
    limits = Limits(2 * KIB, 1024 * KIB)
    assert nearest_feasible(SPACE, model(), limits, seed=3) == nearest_feasible(
        SPACE, model(), limits, seed=3
    )
