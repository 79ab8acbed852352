"""``hybrid-nas route --guarantee`` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid_nas import cli
from hybrid_nas.cli import route
from hybrid_nas.cli.multivalue import join_values

N = 2000


def call(*arguments: object) -> int:
    app = cli.new_app()
    route.register(app)
    return cli.run(app, join_values([str(argument) for argument in arguments]))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A base without and with groups (of five inputs), and a cloud."""
    folder = tmp_path_factory.mktemp("outputs")
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, N)
    wrong = (labels + 1) % 4
    sure = random.random(N)
    pred = np.where(random.random(N) < 0.3 + 0.7 * sure, labels, wrong)
    logits = np.eye(4)[pred] * (0.5 + 3 * sure)[:, None]
    np.savez(folder / "base.npz", labels=labels, logits=logits)
    np.savez(folder / "grouped.npz", labels=labels, logits=logits, groups=np.arange(N) // 5)
    np.savez(folder / "cloud.npz", pred=np.where(random.random(N) < 0.97, labels, wrong))
    return folder / "base.npz", folder / "grouped.npz", folder / "cloud.npz"


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    printed = capsys.readouterr()
    assert printed.err == ""
    loaded: dict[str, Any] = json.loads(printed.out)
    return loaded


def test_guarantees_are_calibrated_on_inputs_that_nothing_else_sees(
    files: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    base, _, cloud = files
    status = call(
        "route", "--base", base, "--cloud", cloud, "--repeats", 1, "--json",
        "--guarantee", "loss<=0.05@0.95", "--guarantee", "queries<=30%",
        "--guarantee", "accuracy>=0.9@0.9", "--guarantee", "risk<=0.2@0.9",
    )  # fmt: skip
    assert status == 0
    found = document(capsys)
    assert found["schema"] == "hybrid-nas/route/1"
    assert found["n"] == 0.7 * N
    names = ["loss<=0.05@0.95", "queries<=0.3", "accuracy>=0.9@0.9", "risk<=0.2@0.9"]
    assert [one["guarantee"] for one in found["guarantees"]] == names
    for one in found["guarantees"]:
        assert (one["n"], one["held_out"]["n"], one["groups"]) == (0.3 * N, 0.7 * N, None)
        better = one["kind"] == "accuracy"
        assert (one["bound"] >= one["level"]) if better else (one["bound"] <= one["level"])
        assert abs(one["coverage"] - one["held_out"]["coverage"]) < 0.06
        assert one["score"] == found["default"]
    assert found["guarantees"][1]["confidence"] is None


def test_without_guarantees_nothing_is_set_aside(
    files: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    base, _, cloud = files
    assert call("route", "--base", base, "--cloud", cloud, "--repeats", 1, "--json") == 0
    found = document(capsys)
    assert found["n"] == N
    assert "guarantees" not in found


def test_groups_are_what_is_calibrated_on(
    files: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    _, grouped, cloud = files
    status = call(
        "route", "--base", grouped, "--cloud", cloud, "--repeats", 1, "--json",
        "--guarantee", "queries<=0.4@0.9", "--calibration-share", 0.5,
    )  # fmt: skip
    assert status == 0
    found = document(capsys)
    (one,) = found["guarantees"]
    assert (found["groups"], one["groups"], one["n"]) == (N / 10, N / 10, N / 2)
    assert "random input of a new group" in one["reading"]


def test_a_base_without_a_cloud_abstains(
    files: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    base, _, _ = files
    arguments = ["route", "--base", base, "--no-cloud", "--guarantee", "risk<=0.2@0.9"]
    assert call(*arguments, "--json", "--coverage", 0.7) == 0
    found = document(capsys)
    assert found["cloud_accuracy"] is None
    assert found["methods"]["msp"]["0.7"]["accuracy"] > found["base_accuracy"] + 0.05
    (one,) = found["guarantees"]
    assert one["kind"] == "risk" and one["value"] < one["bound"] <= 0.2
    assert one["held_out"]["accuracy"] > 0.8
    assert call(*arguments) == 0
    printed = capsys.readouterr().out
    assert "no cloud" in printed and "at most 20 % of the kept inputs are wrong" in printed


def test_people_get_a_table_and_the_reading(
    files: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    base, _, cloud = files
    status = call(
        "route", "--base", base, "--cloud", cloud, "--repeats", 1, "--guarantee", "loss<=0.05@0.95"
    )
    assert status == 0
    printed = capsys.readouterr().out
    for text in ("Clopper-Pearson", "loss<=0.05@0.95: With a confidence of 95 %", "600"):
        assert text in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--guarantee", "loss"], "quote it"),
        (["--guarantee", "loss<=0.001"], "on 600 inputs: it takes at least 999"),
        (["--guarantee", "accuracy>=0.99@0.95"], "prove no more than accuracy>=0.9"),
        (["--guarantee", "loss<=0.1", "--calibration-share", "1"], "calibration share 1 is out"),
        (["--no-cloud"], "expected either --cloud FILE, or --no-cloud"),
    ],
)
def test_what_cannot_be_promised_gives_one_line_and_status_2(
    files: tuple[Path, Path, Path],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    base, _, cloud = files
    given = ["--base", base, "--cloud", cloud, "--repeats", 1, "--json"]
    assert call("route", *given, *arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1


def test_loss_needs_a_cloud(
    files: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    base, _, _ = files
    assert call("route", "--base", base, "--no-cloud", "--guarantee", "loss<=0.1") == 2
    assert "needs a cloud" in capsys.readouterr().err
    assert call("route", "--base", base) == 2
    assert "--no-cloud" in capsys.readouterr().err
