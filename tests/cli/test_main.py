"""The command line as a whole: help, version, exit statuses, one line per error, JSON."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import typer

import hybrid_nas
from hybrid_nas import cli
from hybrid_nas.cli.options import coverage_option, duration_option, size_option, time_option
from hybrid_nas.cli.output import console, emit_json, json_text, make_table
from hybrid_nas.errors import HybridNasError, InputError

ROOT = Path(__file__).resolve().parents[2]


def app_that(act: Callable[[], object]) -> typer.Typer:
    """An application with one command, `act`."""
    app = cli.new_app()

    @app.command()
    def act_now() -> None:
        act()

    return app


def raising(error: BaseException) -> typer.Typer:
    def act() -> None:
        raise error

    return app_that(act)


@pytest.fixture
def limits_app() -> typer.Typer:
    app = cli.new_app()

    @app.command()
    def limits(
        sram: Annotated[int | None, size_option("--sram", help="SRAM")] = None,
        reserve: Annotated[int, size_option("--reserve", help="kept", allow_zero=True)] = 0,
        uplink: Annotated[float, time_option("--uplink", help="uplink", allow_zero=True)] = 2000.0,
        budget: Annotated[float | None, duration_option("--budget", help="time")] = None,
        coverage: Annotated[list[float] | None, coverage_option("--coverage", help="c")] = None,
    ) -> None:
        emit_json([sram, reserve, uplink, budget, coverage])

    return app


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"hybrid-nas {hybrid_nas.__version__}\n"


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"]])
def test_help_is_printed_also_without_arguments(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(argv) == 0
    printed = capsys.readouterr()
    assert "Usage: hybrid-nas" in printed.out
    assert all(name in printed.out for name in cli.COMMANDS)
    assert not printed.err


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name, "--help"]) == 0
    assert f"hybrid-nas {name}" in capsys.readouterr().out


def test_help_imports_none_of_the_heavy_libraries() -> None:
    """Start-up stays quick because commands import what they need when they run."""
    heavy = ("torch", "optuna", "matplotlib", "scipy", "sklearn", "onnx", "onnxruntime", "numpy")
    code = (
        "import sys; from hybrid_nas.cli import main; status = main(['--help']); "
        f"loaded = [name for name in {heavy!r} if name in sys.modules]; "
        "sys.exit(f'imported at start: {loaded}' if loaded else status)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (InputError("no board 'x':\n  give one of a, b"), 2, "no board 'x': give one of a, b"),
        (HybridNasError("the study is locked"), 1, "the study is locked"),
        (FileNotFoundError(2, "No such file or directory", "a.pt"), 1,
         "a.pt: No such file or directory"),
        (OSError("disk on fire"), 1, "disk on fire"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (typer.Abort(), 130, "interrupted"),
    ],
)  # fmt: skip
def test_a_foreseen_error_is_one_line_and_a_status(
    error: BaseException, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(raising(error), ["act-now"]) == status
    printed = capsys.readouterr()
    assert printed.err == f"hybrid-nas: error: {line}\n"
    assert not printed.out


def test_an_unforeseen_error_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        cli.run(raising(ZeroDivisionError("a defect")), ["act-now"])


def test_a_command_chooses_its_status_with_exit() -> None:
    assert cli.run(raising(typer.Exit(1)), ["act-now"]) == 1
    assert cli.run(app_that(lambda: None), ["act-now"]) == 0


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--nonsense"], "--nonsense"),
        (["nonsense"], "nonsense"),
        (["act-now", "--nonsense"], "hybrid-nas act-now --help"),
        (["act-now", "extra"], "extra"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    argv: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(app_that(lambda: None), argv) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("hybrid-nas: error: ")
    assert words in printed.err
    assert not printed.out


def test_flags_with_units_are_read(
    limits_app: typer.Typer, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["limits", "--sram", "320KB", "--reserve", "0", "--uplink=1.4s", "--budget", "5m"]
    assert cli.run(limits_app, [*argv, "--coverage", "0.9", "--coverage", "70%"]) == 0
    assert json.loads(capsys.readouterr().out) == [327680, 0, 1400.0, 300.0, [0.9, 0.7]]


def test_flags_with_units_have_defaults(
    limits_app: typer.Typer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(limits_app, ["limits"]) == 0
    sram, reserve, uplink, budget, _ = json.loads(capsys.readouterr().out)
    assert (sram, reserve, uplink, budget) == (None, 0, 2000.0, None)


@pytest.mark.parametrize(
    "argv",
    [
        ["--sram", "12XB"],
        ["--sram", "-5"],
        ["--sram", "0"],
        ["--sram="],
        ["--uplink", "fast"],
        ["--budget", "1h30"],
        ["--coverage", "1.5"],
    ],
)
def test_a_wrong_value_is_named_with_its_flag(
    argv: list[str], limits_app: typer.Typer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(limits_app, ["limits", *argv]) == 2
    printed = capsys.readouterr()
    flag, _, value = argv[0].partition("=")
    assert printed.err.count("\n") == 1
    assert f"'{flag}'" in printed.err
    assert repr(argv[1] if len(argv) > 1 else value) in printed.err
    assert "write it like" in printed.err
    assert not printed.out


def test_a_reader_that_goes_away_ends_the_program_quietly() -> None:
    code = (
        "import sys, typer; from hybrid_nas import cli; app = cli.new_app()\n"
        "@app.command()\n"
        "def much() -> None:\n"
        "    for _ in range(100_000): print('x' * 80)\n"
        "sys.exit(cli.run(app, ['much']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141
    process.stderr.close()


def test_python_m_hybrid_nas_is_the_console_script() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hybrid_nas", "--nonsense"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("hybrid-nas: error: ")


@dataclass(frozen=True)
class Cost:
    sram_bytes: np.int64
    table: Path


def test_json_holds_numpy_dataclasses_and_paths_and_no_nan() -> None:
    document: dict[Any, Any] = {
        "cost": Cost(np.int64(5), Path("a/b")),
        "scores": np.array([[0.5, math.nan], [math.inf, 1.0]], dtype=np.float32),
        "kept": np.bool_(True),
        "stderr": np.float64("nan"),
        "names": {"b", "a"},
        0.9: "µ",
    }
    text = json_text(document)
    assert "NaN" not in text and "Infinity" not in text and "µ" in text
    assert json.loads(text) == {
        "cost": {"sram_bytes": 5, "table": "a/b"},
        "scores": [[0.5, None], [None, 1.0]],
        "kept": True,
        "stderr": None,
        "names": ["a", "b"],
        "0.9": "µ",
    }


def test_json_of_something_else_is_an_error_and_prints_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(TypeError, match="object has no JSON form"):
        emit_json({"a": 1, "b": object()})
    assert not capsys.readouterr().out


def test_text_for_people_leaves_standard_output_to_the_document(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console(json=True).print("for people")
    emit_json({})
    printed = capsys.readouterr()
    assert printed.out == "{}\n"
    assert printed.err == "for people\n"
    console(json=False).print("for people")
    assert capsys.readouterr().out == "for people\n"


def test_a_table_shows_cells_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    table = make_table(["name", "SRAM"], [("[bold]x[/bold]", 5), ("y", None)], numeric=["SRAM"])
    console(json=False).print(table)
    lines = capsys.readouterr().out.splitlines()
    assert any("[bold]x[/bold]" in line and line.rstrip().endswith("5") for line in lines)
    assert any(line.rstrip().endswith("–") for line in lines)
