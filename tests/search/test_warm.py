"""Earlier runs as a start: what carries over under other limits and prices, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from hybrid_nas.cli import main
from hybrid_nas.errors import InputError
from hybrid_nas.guided import History
from hybrid_nas.search.progress import Box
from hybrid_nas.search.provenance import hashes
from hybrid_nas.search.run import run_search, settings_to_resume
from hybrid_nas.search.rundir import RunDirectory
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.search.warm import EarlierRun, all_scores, earlier_runs
from hybrid_nas.search.worker import objective_values
from tests.search.conftest import TinyInputs

ROUTERS = ("confidence", "linear-stats", "linear-logits")
OTHER_PRICES: dict[str, Any] = {
    "board": "stm32h743",
    "runtime": "cmsis-nn",
    "sram_bytes": 48 * 1024,
    "flash_bytes": 150 * 1024,
    "uplink_ms": 300.0,
}


@pytest.fixture(scope="module")
def earlier(tiny: TinyInputs, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    directory = RunDirectory(tmp_path_factory.mktemp("runs") / "earlier")
    run_search(tiny.settings(trials=24, routers=ROUTERS), directory)
    return directory


def warm(tiny: TinyInputs, run: RunDirectory, **changes: object) -> SearchSettings:
    given: dict[str, object] = {"sampler": "guided", "routers": ROUTERS, "trials": 6}
    return tiny.settings(**{**given, "warm_start": (str(run.path),), **changes})


def read(settings: SearchSettings) -> EarlierRun:
    setup = SearchSetup(settings)
    (found,) = earlier_runs(setup, hashes(setup))
    return found


def trials(directory: RunDirectory) -> list[dict[str, Any]]:
    return json.loads(directory.trials.read_text())["trials"]


def tried(directory: RunDirectory) -> list[tuple[Any, ...]]:
    return [(*trial["genes"].values(), trial["router"]) for trial in trials(directory)]


def scored_anew(settings: SearchSettings, rows: np.ndarray) -> np.ndarray:
    """What the new search's own scorer says of candidates, as losses."""
    setup = SearchSetup(settings)
    values = []
    for row in rows:
        candidate = setup.problem.candidates.candidate(row)
        figures = setup.scorer.score(candidate, setup.problem.evaluate(row[None]))
        values.append(objective_values(figures, settings))
    signs = [-1 if "accuracy" in name or name == "auc" else 1 for name in settings.objectives]
    return np.array(values) * signs


class TestCarried:
    """Against scoring the same candidates anew, networks and routers and all."""

    @pytest.mark.parametrize("changes", [{}, OTHER_PRICES, {"target_coverage": 0.5, "trials": 3}])
    def test_at_a_coverage(
        self, tiny: TinyInputs, earlier: RunDirectory, changes: dict[str, Any]
    ) -> None:
        settings = warm(tiny, earlier, **changes)
        found = read(settings).scores
        assert len(found) == 24
        expected = scored_anew(settings, found.rows[:8])
        np.testing.assert_allclose(found.losses[:8], expected, rtol=1e-12)

    def test_within_a_loss(self, tiny: TinyInputs, tmp_path: Path) -> None:
        directory = RunDirectory(tmp_path / "a")
        run_search(tiny.settings(max_loss=10.0, trials=5), directory)
        settings = tiny.settings(
            sampler="guided", max_loss=10.0, warm_start=(str(directory.path),), uplink_ms=77.0
        )
        found = read(settings).scores
        expected = scored_anew(settings, found.rows)
        np.testing.assert_allclose(found.losses, expected, rtol=1e-12)
        other = replace(settings, max_loss=3.0)
        with pytest.raises(InputError, match="says nothing about mean-latency-within-loss, loss"):
            read(other)

    def test_in_a_budget_only_at_the_same_query_rate(
        self, tiny: TinyInputs, tmp_path: Path
    ) -> None:
        directory = RunDirectory(tmp_path / "a")
        run_search(tiny.settings(mean_latency_ms=500.0, trials=5), directory)
        same = tiny.settings(
            sampler="guided",
            mean_latency_ms=500.0,
            warm_start=(str(directory.path),),
            flash_bytes=100 * 1024,
        )
        found = read(same).scores
        expected = scored_anew(same, found.rows)
        np.testing.assert_allclose(found.losses, expected, rtol=1e-12)
        with pytest.raises(InputError, match="says nothing about accuracy-in-budget"):
            read(replace(same, mean_latency_ms=700.0, latency_ms=None))

    def test_routers_by_name(self, tiny: TinyInputs, earlier: RunDirectory) -> None:
        fewer = warm(tiny, earlier, routers=("mlp8-logits", "linear-stats"))
        found = read(fewer)
        used = [trial["router"] for trial in trials(earlier)]
        assert len(found.scores) == used.count("linear-stats") == 24 - found.left_out
        assert set(found.scores.rows[:, -1].tolist()) == {1}

    def test_chosen_clouds_of_another_draw_of_calibration_images(
        self, tiny: TinyInputs, tmp_path: Path
    ) -> None:
        """Networks and what they say are as good as those of another seed, the bases' too."""
        directory, joint = RunDirectory(tmp_path / "a"), {"cloud": None, "search_cloud": "own"}
        run_search(tiny.settings(trials=4, **joint), directory)
        same = warm(tiny, directory, routers=tiny.settings().routers, **joint)
        other = replace(same, seed=5, calibration_images=16)
        np.testing.assert_array_equal(read(other).scores.losses, read(same).scores.losses)
        with pytest.raises(InputError, match="its cloud is another"):
            read(tiny.settings(sampler="guided", warm_start=(str(directory.path),)))

    def test_of_several_runs_the_one_that_says_most(self) -> None:
        def run(*scores: tuple[list[int], list[float]]) -> EarlierRun:
            rows, losses = (np.array(part) for part in zip(*scores, strict=True))
            return EarlierRun("a", "0", History(rows, losses), 0)

        nan = float("nan")
        found = all_scores([run(([1], [nan, 1]), ([2], [3, 4])), run(([2], [5, 6]), ([1], [7, 8]))])
        assert found == {"rows": [[2], [1]], "losses": [[3, 4], [7, 8]]}


class TestSearch:
    def test_it_starts_with_good_candidates_under_other_limits(
        self, tiny: TinyInputs, earlier: RunDirectory, tmp_path: Path
    ) -> None:
        settings = warm(tiny, earlier, flash_bytes=110 * 1024)
        shares = {}
        for name, one in (("warm", settings), ("cold", replace(settings, warm_start=()))):
            directory = RunDirectory(tmp_path / name)
            run_search(one, directory)
            rows = tried(directory)
            assert len(set(rows)) == len(rows) == 6
            assert max(trial["flash_bytes"] for trial in trials(directory)) <= 110 * 1024
            table = np.array([trial["values"] for trial in trials(directory)]) * [-1, 1]
            shares[name] = Box.of(SearchSetup(one).problem, one).share(table)
        assert shares["warm"] > shares["cold"]

    def test_the_earlier_run_may_go(
        self, tiny: TinyInputs, earlier: RunDirectory, tmp_path: Path
    ) -> None:
        copy = RunDirectory(tmp_path / "copy")
        shutil.copytree(earlier.path, copy.path)
        straight, stopped = RunDirectory(tmp_path / "straight"), RunDirectory(tmp_path / "stopped")
        run_search(warm(tiny, earlier), straight)
        run_search(warm(tiny, copy, trials=2), stopped)
        shutil.rmtree(copy.path)
        run_search(settings_to_resume(stopped, {"trials": 6}), stopped, resume=True)
        assert tried(stopped) == tried(straight)
        (entry,) = yaml.safe_load(stopped.settings.read_text())["warm_start"]
        assert entry["run"] == str(copy.path) and len(entry["study"]) == 64
        assert entry["candidates"] == 24
        assert entry["carried"] == {"accuracy": 24, "mean-latency": 24}

    def test_two_runs_that_scored_the_same(
        self, tiny: TinyInputs, earlier: RunDirectory, tmp_path: Path
    ) -> None:
        directory = RunDirectory(tmp_path / "a")
        settings = warm(tiny, earlier, trials=1)
        run_search(replace(settings, warm_start=settings.warm_start * 2), directory)
        kept = json.loads((directory.path / "warm-start.json").read_text())
        assert len(kept["rows"]) == len(kept["losses"]) == 24


class TestRefusals:
    def test_no_run(self, tiny: TinyInputs, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no run directory"):
            read(warm(tiny, RunDirectory(tmp_path / "nothing")))

    def test_other_data(self, tiny: TinyInputs, earlier: RunDirectory, tmp_path: Path) -> None:
        with np.load(tiny.data) as arrays:
            changed = {name: arrays[name] for name in arrays}
        changed["x_val"] = changed["x_val"][::-1]
        np.savez(tmp_path / "data.npz", **changed)
        with pytest.raises(InputError, match="its data is another"):
            read(warm(tiny, earlier, data=str(tmp_path / "data.npz")))

    def test_no_cloud_there(self, tiny: TinyInputs, earlier: RunDirectory) -> None:
        with pytest.raises(InputError, match="its cloud is another"):
            read(warm(tiny, earlier, cloud="none"))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"target_coverage": 0.65}, r"says nothing about accuracy@0.65, mean-latency@0.65"),
            ({"router_objective": "oracle-label"}, "its routers learnt auto"),
            ({"routers": ("mlp8-logits",)}, "no scored candidate with these routers"),
        ],
    )
    def test_scores_of_something_else(
        self, tiny: TinyInputs, earlier: RunDirectory, changes: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(InputError, match=message):
            read(warm(tiny, earlier, **changes))

    def test_a_sampler_that_cannot_use_it(self, tiny: TinyInputs, earlier: RunDirectory) -> None:
        with pytest.raises(InputError, match="--sampler nsga2 learns from its own trials"):
            warm(tiny, earlier, sampler="nsga2")

    def test_on_the_command_line(
        self, tiny: TinyInputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        flags = [*tiny.flags(), "--sampler", "guided", "--run", str(tmp_path / "a")]
        assert main(["search", *flags, "--warm-start", str(tmp_path / "nothing")]) == 2
        assert "is no run directory" in capsys.readouterr().err
        assert not (tmp_path / "a" / "run.yaml").exists()
