"""``hybrid-nas route`` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid_nas import cli
from hybrid_nas.cli import route
from hybrid_nas.cli.multivalue import join_values, parse_coverages
from hybrid_nas.errors import InputError


def call(*arguments: object) -> int:
    app = cli.new_app()
    route.register(app)
    return cli.run(app, join_values([str(argument) for argument in arguments]))


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 200)
    wrong = (labels + 1) % 4
    sure = random.random(200)
    pred = np.where(random.random(200) < 0.4 + 0.6 * sure, labels, wrong)
    np.savez(
        tmp_path / "base.npz", labels=labels, logits=np.eye(4)[pred] * (0.5 + 3 * sure)[:, None]
    )
    np.savez(tmp_path / "cloud.npz", pred=np.where(random.random(200) < 0.95, labels, wrong))
    return tmp_path / "base.npz", tmp_path / "cloud.npz"


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    printed = capsys.readouterr()
    assert printed.err == ""
    loaded: dict[str, Any] = json.loads(printed.out)
    return loaded


def test_json_is_one_document_with_the_contract_s_keys(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    base, cloud = files
    status = call(
        "route", "--base", base, "--cloud", cloud, "--coverage", 0.9, 0.7, "--json", "--repeats", 1
    )
    assert status == 0
    found = document(capsys)
    assert found["schema"] == "hybrid-nas/route/1"
    assert found["n"] == 200
    assert {"base_accuracy", "cloud_accuracy", "default"} <= set(found)
    required = {"signed-gain", "oracle-label", "msp", "entropy", "margin", "random", "oracle-bound"}
    assert required <= set(found["methods"])
    for by_coverage in found["methods"].values():
        assert list(by_coverage) == ["0.9", "0.7"]
        for at in by_coverage.values():
            assert all(isinstance(at[key], float) for key in ("accuracy", "stderr", "coverage"))
            assert isinstance(at["threshold"], float | int)


def test_coverages_default_to_three(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    base, cloud = files
    assert call("route", "--base", base, "--cloud", cloud, "--json", "--repeats", 1) == 0
    assert document(capsys)["coverages"] == [0.9, 0.7, 0.5]


def test_people_get_a_table_and_a_verdict(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    base, cloud = files
    status = call(
        "route", "--base", base, "--cloud", cloud, "--coverage", "70%", "--repeats", 1,
        "--base-ms", 200, "--uplink-ms", "1.5s", "--cloud-ms", 500, "--router", "linear-stats",
    )  # fmt: skip
    assert status == 0
    printed = capsys.readouterr().out
    for text in ("signed-gain", "oracle-bound", "mean ms", "linear-stats", "A hybrid is"):
        assert text in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--coverage", "1.5"], "'1.5' is not a coverage"),
        (["--coverage", "0"], "'0' is not a coverage"),
        (["--coverage", "-0.5"], "'-0.5' is not a coverage"),
        (["--coverage", "half"], "'half' is not a coverage"),
        (["--coverage", "0.9,,0.7"], "empty value"),
        (["--router", "oracle"], "no router design"),
        (["--router", "linear-features"], "add `features`"),
        (["--folds", "1"], "expected 2 or more"),
        (["--folds", "150"], "150 folds need at least 300"),
        (["--uplink-ms", "soon"], "is not a time"),
    ],
)
def test_wrong_settings_give_one_line_and_status_2(
    files: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    base, cloud = files
    assert call("route", "--base", base, "--cloud", cloud, "--json", *arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1


def test_a_wrong_file_is_named(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, _ = files
    np.savez(tmp_path / "short.npz", pred=np.zeros(7, dtype=np.int64))
    assert call("route", "--base", base, "--cloud", tmp_path / "short.npz") == 2
    assert "short.npz has 7 inputs" in capsys.readouterr().err
    assert call("route", "--base", tmp_path / "none.npz", "--cloud", base) == 2
    assert "none.npz does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--coverage", "0.9", "0.7", "--json"], ["--coverage=0.9,0.7", "--json"]),
        (["--coverage=0.9", "0.7"], ["--coverage=0.9,0.7"]),
        (["--coverage", "0.9,0.7", "50%"], ["--coverage=0.9,0.7,50%"]),
        (["--coverage", "0.9", "--coverage", ".7"], ["--coverage=0.9", "--coverage=.7"]),
        (["--coverage", "-1"], ["--coverage=-1"]),
        (["--coverage", "out.npz"], ["--coverage", "out.npz"]),
        (["--coverage", "--json"], ["--coverage", "--json"]),
        (["--seed", "1", "2"], ["--seed", "1", "2"]),
        (["--", "--coverage", "0.9", "0.7"], ["--", "--coverage", "0.9", "0.7"]),
        ([], []),
    ],
)
def test_numbers_after_a_flag_become_one_value(argv: list[str], expected: list[str]) -> None:
    assert join_values(argv) == expected


def test_coverages_are_read_in_order_and_once() -> None:
    assert parse_coverages(["0.7", "0.9,70%"], (0.5,)) == (0.7, 0.9)
    assert parse_coverages([], (0.5,)) == (0.5,)
    with pytest.raises(InputError, match="empty value"):
        parse_coverages(["0.7,"], ())
