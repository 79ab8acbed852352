"""Vela's summary, read; and Vela itself, where it is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybrid_nas.errors import HybridNasError, InputError
from hybrid_nas.export import vela
from hybrid_nas.export.tflite_file import write_tflite
from hybrid_nas.export.vela import read_summary, vela_estimate, vela_installed
from tests.export.tflite_networks import network_of, trained_like

COLUMNS = (
    "experiment,network,accelerator_configuration,system_config,memory_mode,core_clock,"
    "inference_time,sram_memory_used,on_chip_flash_memory_used,off_chip_flash_memory_used,"
    "nn_macs,cycles_npu,cycles_total"
)
ROW = (
    "default,net,Ethos_U55_128,High_End,Shared_Sram,500000000.0,"
    "0.002,38.5,1.0,835.75,8164776,350438,1000000"
)


def test_a_summary_is_read_in_bytes_and_milliseconds() -> None:
    found = read_summary(f"{COLUMNS}\n{ROW}\n")
    assert found.sram_bytes == 39424
    assert found.flash_bytes == round(836.75 * 1024)
    assert found.inference_ms == pytest.approx(2.0)
    assert found.cycles / found.clock_hz == pytest.approx(found.inference_ms / 1000)
    assert (found.accelerator, found.macs, found.npu_cycles) == ("Ethos_U55_128", 8164776, 350438)


@pytest.mark.parametrize("text", ["", COLUMNS, f"{COLUMNS}\n{ROW.replace('38.5', 'much')}", "a\n1"])
def test_a_summary_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(HybridNasError, match="Vela's summary"):
        read_summary(text)


def test_without_vela_the_line_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(vela, "vela_installed", lambda: False)
    with pytest.raises(InputError, match="pip install ethos-u-vela"):
        vela_estimate(tmp_path / "net.tflite")


@pytest.mark.skipif(not vela_installed(), reason="Vela (ethos-u-vela) is not installed")
def test_vela_takes_the_whole_network_onto_the_accelerator(tmp_path: Path) -> None:
    graph = trained_like("mcunet")
    path = tmp_path / "net.tflite"
    write_tflite(network_of(graph), path)
    found = vela_estimate(path)
    weights = sum(op.weight.size for op in graph.ops if op.weight is not None)
    macs = sum(spec.macs for spec in graph.specs)
    assert 0.3 * weights < found.flash_bytes < 1.5 * weights + 100_000
    assert macs <= found.macs <= 1.2 * macs
    assert found.npu_cycles <= found.cycles
    assert found.inference_ms == pytest.approx(1000 * found.cycles / found.clock_hz, rel=1e-3)


@pytest.mark.skipif(not vela_installed(), reason="Vela (ethos-u-vela) is not installed")
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(b"no network")
    with pytest.raises(HybridNasError, match=r"Vela fails on net\.tflite"):
        vela_estimate(path)
