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


def priced(folder: Path, cloud: Path, name: str, right: float, price: float) -> Path:
    """Another cloud on the same inputs."""
    with np.load(folder / "base.npz") as base:
        labels = base["labels"]
    random = np.random.default_rng(int(1000 * right))
    pred = np.where(random.random(len(labels)) < right, labels, (labels + 1) % 4)
    np.savez(folder / name, pred=pred, price=price)
    return folder / name


def test_targets_costs_and_a_utility_in_one_document(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    base, cloud = files
    status = call(
        "route", "--base", base, "--cloud", cloud, "--repeats", 1, "--json", "--coverage", 0.7,
        "--utility", "balanced", "--accuracy", "80%", "--mean-latency", "0.8s",
        "--base-ms", 200, "--uplink-ms", 2000, "--price-base", 0, "--price-cloud", 0.01,
        "--mean-price", 0.004, "--base-energy", "5mJ", "--query-energy", "0.1J",
        "--mean-energy", "30mJ",
    )  # fmt: skip
    assert status == 0
    found = document(capsys)
    assert found["measure"] == "balanced accuracy"
    assert 0 < found["base_utility"] < found["cloud_utility"] < 1
    targets = found["targets"]
    names = ["balanced accuracy", "mean latency", "mean price", "mean energy"]
    assert [one["target"] for one in targets] == names
    for one, bound in zip(targets, ("at least", *["at most"] * 3), strict=True):
        assert one["bound"] == bound
        assert one["method"] == found["default"]
        assert one["mean_latency_ms"] == pytest.approx(200 + 2000 * one["query_rate"])
        assert one["mean_price"] == pytest.approx(0.01 * one["query_rate"])
        assert one["mean_energy_mj"] == pytest.approx(5 + 100 * one["query_rate"])
        low, high = one["utility_interval"]
        assert low <= one["utility"] <= high
    assert [one["level"] for one in targets] == [0.8, 800, 0.004, 30]
    for one, rate in zip(targets[1:], (0.3, 0.4, 0.25), strict=True):
        assert one["query_rate"] == pytest.approx(rate, abs=0.06)


def test_the_cheapest_cloud_that_reaches_a_target_is_chosen(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, cloud = files
    clouds = [
        priced(tmp_path, cloud, name, right, price)
        for name, right, price in (("dear.npz", 0.99, 5.0), ("fair.npz", 0.93, 1.0))
    ]
    poor = priced(tmp_path, cloud, "poor.npz", 0.3, 0.1)
    flags = [flag for one in (*clouds, poor) for flag in ("--cloud", one)]
    status = call(
        "route", "--base", base, *flags, "--repeats", 1, "--json", "--accuracy", "0.8",
        "--coverage", 0.7,
    )  # fmt: skip
    assert status == 0
    found = document(capsys)
    assert found["cloud"] == str(clouds[1])
    assert [one["source"] for one in found["clouds"]] == [str(one) for one in clouds]
    assert "poor.npz was left out: accuracy 0.8 is out of reach" in found["notes"][0]
    prices = [one["targets"][0]["mean_price"] for one in found["clouds"]]
    assert prices[1] < prices[0]
    assert call("route", "--base", base, *flags, "--repeats", 1) == 0
    assert "dear.npz (chosen)" in capsys.readouterr().out  # without a target, the best


def test_a_plot_is_written_and_its_curve_printed(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, cloud = files
    png = tmp_path / "deep" / "curve.png"
    arguments = ["route", "--base", base, "--cloud", cloud, "--repeats", 1, "--plot", png]
    assert call(*arguments, "--json", "--router", "all") == 0
    first = png.read_bytes()
    assert first.startswith(b"\x89PNG")
    found = document(capsys)
    curve = found["curve"]
    assert curve["coverage"][0] == 0 and curve["coverage"][-1] == 1
    assert curve["methods"]["selected"]["value"][-1] == pytest.approx(found["base_accuracy"])
    assert set(found["designs"]) >= {"linear-stats", "linear-logits", "mlp8-logits"}
    assert call(*arguments) == 0
    assert png.read_bytes() == first


def test_constant_features_are_left_out_with_a_note(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, cloud = files
    with np.load(base) as arrays:
        kept = dict(arrays)
    features = np.random.default_rng(0).normal(size=(200, 4))
    np.savez(tmp_path / "plain.npz", **kept, features=features)
    features = np.insert(features, 2, 7.0, axis=1)
    np.savez(tmp_path / "constant.npz", **kept, features=features)
    both = []
    for name in ("plain.npz", "constant.npz"):
        arguments = ["--base", tmp_path / name, "--cloud", cloud, "--repeats", 1, "--json"]
        assert call("route", *arguments) == 0
        both.append(document(capsys))
    assert both[1]["notes"] == [
        f"{tmp_path / 'constant.npz'}: 1 of 5 features is constant and was left out"
    ]
    assert both[0]["methods"] == both[1]["methods"]


def test_an_uplink_gives_times_and_answers_in_time(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, cloud = files
    link = tmp_path / "link.yaml"
    link.write_text(
        "schema: hybrid-nas/uplink/1\ntransfer: {bits_per_s: 8000}\ndelay: {ms: 100}\n"
        "outage: 0.2\ntimeout_ms: 5000\n"
    )
    status = call(
        "route", "--base", base, "--cloud", cloud, "--repeats", 1, "--json", "--coverage", 0.7,
        "--uplink", link, "--payload", 1000, "--cloud-ms", 50,
    )  # fmt: skip
    assert status == 0
    found = document(capsys)
    at = found["methods"]["random"]["0.7"]
    # a thousand bytes take 1 s; a fifth of the queries waits for the timeout in vain
    assert at["mean_latency_ms"] == pytest.approx(0.3 * (0.8 * 1150 + 0.2 * 5000))
    gained = at["accuracy"] - found["base_accuracy"]
    expected = found["base_accuracy"] + 0.8 * gained
    assert at["accuracy_with_timeouts"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--accuracy", "0.999"], "accuracy 0.999 is out of reach: the best is 0.9"),
        (["--accuracy", "1.2"], "'1.2' is no level"),
        (["--accuracy", "high"], "'high' is no level"),
        (["--mean-latency", "1s"], "--mean-latency needs to know what an input costs"),
        (
            ["--mean-latency", "100ms", "--base-ms", "200", "--uplink-ms", "900"],
            "without any query it is 200 ms",
        ),
        (["--mean-latency", "300ms", "--base-ms", "200"], "--base-ms alone is no cost"),
        (["--mean-price", "2", "--price-base", "1"], "--price-base alone is no cost"),
        (
            ["--mean-energy", "9mJ", "--base-energy", "5mJ", "--uplink-ms", "900"],
            "--base-energy alone is no cost",
        ),
        (["--mean-price", "1"], "give --price-cloud"),
        (["--mean-price", "-1", "--price-cloud", "1"], "expected 0 or more"),
        (["--price-cloud", "1", "--price-cloud", "2"], "2 times for 1 clouds"),
        (["--price-cloud", "-1"], "price -1: expected 0 or more"),
        (["--mean-energy", "5"], "must be above 0 and have a unit"),
        (["--utility", "fair"], "utility 'fair' is unknown"),
        (["--utility", "none.csv"], "none.csv does not exist"),
        (["--utility", "recall:9@0.1"], "no label is 9"),
        (["--utility", "recall@0.001"], "allows 0.2 false alarms"),
        (["--uplink", "pigeon", "--payload", "1KB"], "no uplink 'pigeon'"),
        (["--payload", "1KB"], "--payload needs --uplink"),
        (["--plot", "curve.jpg"], "ends in .png"),
        (["--no-cloud"], "either --cloud FILE, or --no-cloud"),
    ],
)
def test_what_cannot_be_asked_for_gives_one_line_and_status_2(
    files: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    base, cloud = files
    given = ["--base", base, "--cloud", cloud, "--json", "--repeats", "1"]
    assert call("route", *given, *arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.zeros(200, np.int64)}, "labels have one class only (0, 200 times)"),
        ({"logits": np.full((200, 4), np.nan)}, "logits has NaN or infinity in row 0"),
        ({"logits": np.tile([3.0, 1.0, 0.0, 0.0], (200, 1))}, "says the same of all 200 inputs"),
        ({"features": np.full((200, 2), np.inf)}, "features has NaN or infinity"),
        ({"price": np.ones(7)}, "price is float64 of shape (7,)"),
    ],
)
def test_bad_outputs_give_one_line_and_status_2(
    files: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
    message: str,
) -> None:
    base, cloud = files
    with np.load(base) as arrays:
        np.savez(tmp_path / "bad.npz", **{**dict(arrays), **change})
    assert call("route", "--base", tmp_path / "bad.npz", "--cloud", cloud, "--json") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1


def test_a_base_alone_has_no_targets(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    base, _ = files
    assert call("route", "--base", base, "--no-cloud", "--accuracy", 0.9) == 2
    assert "--no-cloud judges the kept inputs alone" in capsys.readouterr().err


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
