"""``latency build`` and ``latency validate`` as a user types them, on a simulated device."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hybrid_nas import cli
from hybrid_nas.cli import latency, search
from hybrid_nas.errors import InputError
from hybrid_nas.hardware.latency_files import find_table, load_table, save_table
from hybrid_nas.hardware.latency_table import Identity, Validation
from hybrid_nas.profiling import open as opening
from tests.profiling.simulated import IDENTITY, Simulated

SPACE = ("--space", "mcunet-digits", "--classes", "10")
BUILD = ("build", "--port", "DEV", *SPACE, "--budget", "30")


FINISHED = ["30/30 operators", "8/8 networks"]
"""All that a quick session says on standard error: no warning beside its last steps."""


def run(*argv: str) -> int:
    app = cli.new_app()
    for command in (latency, search):
        command.register(app)
    return cli.run(app, ["latency", *argv] if argv[0] in latency.COMMANDS else list(argv))


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Simulated]:
    """Puts a simulated device where the next command looks for one."""
    monkeypatch.chdir(tmp_path)

    def plug(**settings: Any) -> Simulated:
        made = Simulated(**settings)
        monkeypatch.setattr(opening, "open_backend", lambda port, board: made)
        return made

    plug()
    return plug


def refused(capsys: pytest.CaptureFixture[str], *argv: str, status: int = 2) -> str:
    capsys.readouterr()
    assert run(*argv) == status
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1, err
    return err


def test_build_writes_a_validated_table(
    device: Callable[..., Simulated], capsys: pytest.CaptureFixture[str]
) -> None:
    made = device()
    assert run(*BUILD) == 0
    out, err = capsys.readouterr()
    assert [line.split(",")[0] for line in err.splitlines()] == FINISHED
    assert "wrote simulated.hnas-c.yaml, 30 operators" in out
    assert "whole networks: error" in out and "hybrid-nas latency show" in out
    table = load_table(Path("simulated.hnas-c.yaml"))
    assert len(table.rows) == len(made.asked) == 30
    assert table.validation is not None and table.validation.networks == made.networks == 8
    assert made.closed


def test_the_document_has_what_scripts_read(
    device: Callable[..., Simulated], capsys: pytest.CaptureFixture[str]
) -> None:
    device(arena=70_000)
    assert run(*BUILD, "--out", "t.yaml", "--json") == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert [line.split(",")[0] for line in err.splitlines()] == FINISHED
    assert document["schema"] == "hybrid-nas/latency-build/1"
    assert document["table"] == "t.yaml" and document["kind"] == "measured"
    assert document["rows"] == sum(document["rows_per_class"].values()) == 30
    assert document["identity"]["board"] == "simulated"
    assert all(entry["reason"] for entry in document["refused"])
    validation = document["validation"]
    assert validation["validation"]["networks"] == len(validation["networks"]) == 8
    errors = [abs(network["error"]) for network in validation["networks"]]
    assert validation["validation"]["worst"] == pytest.approx(max(errors), abs=1e-5)


def test_two_builds_give_the_same_file(device: Callable[..., Simulated]) -> None:
    for name in ("a.yaml", "b.yaml"):
        device()
        assert run(*BUILD, "--out", name) == 0
    assert Path("a.yaml").read_text() == Path("b.yaml").read_text()


def test_a_lost_device_and_the_same_command_again(
    device: Callable[..., Simulated], capsys: pytest.CaptureFixture[str]
) -> None:
    device(lost_after=11)
    line = refused(capsys, *BUILD, "--out", "t.yaml", status=1)
    assert "cable" in line and "11 answers are kept in t.yaml.journal" in line
    made = device()
    assert run(*BUILD, "--out", "t.yaml") == 0
    assert len(made.asked) == 30 - 11 and not Path("t.yaml.journal").exists()


def test_a_finished_table_is_not_touched(
    device: Callable[..., Simulated], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*BUILD, "--no-validate") == 0
    before = Path("simulated.hnas-c.yaml").read_text()
    assert "--extend" in refused(capsys, *BUILD)
    assert "--extend" in refused(capsys, *BUILD, "--out", "simulated.hnas-c.yaml")
    assert Path("simulated.hnas-c.yaml").read_text() == before
    assert run(*BUILD, "--extend", "--no-validate") == 0
    assert len(load_table(Path("simulated.hnas-c.yaml")).rows) == 60


def test_a_failed_validation_keeps_the_table(
    device: Callable[..., Simulated], capsys: pytest.CaptureFixture[str]
) -> None:
    device(arena=1_500)  # enough for many operators, for no network
    assert run(*BUILD, "--out", "t.yaml") == 0
    out, err = capsys.readouterr()
    assert "warning: no validation: only 0 networks" in err and "wrote t.yaml" in out
    assert load_table(Path("t.yaml")).validation is None


def test_validate_updates_a_table(
    device: Callable[..., Simulated], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*BUILD, "--out", "t.yaml", "--no-validate") == 0
    rows = load_table(Path("t.yaml")).rows
    device(jitter=0.3)
    capsys.readouterr()
    assert run("validate", "t.yaml", "--port", "DEV", *SPACE, "--networks", "5", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "hybrid-nas/latency-validate/1"
    assert len(document["networks"]) == 5
    table = load_table(Path("t.yaml"))
    assert table.rows == rows and table.validation is not None
    assert table.validation.mean > 0.2
    assert run("validate", "t.yaml", "--port", "DEV", *SPACE, "--networks", "5") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "warning" in out and "too far for a limit on latency" in out


def test_validate_asks_for_the_right_device(
    device: Callable[..., Simulated], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*BUILD, "--out", "t.yaml", "--no-validate") == 0
    device(identity=Identity(**{**IDENTITY.__dict__, "runtime_version": "2"}))
    line = refused(capsys, "validate", "t.yaml", "--port", "DEV", *SPACE)
    assert "runtime_version '1'" in line
    assert "none.yaml" in refused(capsys, "validate", "none.yaml")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], ["--port", "--board"]),
        (["--board", "toaster"], ["toaster", "emulated-cortex-m7"]),
        (["--board", "stm32f746"], ["stm32f746", "--port"]),
        (["--board", "host", "--budget", "0"], ["--budget"]),
        (["--board", "host", "--space", "none"], ["none", "mcunet"]),
        (["--board", "host", "--ops", "none.csv"], ["none.csv"]),
        (["--board", "host", "--extend", "--restart", "--out", "t"], ["--extend", "--restart"]),
        (["--board", "host", "--extend", "--out", "t"], ["no table t"]),
        (["--board", "host", "--networks", "2"], ["--networks"]),
        (["--port", "/dev/nothing-here"], ["/dev/nothing-here"]),
    ],
)
def test_bad_input_is_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    flags: list[str],
    words: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert run("build", *flags) in (1, 2)
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert all(word in err for word in words), err
    assert not list(tmp_path.iterdir())


def test_another_board_on_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Simulated()
    monkeypatch.setattr("hybrid_nas.profiling.board.open_board", lambda port: made)
    assert opening.open_backend("DEV", "simulated") is made
    with pytest.raises(InputError, match=r"--board stm32f746, but.*simulated"):
        opening.open_backend("DEV", "stm32f746")
    assert made.closed == 1


# -- limits on latency


def write_table(path: Path, mean: float | None) -> None:
    table = find_table("stm32f746", "tinyengine")
    assert table is not None
    found = None if mean is None else Validation(mean, 2 * mean, 5, "made up for a test")
    save_table(replace(table, validation=found), path)


def test_a_search_refuses_a_limit_that_the_table_cannot_tell(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "far.yaml"
    write_table(path, 0.27)
    flags = ("search", "--latency", "100ms", "--table", str(path), "--run", str(tmp_path / "run"))
    line = refused(capsys, *flags)
    assert "off by 27%" in line and "--force-latency" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("mean", "flags", "words"),
    [
        (0.27, ["--force-latency"], "off by 27%"),
        (0.15, [], "off by 15%"),
        (None, [], "never compared with whole networks"),
        (0.05, [], ""),
    ],
)
def test_a_search_doubts_a_limit(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    mean: float | None,
    flags: list[str],
    words: str,
) -> None:
    path = tmp_path / "near.yaml"
    write_table(path, mean)
    flags = [*flags, "--table", str(path), "--data", "nowhere", "--run", str(tmp_path / "run")]
    assert run("search", "--latency", "100ms", *flags) == 2  # there is no such data
    out, err = capsys.readouterr()
    assert "nowhere" in err
    assert (words in out and "warning" in out) if words else "warning" not in out
