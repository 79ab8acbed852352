"""``hybrid-nas estimate``, ``boards`` and ``spaces``, through the application."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from hybrid_nas import cli
from hybrid_nas.cli import boards, estimate, spaces
from hybrid_nas.hardware.board_files import board_entry
from hybrid_nas.hardware.boards import board_ids, load_board
from hybrid_nas.hardware.latency_files import save_table
from hybrid_nas.hardware.latency_table import Identity, LatencyTable
from hybrid_nas.hardware.runtimes import runtime_ids
from hybrid_nas.spaces.interchange import genes_to_json
from hybrid_nas.spaces.loader import load_space
from tests.conftest import shared_data

GENES = json.dumps({"wid": 0.3, "ks": [3] * 21, "e": [4] * 21, "d": [2] * 5, "r": 48})
SMALL = ("--space", "mcunet", "--classes", "10")


def run(*argv: str) -> int:
    app = cli.new_app()
    for command in (boards, estimate, spaces):
        command.register(app)
    return cli.run(app, argv)


def document(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    assert run(*argv, "--json") == 0
    out = capsys.readouterr()
    assert out.err == ""
    return json.loads(out.out)


def test_the_document_has_what_scripts_read(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "estimate", GENES, *SMALL)
    assert found["schema"] == "hybrid-nas/estimate/1"
    assert (found["board"], found["runtime"]) == ("stm32f746", "tinyengine")
    assert found["latency_is"] == "predicted"
    assert found["sram_peak"]["op"] in [op["name"] for op in found["ops"]]
    peak = max(op["live_bytes"] for op in found["ops"])
    beside = sum(found["sram"]["buffer_bytes"].values())
    assert found["sram_bytes"] == found["sram_peak"]["bytes"] == peak + beside
    assert found["macs"] == sum(op["macs"] for op in found["ops"])
    assert found["latency_ms"] == pytest.approx(sum(op["latency_ms"] for op in found["ops"]))
    assert found["fits"] is True
    assert {"flash_bytes", "params"} <= found.keys()


def test_published_figures_are_met_from_the_command_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = shared_data("mcunet") / "mcunet-in1.json"
    found = document(capsys, "estimate", str(path), "--board", "stm32h743")
    assert abs(found["sram_bytes"] / 1024 - 96) <= 1
    assert found["flash_bytes"] / 1024 == pytest.approx(727, rel=0.03)
    assert found["latency_ms"] == pytest.approx(56, rel=0.05)


def test_options_change_what_they_say(capsys: pytest.CaptureFixture[str]) -> None:
    plain = document(capsys, "estimate", GENES, *SMALL)
    more = document(
        capsys, "estimate", GENES, *SMALL, "--uplink-image", "jpeg:10KB",
        "--reserve-sram", "1KB", "--reserve-flash", "2KB",
    )  # fmt: skip
    assert more["sram_bytes"] - plain["sram_bytes"] == 11 * 1024
    assert more["flash_bytes"] - plain["flash_bytes"] == 2 * 1024
    assert more["uplink_image"] == "jpeg:10kb"
    larger = document(capsys, "estimate", GENES, *SMALL, "--resolution", "64")
    assert larger["input_shape"] == [64, 64, 3] and larger["macs"] > plain["macs"]
    classes = document(capsys, "estimate", GENES, "--space", "mcunet", "--classes", "20")
    assert classes["classes"] == 20 and classes["params"] > plain["params"]


def test_the_table_for_people_marks_the_peak(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("estimate", GENES, *SMALL) == 0
    out = capsys.readouterr().out
    assert out.count(" peak ") >= 1 and "█" in out
    assert "SRAM" in out and "of 320 KB" in out and "fits" in out
    assert "predicted" in out and "Reserved for radio and application: 0 B of SRAM" in out


def test_a_board_without_a_table_has_no_latency(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "estimate", GENES, *SMALL, "--board", "rp2040", "--runtime", "tflm")
    assert found["latency_ms"] is None and found["latency_is"] is None
    assert run("estimate", GENES, *SMALL, "--board", "rp2040", "--runtime", "tflm") == 0
    assert "no latency table for rp2040" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("space", "lacks"), [("ofa-mbv3-w1.0", "mul"), ("ofa-resnet50", "maxpool")]
)
def test_memory_is_known_where_a_table_lacks_an_operator(
    capsys: pytest.CaptureFixture[str], space: str, lacks: str
) -> None:
    laid_out = load_space(space)
    genes = json.dumps(genes_to_json(laid_out, tuple(laid_out.extremes()[0].tolist())))
    found = document(capsys, "estimate", genes, "--board", "emulated-cortex-m7")
    assert found["latency_ms"] is None and f"no {lacks} row of int8" in found["no_latency"]
    assert found["sram_bytes"] > 0 and found["flash_bytes"] > 0
    assert run("estimate", genes, "--board", "emulated-cortex-m7") == 0
    assert f"Latency  unknown: latency table emulated-cortex-m7.hnas-c has no {lacks} row" in (
        capsys.readouterr().out
    )


def test_a_table_of_ones_own_is_used(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    identity = Identity("rp2040", "cortex-m0plus", 133_000_000, "tflm", "1")
    path = tmp_path / "mine.yaml"
    save_table(LatencyTable(identity, "predicted", "me", {}, {"conv_mmac": 1.0}), path)
    argv = ("estimate", GENES, *SMALL, "--runtime", "tflm", "--table", str(path))
    assert document(capsys, *argv, "--board", "rp2040")["latency_ms"] > 0
    assert run(*argv) == 2
    assert "is for board rp2040, not for stm32f746" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("estimate", "nowhere.json"), "no file nowhere.json"),
        (("estimate", GENES), "names no search space"),
        (("estimate", GENES, "--space", "mars"), "no search space 'mars'"),
        (("estimate", GENES, *SMALL, "--board", "stm32"), "no board 'stm32'"),
        (("estimate", GENES, *SMALL, "--runtime", "glow"), "no runtime 'glow'"),
        (("estimate", GENES, *SMALL, "--uplink-image", "3x"), "uplink image '3x'"),
        (("estimate", GENES, *SMALL, "--reserve-sram", "12XB"), "12XB"),
        (("estimate", GENES, *SMALL, "--resolution", "-5"), "resolution"),
        (("estimate", '{"first_conv": 1, "blocks": []}', "--resolution", "8"), "first_conv"),
        (("boards", "stm32"), "no board 'stm32'"),
    ],
)
def test_wrong_input_is_one_line_and_status_two(
    capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], message: str
) -> None:
    assert run(*argv, "--json") == 2
    out = capsys.readouterr()
    assert out.out == ""
    assert message in out.err and out.err.count("\n") == 1


def test_boards_say_what_their_latency_is(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "boards")
    by_id = {board["id"]: board for board in found["boards"]}
    assert list(by_id) == list(board_ids())
    own = dict.fromkeys(("hnas-c", "onnxruntime", "tflm-export"), "none")  # no table of these
    assert by_id["stm32h743"]["latency"] == dict.fromkeys(runtime_ids(), "predicted") | own
    assert set(by_id["rp2040"]["latency"].values()) == {"none"}
    assert by_id["stm32f746"]["regions"][1]["name"] == "DTCM"
    assert run("boards") == 0
    out = capsys.readouterr().out
    assert all(board in out for board in board_ids())


def test_one_board_is_shown_in_detail(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("boards", "stm32h743") == 0
    out = capsys.readouterr().out
    assert "AXI SRAM" in out and "0x24000000" in out and "DS12110" in out
    assert "10 networks" in out
    assert len(document(capsys, "boards", "rp2040")["boards"]) == 1


def test_boards_and_estimates_take_the_file_of_an_own_board(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "small.yaml"
    entry = board_entry(load_board("stm32f746")) | {"flash": {"bytes": 65_536}}
    own = {"schema": "hybrid-nas/boards/1", "boards": {"stm32f746": entry}}
    path.write_text(yaml.safe_dump(own), encoding="utf-8")
    listed = document(capsys, "boards", str(path))["boards"]
    assert [(one["id"], one["flash_bytes"]) for one in listed] == [("stm32f746", 65_536)]
    found = document(capsys, "estimate", GENES, *SMALL, "--board", str(path))
    shipped = document(capsys, "estimate", GENES, *SMALL)
    assert {name for name in found if found[name] != shipped[name]} <= {"board", "limits", "fits"}


def test_spaces_are_listed_with_counts_and_sharing(capsys: pytest.CaptureFixture[str]) -> None:
    found = {space["name"]: space for space in document(capsys, "spaces")["spaces"]}
    assert found["ofa-mbv3-w1.0"]["count"] == 5 * 7371**5
    assert found["mcunet"]["dimensions"]["kernel"] == [3, 5, 7]
    assert "width" in found["mcunet"]["shares_weights"]
    assert run("spaces") == 0
    assert "mcunet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("board", "runtime"),
    [("host", "onnxruntime"), ("emulated-cortex-m7", "hnas-c"), ("stm32h743", "tinyengine")],
)
def test_a_board_is_estimated_under_its_own_runtime(
    capsys: pytest.CaptureFixture[str], board: str, runtime: str
) -> None:
    found = document(capsys, "estimate", GENES, *SMALL, "--board", board)
    assert (found["board"], found["runtime"]) == (board, runtime)


def test_patches_are_shown_where_they_help(capsys: pytest.CaptureFixture[str]) -> None:
    whole = document(capsys, "estimate", GENES, *SMALL)
    found = document(capsys, "estimate", GENES, *SMALL, "--patches", "auto")
    assert whole["patches"] is None
    assert found["patches"]["whole_sram_bytes"] == whole["sram_bytes"] > found["sram_bytes"]
    assert found["macs"] == whole["macs"] + found["patches"]["extra_macs"] > whole["macs"]
    assert found["latency_ms"] > whole["latency_ms"]
    assert run("estimate", GENES, *SMALL, "--patches", "2") == 0
    assert "Patches  2x2 of the first" in capsys.readouterr().out
    assert run("estimate", GENES, *SMALL, "--patches", "2", "--runtime", "tflm") == 2
    assert "runtime tflm runs no patches" in capsys.readouterr().err
