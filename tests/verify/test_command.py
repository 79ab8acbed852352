"""``hybrid-nas verify``: a network of files from end to end, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from hybrid_nas.cli import main
from hybrid_nas.spaces.interchange import architecture_to_json
from hybrid_nas.verify.outside import LITERT
from tests.quantise.test_fake_quant import small_network
from tests.verify.conftest import needs_compiler, needs_qemu


@pytest.fixture
def published(tmp_path: Path) -> list[str]:
    """Flags that name an architecture and its checkpoint."""
    network = small_network("mcunet")
    arch, weights = tmp_path / "net.json", tmp_path / "net.pth"
    arch.write_text(json.dumps(architecture_to_json(network.architecture)))
    torch.save({"state_dict": network.state_dict()}, weights)
    return ["--arch", str(arch), "--weights", str(weights)]


@needs_compiler
@needs_qemu
def test_layers_and_weights_of_others_on_a_board(
    published: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    flags = ["verify", *published, "--out", str(out), "--images", "1", "--threads", "1"]
    assert main([*flags, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads((out / "verify.json").read_text())
    assert document["agreement"]["exact"] and document["agreement"]["same_decisions"] is None
    arena, sram, flash, _ = document["quantities"]
    assert arena["predicted"] == arena["observed"]
    assert sram["predicted"] >= sram["observed"]
    assert 0 <= flash["error"] <= 0.02
    names = {one["who"]: one for one in document["outside"]}
    assert names["onnxruntime"]["same_class"] == 1
    if LITERT in names:
        assert names[LITERT]["exact"] == 1
    room = int(flash["observed"]) - 1024
    assert main([*flags, "--flash", str(room)]) == 1
    err = capsys.readouterr().err
    assert "1 KB (1,024 bytes) too large for the flash" in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ([], "either RUN"),
        (["RUN", "--arch", "a.json"], "either RUN"),
        (["RUN"], "--pair is missing"),
        (["RUN", "--pair", "1", "--weights", "w.pth"], "belongs to --arch"),
        (["RUN", "--pair", "1"], "has no pareto.json"),
        (["--arch", "none.json"], "--out DIR is missing"),
        (["--arch", "none.json", "--out", "OUT"], "--weights is missing"),
        (["--arch", "none.json", "--weights", "w.pth", "--out", "OUT"], "no such file"),
        (["--arch", "a.json", "--weights", "w", "--out", "OUT", "--untrained"], "--untrained is"),
        (["RUN", "--pair", "1", "--out", __file__], "is a file: name a folder"),
        (["RUN", "--pair", "1", "--board", "z80"], "cannot verify on board 'z80'"),
        (["RUN", "--pair", "1", "--port", "/dev/ttyX"], "is for a real board"),
    ],
)
@needs_compiler
def test_what_is_refused(
    flags: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"RUN": str(tmp_path), "OUT": str(tmp_path / "out")}
    assert main(["verify", *(places.get(word, word) for word in flags)]) == 2
    err = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert says in err[-1] and not any("Traceback" in line for line in err)
