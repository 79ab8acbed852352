"""`hybrid-nas search` as a user types it: flags, errors in one line, JSON alone on stdout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from hybrid_nas.cli import main
from hybrid_nas.hardware.board_files import board_entry
from hybrid_nas.hardware.boards import load_board
from tests.search.conftest import TinyInputs, tiny

__all__ = ["tiny"]


def refused(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    """The one line of a search that ends with status 2."""
    assert main(["search", *flags]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    assert captured.err.startswith("hybrid-nas: error: ")
    return captured.err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--sram", "12XB"], ["--sram", "12XB"]),
        (["--sram", "-5"], ["--sram", "-5"]),
        (["--flash", "0"], ["--flash"]),
        (["--coverage", "1.5"], ["1.5"]),
        (["--coverage", "0"], ["coverage"]),
        (["--trials", "0"], ["trials"]),
        (["--sampler", "magic"], ["magic", "nsga2"]),
        (["--objective", "speed"], ["speed", "mean-latency"]),
        (["--router", "oracle"], ["oracle", "linear-logits"]),
        (["--board", "arduino"], ["arduino", "stm32f746"]),
        (["--runtime", "magic"], ["magic", "tinyengine"]),
        (["--table", "none.yaml"], ["none.yaml"]),
        (["--data", "nowhere"], ["nowhere"]),
        (["--supernet", "none.pt"], ["none.pt"]),
        (["--cloud", "none.onnx"], ["none.onnx"]),
        (["--cloud", "a.onnx", "--no-cloud"], ["--cloud", "--no-cloud"]),
        (["--uplink-image", "huge"], ["huge"]),
        (["--latency", "fast"], ["--latency", "fast"]),
        (["--storage", "nosql://x", "--trials", "1"], ["--storage"]),
        (["--resume", "--run", "nowhere"], ["nowhere"]),
    ],
)
def test_bad_input_is_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    tiny: TinyInputs,
    flags: list[str],
    words: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [f for f in tiny.flags()]
    for flag in ("--data", "--supernet", "--cloud", "--sram", "--flash", "--sampler"):
        if flag in flags or (flag == "--cloud" and "--no-cloud" in flags) or "--resume" in flags:
            at = given.index(flag)
            del given[at : at + 2]
    if "--resume" in flags:
        given = []
    line = refused(capsys, *given, *flags)
    assert all(word in line for word in words), line
    assert not list(tmp_path.glob("runs/*/pareto.json"))


def test_limits_that_nothing_meets(
    capsys: pytest.CaptureFixture[str], tiny: TinyInputs, tmp_path: Path
) -> None:
    flags = [*tiny.flags(), "--flash", "1KB", "--run", str(tmp_path / "a")]
    line = refused(capsys, *flags)
    assert "flash limit binds" in line and "nearest limits that work: --flash" in line
    assert not (tmp_path / "a" / "run.yaml").exists()


def test_a_truncated_supernet(
    capsys: pytest.CaptureFixture[str], tiny: TinyInputs, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.pt"
    cut.write_bytes(tiny.supernet.read_bytes()[:2000])
    flags = tiny.flags()
    flags[flags.index(str(tiny.supernet))] = str(cut)
    assert "cut.pt" in refused(capsys, *flags, "--run", str(tmp_path / "a"))


def test_json_is_the_front_and_nothing_else(
    capsys: pytest.CaptureFixture[str], tiny: TinyInputs, tmp_path: Path
) -> None:
    run = tmp_path / "a"
    flags = [*tiny.flags(), "--trials", "4", "--run", str(run), "--coverage", "0.8", "--json"]
    assert main(["search", *flags]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads((run / "pareto.json").read_text())
    assert document["coverages"] == [0.9, 0.8, 0.7, 0.5]
    assert document["target_coverage"] == 0.8
    assert (run / "report.html").is_file()


def test_the_table_names_the_report(
    capsys: pytest.CaptureFixture[str], tiny: TinyInputs, tmp_path: Path
) -> None:
    run = tmp_path / "a"
    assert main(["search", *tiny.flags(), "--trials", "3", "--run", str(run)]) == 0
    out = capsys.readouterr().out
    assert "3 candidates scored" in out
    assert "report.html" in out
    refusal = refused(capsys, "--resume", "--run", str(run), "--seed", "3")
    assert "leave out --seed" in refusal
    assert "leave out --sram" in refused(capsys, "--resume", "--run", str(run), "--sram", "9KB")
    assert "leave out --no-cloud" in refused(capsys, "--resume", "--run", str(run), "--no-cloud")
    assert "leave out --objective" in refused(
        capsys, "--resume", "--run", str(run), "--objective", "flash"
    )


def test_the_file_of_an_own_board_is_needed_once(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    tiny: TinyInputs,
) -> None:
    monkeypatch.chdir(tmp_path)
    entry = board_entry(load_board("rp2040")) | {"flash": {"bytes": 777_777}}
    own = {"schema": "hybrid-nas/boards/1", "boards": {"my-board": entry}}
    Path("my.yaml").write_text(yaml.safe_dump(own), encoding="utf-8")
    without_limits = tiny.flags()
    for flag in ("--sram", "--flash"):
        if flag in without_limits:
            del without_limits[(at := without_limits.index(flag)) : at + 2]
    search = ["search", "--run", "run", "--objective", "accuracy", "--objective", "sram", "--json"]
    assert main([*search, *without_limits, "--trials", "2", "--board", "my.yaml"]) == 0
    Path("my.yaml").unlink()
    capsys.readouterr()
    assert main(["search", "--resume", "--run", "run", "--trials", "3", "--json"]) == 0
    front = json.loads(capsys.readouterr().out)
    assert front["board"] == "my-board"
    assert front["limits"]["flash_bytes"] == 777_777
    assert front["limits"]["sram_bytes"] == load_board("rp2040").sram_bytes
