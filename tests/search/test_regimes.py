"""Searches under a budget or a bound on the loss, with priced queries, and without any cloud."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hybrid_nas.cli import main
from hybrid_nas.errors import InfeasibleError, InputError
from hybrid_nas.hardware.boards import load_board
from hybrid_nas.hardware.estimate import estimate
from hybrid_nas.hardware.latency_files import find_table
from hybrid_nas.hardware.runtimes import load_runtime
from hybrid_nas.routing.fitted import FittedRouter
from hybrid_nas.routing.uplink_files import read_uplink
from hybrid_nas.search.candidate import Candidate
from hybrid_nas.search.complete import complete
from hybrid_nas.search.progress import Box
from hybrid_nas.search.regime import ALWAYS_SEND, threshold_within_loss
from hybrid_nas.search.run import run_search, settings_to_resume
from hybrid_nas.search.rundir import RunDirectory
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.supernet.cloud import open_supernet_cloud
from tests.search.conftest import TinyInputs

FLAKY = {
    "schema": "hybrid-nas/uplink/1",
    "name": "flaky",
    "delay": {"ms": 100},
    "outage": 0.2,
    "timeout_ms": 1000,
    "energy": {"per_query_mj": 30, "per_byte_uj": 10},
}


def search(settings: SearchSettings, folder: Path) -> dict[str, Any]:
    directory = RunDirectory(folder)
    run_search(complete(settings), directory)
    return json.loads(directory.pareto.read_text())


def trials(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / "trials.json").read_text())["trials"]


@given(
    st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.booleans()), min_size=1, max_size=25),
    st.integers(0, 5),
)
def test_the_threshold_within_a_loss_by_trying_all(
    inputs: list[tuple[int, bool, bool]], points: int
) -> None:
    """Of all thresholds between distinct scores, the highest that keeps the bound."""
    score, base, cloud = (np.array(column) for column in zip(*inputs, strict=True))
    score, max_loss = score.astype(float), points / 10
    threshold, coverage = threshold_within_loss(score, base, cloud, max_loss)
    sent = score > threshold
    assert coverage == pytest.approx(1 - sent.mean())
    assert cloud.mean() - np.where(sent, cloud, base).mean() <= max_loss + 1e-9
    for higher in np.unique(score):
        fewer = score > higher
        if fewer.sum() < sent.sum():
            assert cloud.mean() - np.where(fewer, cloud, base).mean() > max_loss - 1e-9


BUDGET_MS = 500.0


@pytest.fixture(scope="module")
def budget_run(tiny: TinyInputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("budget") / "a"
    search(tiny.settings(mean_latency_ms=BUDGET_MS, trials=5), folder)
    return folder


class TestMeanLatency:
    def test_every_pair_asks_as_often_as_it_can_afford(self, budget_run: Path) -> None:
        pareto = json.loads((budget_run / "pareto.json").read_text())
        assert pareto["objective"] == {"names": ["accuracy-in-budget"], "directions": ["maximize"]}
        for pair in pareto["pairs"]:
            point = pair["point"]
            rate = (BUDGET_MS - pair["cost"]["edge_latency_ms"]) / 2000
            assert point["coverage"] == pytest.approx(1 - rate)
            assert point["asked"] == {"mean_latency_ms": BUDGET_MS}
            assert point["score"]["coverage"] >= point["coverage"] - 1e-9
            assert point["score"]["mean_latency_ms"] <= BUDGET_MS + 1e-6
            # what is always told stays as it is, at the coverages of all searches
            assert list(pair["test"]) == ["0.9", "0.7", "0.5"]
            assert list(pair["router"]["thresholds"]) == ["0.9", "0.7", "0.5"]

    def test_the_front_is_the_best_of_all_that_were_tried(self, budget_run: Path) -> None:
        best = max(trial["point"]["accuracy"] for trial in trials(budget_run))
        (pair,) = json.loads((budget_run / "pareto.json").read_text())["pairs"]
        assert pair["point"]["score"]["accuracy"] == best

    def test_settings_come_back_and_resume_goes_on(
        self, tiny: TinyInputs, budget_run: Path, tmp_path: Path
    ) -> None:
        directory = RunDirectory(tmp_path / "a")
        run_search(tiny.settings(mean_latency_ms=BUDGET_MS, trials=2), directory)
        settings = settings_to_resume(directory, {"trials": 5})
        assert settings.mean_latency_ms == settings.latency_ms == BUDGET_MS
        run_search(settings, directory, resume=True)
        values = [trial["values"] for trial in trials(tmp_path / "a")]
        assert values == [trial["values"] for trial in trials(budget_run)]

    def test_pairs_over_the_budget_are_never_run(self, tiny: TinyInputs) -> None:
        """What does not fit is not proposed (test_sampler); a base over the budget does not."""
        free = SearchSetup(tiny.settings()).problem
        rows = free.candidates.sample(200, np.random.default_rng(0))
        times = free.evaluate(rows).latency_ms
        budget = float(np.median(times))
        tight = SearchSetup(tiny.settings(mean_latency_ms=budget)).problem
        expected = free.fits(rows) & (times <= budget)
        assert 0 < expected.sum() < free.fits(rows).sum()
        assert (tight.fits(rows) == expected).all()

    def test_where_the_budget_allows_it_everything_is_sent(
        self, tiny: TinyInputs, tmp_path: Path
    ) -> None:
        settings = tiny.settings(mean_latency_ms=5000.0, routers=("confidence",), trials=2)
        document = search(settings, tmp_path)
        for pair in document["pairs"]:
            assert pair["point"]["coverage"] == 0
            assert pair["point"]["test"]["accuracy"] == document["cloud"]["accuracy"]
            assert pair["point"]["test"]["loss"] == 0

    def test_nothing_is_that_fast(self, tiny: TinyInputs, tmp_path: Path) -> None:
        with pytest.raises(InfeasibleError, match="latency limit binds"):
            run_search(tiny.settings(mean_latency_ms=0.01), RunDirectory(tmp_path / "a"))


class TestMaxLoss:
    def test_the_loss_is_kept_on_the_threshold_split(
        self, tiny: TinyInputs, tmp_path: Path
    ) -> None:
        settings = tiny.settings(max_loss=20.0, trials=4)
        assert settings.objectives == ("mean-latency-within-loss", "loss")
        run_search(settings, RunDirectory(tmp_path / "a"))
        directory = RunDirectory(tmp_path / "a")
        document = json.loads(directory.pareto.read_text())
        setup = SearchSetup(settings)
        for pair in document["pairs"]:
            point = pair["point"]
            genes = setup.space.from_dict(pair["base"]["genes"])
            base = setup.scorer.run_base(genes, ("threshold",))["threshold"]
            cloud = setup.scorer.cloud_correct("threshold")
            assert cloud is not None
            router = FittedRouter.from_dict(
                json.loads((directory.pair(pair["id"]) / "router.json").read_text())
            )
            sent = router.send_score(base) > point["threshold"]
            assert 1 - sent.mean() == pytest.approx(point["coverage"])
            loss = cloud.mean() - np.where(sent, cloud, base.correct).mean()
            assert loss <= 0.20 + 1e-9
            latency = pair["cost"]["edge_latency_ms"] + (1 - point["test"]["coverage"]) * 2000
            assert point["test"]["mean_latency_ms"] == pytest.approx(latency)
            assert point["test"]["loss"] == pytest.approx(
                document["cloud"]["accuracy"] - point["test"]["accuracy"]
            )

    def test_no_loss_may_take_every_input(self) -> None:
        """Where only the cloud is ever right and the last input needs it."""
        score, right = np.array([3.0, 2.0, 1.0]), np.ones(3, bool)
        assert threshold_within_loss(score, ~right, right, 0.0) == (ALWAYS_SEND, 0.0)
        assert threshold_within_loss(score, right, ~right, 0.0)[1] == 1.0

    def test_macs_need_a_network_that_is_known(self, tiny: TinyInputs) -> None:
        settings = tiny.settings(max_loss=5.0, objectives=("mean-macs",))
        with pytest.raises(InputError, match="architecture is known"):
            complete(settings)

    def test_macs_of_base_and_cloud(self, tiny: TinyInputs, tmp_path: Path) -> None:
        cloud = str(tiny.supernet)
        settings = tiny.settings(max_loss=5.0, objectives=("mean-macs",), cloud=cloud, trials=3)
        document = search(settings, tmp_path / "a")
        strong = open_supernet_cloud(tiny.supernet).network.architecture.macs
        for pair in document["pairs"]:
            point = pair["point"]["score"]
            expected = pair["base"]["macs"] + (1 - point["coverage"]) * strong
            assert point["mean_macs"] == pytest.approx(expected)


POWER_MW = 150.0


@pytest.fixture(scope="module")
def flaky_run(tiny: TinyInputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uplink") / "a"
    settings = tiny.settings(
        uplink=FLAKY,
        cloud_ms=50.0,
        power_mw=POWER_MW,
        battery="1000mAh@3.7V",
        per_day=500.0,
        sleep_mw=0.02,
        trials=3,
    )
    search(settings, folder)
    return folder


class TestUplinkAndEnergy:
    def test_mean_p95_and_timeouts(self, flaky_run: Path) -> None:
        """A query: 150 ms for four in five, 1000 ms in vain for the fifth."""
        document = json.loads((flaky_run / "pareto.json").read_text())
        query_ms = 0.8 * 150 + 0.2 * 1000
        assert document["cloud"]["uplink_ms"] + document["cloud"]["latency_ms"] == query_ms
        for pair in document["pairs"]:
            edge_ms, alone = pair["cost"]["edge_latency_ms"], pair["base"]["test_accuracy"]
            for at in pair["test"].values():
                rate = 1 - at["coverage"]
                assert at["mean_latency_ms"] == pytest.approx(edge_ms + rate * query_ms)
                expected = 0.8 * at["accuracy"] + 0.2 * alone
                assert at["accuracy_with_timeouts"] == pytest.approx(expected)
                # 95 % of all inputs: timeouts are a fifth of the queries
                wait = 0 if rate <= 0.05 else 150 if rate <= 0.25 else 1000
                assert at["p95_latency_ms"] == pytest.approx(edge_ms + wait)

    def test_energy_and_days(self, flaky_run: Path) -> None:
        """Sent: the 16 x 16 x 3 bytes of the data's own picture."""
        document = json.loads((flaky_run / "pareto.json").read_text())
        for pair in document["pairs"]:
            edge_mj = pair["cost"]["edge_latency_ms"] * POWER_MW / 1000
            assert pair["cost"]["edge_energy_mj"] == pytest.approx(edge_mj)
            for at in pair["test"].values():
                mean_mj = edge_mj + (1 - at["coverage"]) * (30 + 16 * 16 * 3 * 10 / 1000)
                assert at["mean_energy_mj"] == pytest.approx(mean_mj)
                day_mj = 500 * mean_mj + 0.02 * 86_400
                assert at["battery_days"] == pytest.approx(3700 * 3600 / day_mj)

    def test_run_yaml_keeps_the_model(self, flaky_run: Path) -> None:
        settings = yaml.safe_load((flaky_run / "run.yaml").read_text())["settings"]
        assert settings["uplink"] == FLAKY
        assert SearchSettings.from_dict(settings).query_ms == pytest.approx(320.0)

    def test_a_budget_of_energy(self, tiny: TinyInputs, tmp_path: Path) -> None:
        settings = tiny.settings(
            uplink=FLAKY, uplink_bytes=100, power_mw=POWER_MW, mean_energy_mj=12.0, trials=2
        )
        assert settings.latency_ms == pytest.approx(80.0)  # at 150 mW
        document = search(settings, tmp_path / "a")
        for pair in document["pairs"]:
            rate = (12.0 - pair["cost"]["edge_energy_mj"]) / 31.0
            assert 1 - pair["point"]["coverage"] == pytest.approx(rate)
            assert pair["point"]["score"]["mean_energy_mj"] <= 12.0 + 1e-9

    def test_power_is_the_tables(self, tiny: TinyInputs) -> None:
        table = find_table("stm32l4r5", "x-cube-ai")
        assert table is not None and table.energy is not None
        settings = complete(tiny.settings(board="stm32l4r5", runtime="x-cube-ai"))
        assert settings.power_mw == table.energy.power_mw

    def test_the_held_picture_is_what_is_sent(self, tiny: TinyInputs) -> None:
        uplink = read_uplink("ble-1m")
        settings = complete(tiny.settings(uplink=uplink, uplink_image="jpeg:2KB"))
        assert settings.uplink_bytes == 2048
        assert complete(tiny.settings(uplink=uplink)).uplink_bytes == 16 * 16 * 3


class TestCloudOnDevice:
    def test_both_networks_fit_and_are_paid_for(self, tiny: TinyInputs, tmp_path: Path) -> None:
        free = tiny.settings(
            cloud=str(tiny.supernet), flash_bytes=512 * 1024, trials=3, uplink_image="16x16x3"
        )
        document = search(replace(free, cloud_on_device=True), tmp_path / "a")
        runtime, board = load_runtime("tinyengine"), load_board("stm32f746")
        strong = estimate(
            open_supernet_cloud(tiny.supernet).network.architecture,
            board,
            runtime,
            find_table(board.id, runtime.id),
        )
        assert document["cloud"]["uplink_ms"] == 0
        assert document["cloud"]["latency_ms"] == pytest.approx(strong.latency_ms)
        problem = SearchSetup(free).problem  # what a pair takes without the other network
        for trial in trials(tmp_path / "a"):
            genes = problem.candidates.space.from_dict(trial["genes"])
            row = problem.candidates.row(Candidate(genes, trial["router"]))
            alone = problem.evaluate(np.array([row]))
            extra = strong.flash_bytes - runtime.flash.fixed_bytes
            assert trial["flash_bytes"] == alone.flash_bytes[0] + extra
            assert trial["sram_bytes"] == max(alone.sram_bytes[0], strong.sram_bytes)
        for pair in document["pairs"]:
            for at in pair["test"].values():
                rate = 1 - at["coverage"]
                expected = pair["cost"]["edge_latency_ms"] + rate * strong.latency_ms
                assert at["mean_latency_ms"] == pytest.approx(expected)
                assert at["mean_macs"] == pytest.approx(pair["base"]["macs"] + rate * strong.macs)

    def test_a_file_of_predictions_cannot_run_on_a_device(self, tiny: TinyInputs) -> None:
        with pytest.raises(InputError, match=r"cloud\.npz is none of ours"):
            complete(tiny.settings(cloud_on_device=True))

    def test_a_network_too_large(self, tiny: TinyInputs) -> None:
        settings = tiny.settings(
            cloud=str(tiny.supernet), cloud_on_device=True, flash_bytes=64 * 1024
        )
        with pytest.raises(InputError, match=r"alone takes .* of flash"):
            complete(settings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean_latency_ms": 300.0, "max_loss": 1.0}, "exclude each other"),
        ({"mean_latency_ms": 300.0, "cloud": "none"}, "--no-cloud"),
        ({"mean_latency_ms": 300.0, "objectives": ("mean-latency",)}, "does not go with"),
        ({"max_loss": 1.0, "objectives": ("accuracy",)}, "does not go with"),
        ({"objectives": ("accuracy-in-budget",)}, "does not go with"),
        ({"max_loss": -1.0}, "--max-loss"),
        ({"battery": "1Wh"}, "--per-day"),
        ({"battery": "1Wh", "per_day": 0.0}, "--per-day must be above 0"),
        ({"uplink_bytes": 100}, "give --uplink"),
        ({"uplink": FLAKY, "cloud_on_device": True}, "leave out --uplink"),
    ],
)
def test_settings_that_contradict(tiny: TinyInputs, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tiny.settings(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objectives": ("mean-energy",)}, "--board-power"),
        ({"objectives": ("mean-energy",), "power_mw": 100.0}, "energy of a query"),
        ({"battery": "1Wh", "per_day": 9.0}, "--board-power"),
    ],
)
def test_energy_that_is_not_known(tiny: TinyInputs, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        complete(tiny.settings(**changes))


def test_defaults_say_nothing_new(tiny: TinyInputs) -> None:
    """The default search is what it was: same objectives, same times, nothing looked up."""
    settings = tiny.settings()
    assert complete(settings) == settings
    assert settings.objectives == ("accuracy", "mean-latency")
    assert (settings.uplink_ms, settings.cloud_ms, settings.query_ms) == (1900.0, 100.0, 2000.0)
    assert settings.latency_ms is None


@pytest.mark.parametrize(
    "changes",
    [
        {"max_loss": 1.0},
        {"max_loss": 1.0, "objectives": ("mean-energy",), "power_mw": 9.0, "uplink": FLAKY},
        {"objectives": ("accuracy", "mean-energy"), "power_mw": 9.0, "uplink": FLAKY},
        {"mean_latency_ms": 400.0},
    ],
)
def test_the_box_has_an_inside(tiny: TinyInputs, changes: dict[str, Any]) -> None:
    settings = complete(tiny.settings(**changes))
    box = Box.of(SearchSetup(settings).problem, settings)
    assert np.isfinite(box.ideal).all() and np.isfinite(box.worst).all()
    assert (box.worst > box.ideal).all()


def test_the_command_answers_the_question(
    capsys: pytest.CaptureFixture[str], tiny: TinyInputs, tmp_path: Path
) -> None:
    flags = [*tiny.flags(), "--trials", "2", "--uplink", "wifi-esp32", "--board-power", "100mW"]
    flags += ["--mean-latency", "80ms", "--run", str(tmp_path / "a")]
    assert main(["search", *flags]) == 0
    out = capsys.readouterr().out
    assert "At a mean latency of 80 ms" in out and "asks the cloud for" in out
    assert "over wifi-esp32: 768 bytes" in out and "Energy is estimated: 100 mW" in out


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--mean-latency", "10us"], ["nearest limits", "--mean-latency"]),
        (["--mean-energy", "1uJ", "--uplink", "ble-1m", "--board-power", "1W"], ["on the device"]),
        (["--uplink", "ble-1m", "--uplink-ms", "3"], ["exclude each other"]),
        (["--uplink", "smoke"], ["smoke", "wifi-esp32"]),
        (["--max-loss", "1", "--board", "rp2040"], ["rp2040", "--table"]),
        (["--mean-latency", "1s", "--board", "rp2040"], ["no latency table", "--table"]),
        (["--cloud-on-device", "--cloud-ms", "3"], ["--cloud-ms"]),
        (["--mean-energy", "5"], ["--mean-energy", "5mJ"]),
        (["--sleep-power", "5"], ["--sleep-power", "50uW"]),
    ],
)
def test_refusals_name_the_flag(
    capsys: pytest.CaptureFixture[str],
    tiny: TinyInputs,
    tmp_path: Path,
    flags: list[str],
    words: list[str],
) -> None:
    assert main(["search", *tiny.flags(), *flags, "--run", str(tmp_path / "a")]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert all(word in captured.err for word in words), captured.err
