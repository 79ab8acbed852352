"""Every model against the figures published for it: no network has a correction of its own."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from benchmarks.published import Network, load_figures, load_networks
from hybrid_nas.hardware.boards import load_board
from hybrid_nas.hardware.estimate import Estimate, estimate
from hybrid_nas.hardware.latency import LatencyModel
from hybrid_nas.hardware.latency_files import find_table, shipped_tables
from hybrid_nas.hardware.runtimes import load_runtime, runtime_ids
from tests.conftest import shared_data

H743, F746 = load_figures("mcunet_zoo")
MCUNET = ["mcunet-in0", "mcunet-in1", "mcunet-in2", "mcunet-in3", "mcunet-in4", "mcunet-vww1"]
BASELINES = ["proxyless-w0.3", "proxyless-w0.3-r64", "mbv2-w0.3-r64", "mbv2-w0.35"]


@cache
def zoo() -> dict[str, Network]:
    return load_networks("mcunet_zoo", shared_data("mcunet"))


@cache
def on_h743(network: str, runtime: str = "tinyengine") -> Estimate:
    arch = zoo()[network].arch
    assert arch is not None
    table = find_table("stm32h743", runtime)
    return estimate(arch, load_board("stm32h743"), load_runtime(runtime), table)


@pytest.mark.parametrize("network", MCUNET)
def test_tinyengine_sram_of_mcunets_is_within_a_kib(network: str) -> None:
    published = H743.sram_kib["tinyengine"][network]
    assert abs(on_h743(network).sram_bytes / 1024 - published) <= 1


@pytest.mark.parametrize("network", BASELINES)
def test_tinyengine_sram_of_other_families_is_within_two_kib(network: str) -> None:
    published = H743.sram_kib["tinyengine"][network]
    assert abs(on_h743(network).sram_bytes / 1024 - published) <= 2


@pytest.mark.parametrize("network", MCUNET)
def test_tinyengine_flash_is_within_three_percent(network: str) -> None:
    published = H743.flash_kib["tinyengine"][network] * 1024
    assert on_h743(network).flash_bytes == pytest.approx(published, rel=0.03)


@pytest.mark.parametrize("network", MCUNET + BASELINES)
def test_tinyengine_latency_is_within_five_percent(network: str) -> None:
    found = on_h743(network)
    assert found.latency_ms == pytest.approx(H743.ms["tinyengine"][network], rel=0.05)
    assert found.latency_is == "predicted"


@pytest.mark.parametrize("runtime", H743.sram_kib)
def test_every_runtime_is_as_good_as_its_file_says(runtime: str) -> None:
    """The shipped constants, on all networks, do no worse than the left-one-out errors stated."""
    kib = {"sram": H743.sram_kib[runtime], "flash": H743.flash_kib[runtime]}
    for what, stated in load_runtime(runtime).fit.items():
        out = H743.left_out(f"{what}_kib", runtime)
        names = [name for name in kib[what] if name in zoo() and name not in out]
        errors = np.array(
            [
                getattr(on_h743(name, runtime), f"{what}_bytes") / (kib[what][name] * 1024) - 1
                for name in names
            ]
        )
        assert len(errors) == stated.networks
        assert np.abs(errors).mean() <= stated.mean + 1e-4
        assert np.abs(errors).max() <= stated.worst + 1e-4
        assert errors.mean() > -0.005, "no runtime may predict too low systematically"


def test_the_shipped_constants_are_what_the_fit_gives() -> None:
    """benchmarks/fit_runtimes.py prints them; run it with --write when this fails."""
    shared_data("mcunet")
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, root / "benchmarks" / "fit_runtimes.py"],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    for name in H743.sram_kib:
        runtime = load_runtime(name)
        for what in ("sram", "flash"):
            line = re.search(rf"^{name} {what}: (.*)$", done.stdout, re.MULTILINE)
            assert line is not None
            for key, value in ast.literal_eval(line[1]).items():
                constant = getattr(getattr(runtime, what), key.split(".")[1])
                assert constant == pytest.approx(value, rel=1e-3)


PREDICTED = [table for table in shipped_tables() if table.kind == "predicted"]


@pytest.mark.parametrize("table", PREDICTED, ids=lambda table: table.name)
def test_every_table_is_as_good_as_it_says(table: object) -> None:
    figures = next(
        one
        for one in (H743, F746, *load_figures("mlperf_tiny"))
        if one.board == table.identity.board
    )
    nets = {**zoo(), **load_networks("mlperf_tiny", shared_data("mcunet"))}
    published = figures.ms[table.identity.runtime]
    model = LatencyModel(table)
    errors = [
        model.ops(nets[name].ops).ms.sum() / published[name] - 1
        for name in published
        if name in nets
    ]
    assert table.validation.networks >= 2
    assert np.abs(errors).mean() <= table.validation.mean + 1e-3
    assert np.abs(errors).max() <= table.validation.worst + 1e-3
    assert table.identity.runtime_version == figures.versions[table.identity.runtime]


def test_a_faster_clock_alone_explains_the_two_cortex_m7_boards() -> None:
    """In2 and in3 take 2.43-2.44 times as long on the STM32F746 as on the STM32H743."""
    f746 = LatencyModel(find_table("stm32f746", "tinyengine"))
    h743 = LatencyModel(find_table("stm32h743", "tinyengine"))
    for name in ("mcunet-in2", "mcunet-in3"):
        ratio = f746.ops(zoo()[name].ops).ms.sum() / h743.ops(zoo()[name].ops).ms.sum()
        assert ratio == pytest.approx(2.435, abs=0.01)


def test_boards_without_figures_have_no_latency() -> None:
    for board in ("rp2040", "nrf5340", "esp32-s3", "stm32f412", "stm32f767", "stm32h747"):
        assert all(find_table(board, runtime) is None for runtime in runtime_ids())
