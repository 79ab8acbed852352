"""Writing a report, and the command that does it."""

from __future__ import annotations

import json
import shutil
import webbrowser
from pathlib import Path

import pytest

from hybrid_nas import cli
from hybrid_nas.cli import report as command
from hybrid_nas.errors import InputError
from hybrid_nas.report import write, write_report
from hybrid_nas.report.plots import PLOTS


@pytest.fixture
def copy_of_run(run_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run_dir, tmp_path / "copy"))


@pytest.fixture
def written(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose report is there already: the command need not draw it again."""
    monkeypatch.setattr(write, "write_report", lambda folder: folder / "report.html")
    return run_dir


def run_command(*argv: str) -> int:
    app = cli.new_app()
    command.register(app)

    @app.command()
    def other() -> None:
        """A second command, so that the first one keeps its name."""

    return cli.run(app, ["report", *argv])


def test_a_report_is_written_again_with_the_same_bytes(run_dir: Path, copy_of_run: Path) -> None:
    shutil.rmtree(copy_of_run / "plots")
    (copy_of_run / "report.html").unlink()
    target = copy_of_run.rename(copy_of_run.parent / run_dir.name)
    assert write_report(target) == target / "report.html"
    for name in ("report.html", *(f"plots/{plot}.png" for plot in PLOTS)):
        assert (target / name).read_bytes() == (run_dir / name).read_bytes()
    assert {path.name for path in (target / "plots").iterdir()} == {f"{p}.png" for p in PLOTS}


def test_a_plot_without_data_is_removed(copy_of_run: Path) -> None:
    (copy_of_run / "trials.json").unlink()
    write_report(copy_of_run)
    assert not (copy_of_run / "plots" / "hypervolume.png").exists()
    assert (copy_of_run / "plots" / "pareto.png").exists()


def test_a_broken_document_leaves_the_old_report(copy_of_run: Path) -> None:
    before = (copy_of_run / "report.html").read_bytes()
    (copy_of_run / "trials.json").write_text("{")
    with pytest.raises(InputError):
        write_report(copy_of_run)
    assert (copy_of_run / "report.html").read_bytes() == before


def test_command_shows_the_front(copy_of_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(str(copy_of_run)) == 0
    out = capsys.readouterr().out
    assert "Front at 70 % coverage" in out
    assert f"Report: {copy_of_run / 'report.html'}" in out


def test_json_is_one_document_on_standard_output(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(str(written), "--json") == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["schema"] == "hybrid-nas/report/1"
    assert Path(document["report"]).is_file()
    assert len(document["plots"]) == len(PLOTS)
    assert document["verdict"].startswith(f"Pair {document['best']} reaches")
    assert "Front at 70 % coverage" in captured.err


@pytest.mark.parametrize("opens", [True, False])
def test_open_asks_for_a_browser_and_says_when_there_is_none(
    written: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    opens: bool,
) -> None:
    asked: list[str] = []

    def open_page(url: str) -> bool:
        asked.append(url)
        return opens

    monkeypatch.setattr(webbrowser, "open", open_page)
    assert run_command(str(written), "--open") == 0
    assert asked == [(written / "report.html").as_uri()]
    assert ("No web browser" in capsys.readouterr().out) != opens


def test_a_wrong_directory_is_one_line_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(str(tmp_path / "nowhere")) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.splitlines()) == 1
    assert "is not a directory" in captured.err
