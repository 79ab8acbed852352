"""A whole search on tiny inputs: documents, limits, determinism, resume, refusals."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from hybrid_nas.errors import HybridNasError, InfeasibleError, InputError
from hybrid_nas.hardware.boards import load_board
from hybrid_nas.hardware.estimate import estimate
from hybrid_nas.hardware.runtimes import load_runtime
from hybrid_nas.report.write import write_report
from hybrid_nas.routing.designs import design
from hybrid_nas.search.front import pareto_front
from hybrid_nas.search.join import open_study
from hybrid_nas.search.prices import Prices
from hybrid_nas.search.run import run_search, settings_to_resume
from hybrid_nas.search.rundir import RunDirectory
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.search.storage import open_storage, sqlite_url
from hybrid_nas.search.worker import Worker
from hybrid_nas.search.write import write_documents
from hybrid_nas.spaces.interchange import read_architecture
from tests.hardware.brute_force import peak_sram_bytes
from tests.search.conftest import TinyInputs


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def tried(directory: RunDirectory) -> list[tuple[Any, ...]]:
    """Gene sets and routers of all scored candidates, in order."""
    trials = read(directory.trials)["trials"]
    return [(tuple(sorted(t["genes"].items())), t["router"]) for t in trials]


@pytest.fixture(scope="module")
def finished(tiny: TinyInputs, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    directory = RunDirectory(tmp_path_factory.mktemp("runs") / "a")
    run_search(tiny.settings(), directory)
    return directory


class TestDocuments:
    def test_pareto_json_keeps_the_contract(self, finished: RunDirectory) -> None:
        document = read(finished.pareto)
        assert document["schema"] == "hybrid-nas/pareto/1"
        assert document["limits"] == {
            "sram_bytes": 65536,
            "flash_bytes": 262144,
            "latency_ms": None,
        }
        assert document["coverages"] == [0.9, 0.7, 0.5]
        assert {"accuracy", "latency_ms", "uplink_ms"} <= document["cloud"].keys()
        for pair in document["pairs"]:
            assert {"space", "genes", "resolution", "macs", "params", "accuracy"} <= pair[
                "base"
            ].keys()
            assert {"kind", "params", "flash_bytes", "thresholds"} <= pair["router"].keys()
            for split in ("hybrid", "test"):
                assert list(pair[split]) == ["0.9", "0.7", "0.5"]
                assert pair[split]["0.7"].keys() == {
                    "accuracy",
                    "stderr",
                    "coverage",
                    "mean_latency_ms",
                }
            assert pair["baselines"].keys() == {"entropy", "msp", "margin", "oracle"}
            assert pair["cost"]["edge_latency_is"] == "predicted"

    def test_what_others_score_meanwhile_is_left_out(
        self, finished: RunDirectory, tiny: TinyInputs, tmp_path: Path
    ) -> None:
        """Workers elsewhere go on scoring while one that is done writes."""
        directory = RunDirectory(Path(shutil.copytree(finished.path, tmp_path / "a")))
        setup, place = SearchSetup(tiny.settings()), directory.place()
        study = open_study(setup, place.url, place.name)
        worker = Worker(study, setup.problem, setup.scorer, setup.settings)
        first = worker.scored()[:-1]
        worker.scored = lambda: first  # type: ignore[method-assign]
        write_documents(worker, setup, directory)
        expected = read(finished.trials)["trials"][:-1]
        assert read(directory.trials)["trials"] == expected

    def test_every_pair_fits_by_a_second_planner(self, finished: RunDirectory) -> None:
        """SRAM from lifetimes by brute force, with image and router: equal to the byte."""
        document = read(finished.pareto)
        for pair in document["pairs"]:
            assert pair["cost"]["sram_bytes"] <= document["limits"]["sram_bytes"]
            assert pair["cost"]["flash_bytes"] <= document["limits"]["flash_bytes"]
            arch = read_architecture(str(finished.pair(pair["id"]) / "architecture.json"))
            peak = peak_sram_bytes(
                arch.ops,
                load_runtime("tinyengine"),
                hold_input=True,
                router_bytes=design(pair["router"]["kind"]).sram_bytes(3, arch.blocks[-1].cin),
            )
            assert peak == pair["cost"]["sram_bytes"]
            assert arch.macs == pair["base"]["macs"]
            assert arch.params == pair["base"]["params"]

    def test_no_pair_beats_another(self, finished: RunDirectory) -> None:
        points = [
            (-p["hybrid"]["0.7"]["accuracy"], p["hybrid"]["0.7"]["mean_latency_ms"])
            for p in read(finished.pareto)["pairs"]
        ]
        for a in points:
            assert not any(b[0] <= a[0] and b[1] <= a[1] and b != a for b in points)

    def test_mean_latency_is_the_formula(self, finished: RunDirectory) -> None:
        """Device, plus queries at the realised coverage times uplink and cloud."""
        for pair in read(finished.pareto)["pairs"]:
            for found in (*pair["hybrid"].values(), *pair["test"].values()):
                expected = pair["cost"]["edge_latency_ms"] + (1 - found["coverage"]) * 2000
                assert found["mean_latency_ms"] == pytest.approx(expected)

    def test_settings_hashes_and_warnings_are_recorded(self, finished: RunDirectory) -> None:
        record = yaml.safe_load(finished.settings.read_text())
        assert record["settings"]["seed"] == 0
        assert len(record["hashes"]["data"]) == 64
        assert record["versions"]["optuna"].startswith("5.")
        assert record["understood"]["sram"] == "64 KB (65,536 bytes)"
        assert any("radio" in warning for warning in record["warnings"])

    def test_hypervolume_never_falls(self, finished: RunDirectory) -> None:
        history = [t["hypervolume"] for t in read(finished.trials)["trials"]]
        assert history == sorted(history)
        assert 0 < history[-1] < 1

    def test_the_report_is_made_from_it(self, finished: RunDirectory) -> None:
        page = write_report(finished.path)
        assert "<html" in page.read_text()


def test_same_seed_same_front(tiny: TinyInputs, finished: RunDirectory, tmp_path: Path) -> None:
    again = RunDirectory(tmp_path / "a")
    run_search(tiny.settings(), again)
    first, second = read(finished.pareto), read(again.pareto)
    assert first["pairs"] == second["pairs"]


def test_other_seed_other_candidates(
    tiny: TinyInputs, finished: RunDirectory, tmp_path: Path
) -> None:
    other = RunDirectory(tmp_path / "b")
    run_search(tiny.settings(seed=1), other)
    assert tried(other) != tried(finished)


def test_resume_goes_on_as_if_never_stopped(
    tiny: TinyInputs, finished: RunDirectory, tmp_path: Path
) -> None:
    """Five trials, then three more: the same eight candidates as in one go."""
    directory = RunDirectory(tmp_path / "a")
    run_search(tiny.settings(trials=5), directory)
    settings = settings_to_resume(directory, {"trials": 8})
    run_search(settings, directory, resume=True)
    assert tried(directory) == tried(finished)


def test_a_trial_left_running_is_reclaimed(tiny: TinyInputs, tmp_path: Path) -> None:
    import optuna

    directory = RunDirectory(tmp_path / "a")
    run_search(tiny.settings(trials=3), directory)
    study = optuna.load_study(study_name="a", storage=open_storage(sqlite_url(directory.study)))
    study.ask()
    run_search(settings_to_resume(directory, {"trials": 5}), directory, resume=True)
    study = optuna.load_study(study_name="a", storage=open_storage(sqlite_url(directory.study)))
    states = [trial.state.name for trial in study.trials]
    assert sorted(states) == ["COMPLETE"] * 5 + ["FAIL"]


def test_two_processes_share_one_study(tiny: TinyInputs, tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "a")
    run_search(tiny.settings(jobs=2, trials=10), directory)
    rows = tried(directory)
    assert len(set(rows)) == len(rows) >= 10


def test_abstaining_classifiers_without_a_cloud(tiny: TinyInputs, tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "a")
    run_search(tiny.settings(cloud="none", objectives=("accuracy", "edge-latency")), directory)
    document = read(directory.pareto)
    assert document["cloud"] is None
    for pair in document["pairs"]:
        latency = pair["hybrid"]["0.7"]["mean_latency_ms"]
        assert latency == pytest.approx(pair["cost"]["edge_latency_ms"])


def test_memory_objectives_need_no_latency_table(tiny: TinyInputs, tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "a")
    settings = tiny.settings(board="rp2040", objectives=("auc", "sram", "flash"))
    run_search(settings, directory)
    assert read(directory.pareto)["latency_table"] is None


def test_macs_without_a_cloud_are_the_device_s(tiny: TinyInputs, tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "a")
    settings = tiny.settings(cloud="none", objectives=("accuracy", "mean-macs"), trials=3)
    run_search(settings, directory)
    for pair in read(directory.pareto)["pairs"]:
        assert pair["test"]["0.7"]["mean_macs"] == pair["base"]["macs"]


def test_a_coverage_of_many_digits_is_one_of_six(tiny: TinyInputs, tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "a")
    settings = tiny.settings(coverages=(2 / 3, 0.6666667, 0.5), target_coverage=2 / 3, trials=3)
    assert (settings.coverages, settings.target_coverage) == ((0.666667, 0.5), 0.666667)
    run_search(settings, directory)
    assert set(read(directory.pareto)["pairs"][0]["test"]) == {"0.666667", "0.5"}


@pytest.mark.parametrize("name", ["is it?", "50% {x}", "50%20", "#1 é"])
def test_a_run_may_have_any_name(tiny: TinyInputs, tmp_path: Path, name: str) -> None:
    directory = RunDirectory(tmp_path / name)
    run_search(tiny.settings(trials=2), directory)
    run_search(settings_to_resume(directory, {"trials": 3}), directory, resume=True)
    assert len(tried(directory)) == 3 and directory.study.is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_resumed_elsewhere_it_finds_its_storage(
    tiny: TinyInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = RunDirectory(tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    run_search(tiny.settings(trials=2), directory, storage_url="sqlite:///own.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    run_search(settings_to_resume(directory, {"trials": 3}), directory, resume=True)
    assert len(tried(directory)) == 3 and not list(Path().iterdir())


class TestRefusals:
    def test_to_begin_again_from_nothing(
        self, tiny: TinyInputs, finished: RunDirectory, tmp_path: Path
    ) -> None:
        copy = RunDirectory(tmp_path / "a")
        shutil.copytree(finished.path, copy.path)
        settings, before = settings_to_resume(copy, {"trials": 9}), copy.trials.read_bytes()
        for url in (f"sqlite:///{tmp_path}/typo.db", f"journal:///{tmp_path}/typo.log"):
            with pytest.raises(InputError, match=r"no file .*typo"):
                run_search(settings, copy, storage_url=url, resume=True)
        copy.study.unlink()
        with pytest.raises(InputError, match=r"study\.db is gone"):
            run_search(settings, copy, resume=True)
        assert copy.trials.read_bytes() == before and not list(tmp_path.glob("typo*"))

    def test_an_objective_that_is_not_known(
        self, tiny: TinyInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Prices, "_mean_macs", lambda *_: None)
        settings = tiny.settings(cloud="none", objectives=("accuracy", "mean-macs"))
        with pytest.raises(HybridNasError, match="mean-macs has no value"):
            run_search(settings, RunDirectory(tmp_path / "a"))

    def test_nothing_fits(self, tiny: TinyInputs, tmp_path: Path) -> None:
        directory = RunDirectory(tmp_path / "a")
        with pytest.raises(InfeasibleError, match=r"flash limit binds.*--flash \d+KB"):
            run_search(tiny.settings(flash_bytes=1024), directory)
        assert not directory.settings.exists()

    def test_a_directory_that_holds_a_run(self, tiny: TinyInputs, finished: RunDirectory) -> None:
        with pytest.raises(InputError, match="--resume"):
            run_search(tiny.settings(), finished)

    def test_changed_inputs_on_resume(
        self, tiny: TinyInputs, finished: RunDirectory, tmp_path: Path
    ) -> None:
        copy = RunDirectory(tmp_path / "a")
        shutil.copytree(finished.path, copy.path)
        other = tmp_path / "cloud.npz"
        arrays = dict(np.load(tiny.cloud))
        arrays["val_pred"] = arrays["val_pred"][::-1]
        np.savez(other, **arrays)
        settings = replace(settings_to_resume(copy, {}), cloud=str(other))
        with pytest.raises(InputError, match="the cloud of this run has changed"):
            run_search(settings, copy, resume=True)

    def test_an_image_of_the_test_split_that_is_cut_off(
        self, tiny: TinyInputs, tmp_path: Path
    ) -> None:
        arrays = dict(np.load(tiny.data))
        for part in ("train", "val", "test"):
            for k, label in enumerate(arrays[f"y_{part}"]):
                path = tmp_path / "photos" / part / "abc"[label] / f"{k:03}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(arrays[f"x_{part}"][k]).save(path)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        directory = RunDirectory(tmp_path / "a")
        settings = tiny.settings(data=str(tmp_path / "photos"), cloud="none")
        with pytest.raises(InputError, match=rf"{path.name} cannot be read as an image"):
            run_search(settings, directory)
        path.write_bytes(whole)
        run_search(replace(settings, trials=2), directory)

    def test_a_table_for_another_board(self, tiny: TinyInputs, tmp_path: Path) -> None:
        from hybrid_nas.resources import latency_table_dir

        table = latency_table_dir() / "stm32h743.tinyengine.yaml"
        with pytest.raises(InputError, match="stm32h743"):
            run_search(tiny.settings(table=str(table)), RunDirectory(tmp_path / "a"))

    def test_no_latency_table(self, tiny: TinyInputs, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no latency table for board rp2040"):
            run_search(tiny.settings(board="rp2040"), RunDirectory(tmp_path / "a"))

    def test_own_data_needs_own_supernet(self, tiny: TinyInputs, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="supernet train"):
            run_search(tiny.settings(supernet=None), RunDirectory(tmp_path / "a"))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"objectives": ("speed",)}, "no objective 'speed'"),
            ({"routers": ("oracle",)}, "no router 'oracle'"),
            ({"sampler": "cma"}, "no sampler 'cma'"),
            ({"coverages": (1.5,)}, "coverage"),
            ({"trials": 0}, "--trials must be at least 1"),
        ],
    )
    def test_settings(self, tiny: TinyInputs, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(InputError, match=message):
            tiny.settings(**changes)


def test_the_front_keeps_equal_points_once(tiny: TinyInputs, finished: RunDirectory) -> None:
    setup = SearchSetup(settings_to_resume(finished, {}))
    study = open_study(setup, sqlite_url(finished.study), "a")
    pairs = Worker(study, setup.problem, setup.scorer, setup.settings).scored()
    assert pareto_front(pairs + pairs, setup.settings) == pareto_front(pairs, setup.settings)


def test_costs_agree_with_estimate(tiny: TinyInputs, finished: RunDirectory) -> None:
    """What the search counted for a base is what `estimate` says of its architecture, and more."""
    document = read(finished.pareto)
    pair = document["pairs"][0]
    arch = read_architecture(str(finished.pair(pair["id"]) / "architecture.json"))
    alone = estimate(arch, load_board("stm32f746"), load_runtime("tinyengine"))
    assert alone.flash_bytes + pair["router"]["flash_bytes"] == pytest.approx(
        pair["cost"]["flash_bytes"], abs=2100
    )
    assert alone.sram_bytes <= pair["cost"]["sram_bytes"]
