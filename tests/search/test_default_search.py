"""The bundled default: a real search with real weights, small, checked by a second planner."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hybrid_nas.cli import main
from hybrid_nas.hardware.runtimes import load_runtime
from hybrid_nas.routing.designs import design
from hybrid_nas.spaces.interchange import read_architecture
from tests.hardware.brute_force import peak_sram_bytes


@pytest.mark.parametrize("sram_kb", [320, 48])
def test_default_pairs_fit_and_beat_their_bases(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sram_kb: int
) -> None:
    run = tmp_path / "run"
    flags = ["--sram", f"{sram_kb}KB", "--flash", "1MB", "--trials", "8", "--json"]
    assert main(["search", *flags, "--run", str(run), "--threads", "1"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["cloud"]["accuracy"] >= 0.97
    assert document["pairs"]
    for pair in document["pairs"]:
        arch = read_architecture(str(run / "pairs" / str(pair["id"]) / "architecture.json"))
        peak = peak_sram_bytes(
            arch.ops,
            load_runtime("tinyengine"),
            hold_input=True,
            router_bytes=design(pair["router"]["kind"]).sram_bytes(10, arch.blocks[-1].cin),
        )
        assert peak == pair["cost"]["sram_bytes"] <= sram_kb * 1024
        assert pair["cost"]["flash_bytes"] <= 1024 * 1024
        # far above chance (10 %), and better with the cloud's help than without
        assert pair["base"]["test_accuracy"] > 0.6
        assert pair["test"]["0.7"]["accuracy"] > pair["base"]["test_accuracy"]
