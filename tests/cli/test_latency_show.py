"""``hybrid-nas latency show`` and ``latency check``, through the application."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from hybrid_nas import cli
from hybrid_nas.cli.latency import check, show
from hybrid_nas.hardware.latency_files import save_table
from hybrid_nas.hardware.latency_table import (
    Correction,
    Identity,
    LatencyTable,
    Measurement,
    Validation,
)
from hybrid_nas.spaces.opspec import OpSpec
from tests.hardware.kernels import instructions, space_ops

OPS = space_ops(90, 1)
IDENTITY = Identity("emulated-cortex-m7", "cortex-m7", 25_000_000, "hnas-c", "1", unit="cycles")


def run(*words: object) -> int:
    app = cli.new_app()
    group = typer.Typer()
    show.register(group)
    check.register(group)
    app.add_typer(group, name="latency")
    return cli.run(app, ["latency", *map(str, words)])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    made = LatencyTable(
        IDENTITY,
        "emulated",
        "made-up [kernels]",
        {op: Measurement(float(instructions(op)), 2.0, 3) for op in OPS[:60]},
        correction=Correction(0.5, 0.01),
        validation=Validation(0.13, 0.22, 8, "leave one out", 0.75),
        scaled_from=Identity("x", "y", 1, "kernels", "2", unit="instructions"),
    )
    path = tmp_path / "mine.yaml"
    save_table(made, path)
    return path


@pytest.fixture
def unseen(tmp_path: Path) -> Path:
    path = tmp_path / "unseen.csv"
    lines = ["op,h,w,cin,cout,kernel,stride,padding,activation,bias,residual,cycles"]
    for op in OPS[50:]:
        shape = (op.op, op.h, op.w, op.cin, op.cout, op.kernel, op.stride, op.padding)
        lines.append(
            ",".join(map(str, (*shape, op.activation, op.bias, op.residual, instructions(op))))
        )
    path.write_text("\n".join(lines))
    return path


def output(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_show_says_what_the_table_is_and_how_wrong(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("show", table) == 0
    text = capsys.readouterr().out
    for words in (
        "mine: emulated; made-up [kernels]",
        "emulated-cortex-m7 (cortex-m7, 25 MHz)",
        "0.5 x the sum of its operators + 0.01 ms each",
        "instructions of kernels 2 on x",
        "poor, off by 13.0% on average and 22.0% at worst, Kendall tau 0.75 (8 networks",
        "Leave a margin",
    ):
        assert words in text
    slowest = max(OPS[:60], key=instructions)
    assert f"{slowest.h}x{slowest.w}x{slowest.cin} -> " in text


def test_show_as_json(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", table, "--json") == 0
    found = output(capsys)
    assert found["schema"] == "hybrid-nas/latency-show/1"
    assert found["identity"]["unit"] == "cycles" and found["kind"] == "emulated"
    assert found["rows"] == sum(one["rows"] for one in found["classes"].values()) == 60
    assert found["verdict"] == "poor" and found["validation"]["kendall_tau"] == 0.75
    assert found["classes"]["dwconv"]["held_out"]["mean"] < 0.2
    values = [one["value"] for one in found["slowest"]]
    assert values == sorted(map(instructions, OPS[:60]), reverse=True)[:10]


def test_a_shipped_table_without_rows_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", "stm32l4r5", "--json") == 0
    found = output(capsys)
    assert found["classes"] == {} and found["slowest"] == []
    assert found["model"]["conv_mmac"] > 0
    assert found["energy"]["power_mw"] == pytest.approx(75, rel=0.1)
    assert run("show", "stm32l4r5") == 0
    assert "Energy: latency x 7" in capsys.readouterr().out


def test_the_plot_is_a_png(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one.png", "two.png"):
        assert run("show", table, "--plot", tmp_path / name) == 0
    one, two = ((tmp_path / name).read_bytes() for name in ("one.png", "two.png"))
    assert one.startswith(b"\x89PNG") and one == two
    assert "one.png" in capsys.readouterr().out


def test_check_counts_unseen_and_seen_apart(
    table: Path, unseen: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("check", table, "--against", unseen, "--json") == 0
    found = output(capsys)
    assert found["schema"] == "hybrid-nas/latency-check/1"
    assert found["seen"]["n"] == 10 and found["seen"]["mean"] == 0
    left_out = sum(found["not_predictable"].values())
    assert found["unseen"]["n"] + left_out == len(OPS) - 60
    assert 0 < found["by_class"]["dwconv"]["mean"] < 0.2
    assert run("check", table, "--against", unseen) == 0
    text = capsys.readouterr().out
    assert "all unseen" in text and "rows of the table" in text and "Farthest off: " in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("show", "nowhere"), "is called 'nowhere': give a YAML file or one of"),
        (("show", "stm32f746", "--runtime", "x"), "give one of cmsis-nn, tflm, tinyengine"),
        (("show", "stm32f746", "--plot", "a.png"), "nothing to draw"),
        (("show", "stm32f746", "--plot", "a.jpg"), "expected a name that ends in .png"),
        (("check", "stm32f746"), "--against"),
        (("check", "stm32f746", "--against", "absent.csv"), "no file absent.csv"),
    ],
)
def test_mistakes_are_one_line(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_single_row_is_enough_to_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    only = LatencyTable(IDENTITY, "emulated", "one", {OpSpec("conv", 4, 4, 4, 4): Measurement(9.0)})
    save_table(only, tmp_path / "one.yaml")
    assert run("show", tmp_path / "one.yaml", "--plot", tmp_path / "one.png") == 0
    assert "too few rows to say" in capsys.readouterr().out
