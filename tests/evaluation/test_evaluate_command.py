"""``hybrid-nas evaluate`` on tiny runs: documents, the record of looks, refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hybrid_nas.cli import main
from hybrid_nas.cli.evaluation_tables import evaluation_tables
from hybrid_nas.evaluation import job
from hybrid_nas.evaluation.looks import count_looks
from hybrid_nas.evaluation.subject import open_subject
from hybrid_nas.report.plot_evaluation import draw_latency
from hybrid_nas.routing.baselines import CONFIDENCE_BASELINES
from hybrid_nas.search.rundir import RunDirectory
from hybrid_nas.training.int8_base import save_base
from hybrid_nas.training.job import RunPair
from tests.evaluation.conftest import make_run
from tests.search.conftest import TinyInputs

PNG = b"\x89PNG"
QUICK = ("--no-shift", "--threads", "1", "--device", "cpu")


def evaluate(
    capsys: pytest.CaptureFixture[str], run: RunDirectory, *flags: str, status: int = 0
) -> tuple[dict[str, Any], str]:
    """The JSON document (empty on failure), and what standard error says."""
    assert main(["evaluate", str(run.path), "--pair", "1", "--json", *flags]) == status
    captured = capsys.readouterr()
    return (json.loads(captured.out) if captured.out else {}), captured.err


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Drawing takes most of the time: once is enough."""
    if "cloud_of_predictions" not in request.node.name:
        monkeypatch.setattr(job, "draw_evaluation", lambda document: {})


@pytest.fixture
def fresh(predictions_run: RunDirectory, tmp_path: Path) -> RunDirectory:
    """A copy that nothing has evaluated."""
    return RunDirectory(Path(shutil.copytree(predictions_run.path, tmp_path / "run")))


def test_figures_are_those_of_the_outputs(
    capsys: pytest.CaptureFixture[str], fresh: RunDirectory
) -> None:
    """Accuracy, coverage and loss to the cloud, computed anew from the base's own outputs."""
    document, progress = evaluate(capsys, fresh, *QUICK, "--coverage", "0.8", "0.6")
    assert "test split" in progress
    assert document["schema"] == "hybrid-nas/evaluation/1"
    assert document["base"] == "untrained"
    assert list(document["coverages"]) == ["0.8", "0.6"]
    pair = RunPair(fresh, 1)
    subject = open_subject(pair, (0.8, 0.6))
    outputs, cloud = subject.outputs("test"), subject.cloud_correct("test")
    assert cloud is not None
    assert document["base_accuracy"]["value"] == pytest.approx(outputs.correct.mean())
    assert document["cloud_accuracy"]["value"] == pytest.approx(cloud.mean())
    score = subject.router.send_score(outputs)
    edge_ms = pair.document["cost"]["edge_latency_ms"]
    for found in document["coverages"].values():
        sent = score > found["threshold"]
        assert found["coverage"] == pytest.approx(1 - sent.mean())
        hybrid = np.where(sent, cloud, outputs.correct).mean()
        assert found["accuracy"] == pytest.approx(hybrid)
        low, high = found["interval"]
        assert low <= hybrid <= high
        assert found["mean_latency_ms"] == pytest.approx(edge_ms + sent.mean() * 2000)
        for name, one in found["baselines"].items():
            gain = one["router_gain"]
            assert gain["value"] == pytest.approx(hybrid - one["accuracy"]), name
            assert gain["interval"][0] <= gain["value"] <= gain["interval"][1]
        rows = found["baselines"]
        assert rows["cloud-only"]["accuracy"] == pytest.approx(cloud.mean())
        best, bound = (rows[document[key]]["accuracy"] for key in ("best_confidence", "bound"))
        assert found["share_of_the_way"] == pytest.approx((hybrid - best) / (bound - best))
        ranked = [row["accuracy"] for name, row in rows.items() if not name.endswith("-only")]
        assert max(ranked) == rows["signed-oracle"]["accuracy"]
        assert set(CONFIDENCE_BASELINES) <= rows.keys()
    # float32 in torch against the search's ONNX, which another library ran
    arithmetic = document["arithmetic"]
    assert arithmetic["int8"]["base"] == document["base_accuracy"]["value"]
    assert arithmetic["float32"]["base"] == pytest.approx(
        arithmetic["search"]["base"], abs=1.01 / outputs.n
    )
    thresholds = subject.router.send_score(subject.outputs("threshold"))
    for key, found in document["coverages"].items():
        assert (thresholds <= found["threshold"]).mean() >= float(key)


def test_costs_are_those_of_every_input_enumerated(
    capsys: pytest.CaptureFixture[str], priced_run: RunDirectory
) -> None:
    """Each image five times, as one query of five is lost; nothing of the program's formulas."""
    document, _ = evaluate(capsys, priced_run, *QUICK)
    pair = RunPair(priced_run, 1)
    edge_ms = pair.document["cost"]["edge_latency_ms"]
    assert document["latency"]["edge_ms"] == pytest.approx(edge_ms)
    planned = document["planned"]["coverage"]
    assert document["planned"]["asked"] == {"mean_latency_ms": 100.0}
    assert list(document["coverages"]) == ["0.7", planned]
    subject = open_subject(pair, (0.7, float(planned)))
    outputs, cloud = subject.outputs("test"), subject.cloud_correct("test")
    assert cloud is not None
    lost = np.arange(5)[:, None] == 0
    for key, found in document["coverages"].items():
        sent = subject.router.send_score(outputs) > found["threshold"]
        waited = np.where(lost, 1000.0, 200.0)
        ms = np.where(sent, edge_ms + waited, edge_ms)
        right = np.where(sent & ~lost, cloud, outputs.correct)
        mj = edge_ms * 0.25 + sent * (30.0 + 16 * 16 * 3 * 0.01)
        assert found["mean_latency_ms"] == pytest.approx(ms.mean())
        p95 = np.quantile(ms, 0.95, method="inverted_cdf")
        assert found["p95_latency_ms"] == pytest.approx(p95)
        assert found["accuracy_with_timeouts"] == pytest.approx(right.mean())
        assert found["mean_energy_mj"] == pytest.approx(mj.mean())
        a_day = 2000 * mj.mean() + 0.5 * 24 * 3600
        assert found["battery_days"] == pytest.approx(3700 * 3600 / a_day)
        if key == planned:  # the budget is kept where the threshold comes from
            asks = subject.router.send_score(subject.outputs("threshold")) > found["threshold"]
            assert edge_ms + asks.mean() * 360.0 <= 100.0
    query = document["costs"]["query"]
    assert query["answered"] == pytest.approx(0.8) and query["mean_ms"] == pytest.approx(360.0)
    assert document["latency"]["cloud_only_ms"] == pytest.approx(360.0)
    assert "20 % of the queries are not answered in time" in document["costs"]["reading"]
    marks = {line.get_label(): line for line in draw_latency(document).axes[0].lines}  # type: ignore[union-attr]
    drawn = marks["router, with timeouts"].get_ydata()
    expected = [100 * at["accuracy_with_timeouts"] for at in document["coverages"].values()]
    assert np.asarray(drawn) == pytest.approx(expected)
    rows = {row[0]: row[1] for row in evaluation_tables(document)[0][2]}
    first = document["coverages"]["0.7"]
    assert rows["days per charge"] == f"{first['battery_days']:.3g}"
    assert rows["energy per inference"] == f"{first['mean_energy_mj']:.3g} mJ"
    assert rows["router, with timeouts"] == f"{100 * first['accuracy_with_timeouts']:.2f}"
    assert "95 % answered within" in rows
    assert "router (linear-features)" in rows or document["router"]["params"] == 0


def test_what_is_not_priced_is_not_told(
    capsys: pytest.CaptureFixture[str], fresh: RunDirectory
) -> None:
    document, _ = evaluate(capsys, fresh, *QUICK, "--coverage", "0.7")
    assert document["planned"] is None and document["costs"]["reading"] == ""
    told = document["coverages"]["0.7"].keys()
    assert "mean_latency_ms" in told and not {"p95_latency_ms", "mean_energy_mj"} & told
    rows = [row[0] for row in evaluation_tables(document)[0][2]]
    assert "mean latency" in rows
    assert not {"energy per inference", "days per charge", "router, with timeouts"} & set(rows)


def test_what_is_written_and_how_often_it_looked(
    capsys: pytest.CaptureFixture[str], fresh: RunDirectory
) -> None:
    folder = fresh.pair(1)
    first, _ = evaluate(capsys, fresh, *QUICK)
    assert first == json.loads((folder / "evaluation.json").read_text())
    assert first["test_split"]["evaluations_before"] == 0
    assert "first evaluation" in first["test_split"]["reading"]
    second, _ = evaluate(capsys, fresh, *QUICK)
    assert second["test_split"]["evaluations_before"] == 1
    assert "1 of this pair" in second["test_split"]["reading"]
    assert len(second["test_split"]["history"]) == 2
    unchanged = ("coverages", "arithmetic", "early_exits", "curves")
    assert {key: first[key] for key in unchanged} == {key: second[key] for key in unchanged}
    others = fresh.pair(7)  # of another pair, whose evaluations count for the run
    others.mkdir()
    shutil.copy(folder / "evaluation.json", others)
    assert count_looks(fresh, 1).other_pairs == 2
    (others / "evaluation.json").write_text("{}")
    _, line = evaluate(capsys, fresh, *QUICK, status=2)
    assert "damaged" in line and line.count("\n") == 1


def test_the_trained_pair_is_taken_where_there_is_one(
    capsys: pytest.CaptureFixture[str], fresh: RunDirectory
) -> None:
    pair = RunPair(fresh, 1)
    subject = open_subject(pair, (0.7,))
    base = subject.base
    last = str(len(base.network.specs) - 1)
    with torch.no_grad():
        base.network.biases[last] += torch.tensor([50.0, 0.0, 0.0])  # always the first class
    base.network.ranges[-1] = torch.tensor([-60.0, 60.0])
    save_base(base, pair.folder / "base.pt", {})
    fresh.write_json(pair.folder / "router.json", subject.router.to_dict())
    first_class = float((subject.data.split("test").labels == 0).mean())
    trained, _ = evaluate(capsys, fresh, *QUICK)
    assert trained["base"] == "trained"
    assert trained["base_accuracy"]["value"] == pytest.approx(first_class)
    before, _ = evaluate(capsys, fresh, *QUICK, "--untrained")
    assert before["base"] == "untrained"
    (pair.folder / "router.json").write_text("{")
    _, line = evaluate(capsys, fresh, *QUICK, status=2)
    assert "router.json" in line and "--untrained" in line


def test_a_training_is_of_its_pair_after_a_search_was_resumed(
    capsys: pytest.CaptureFixture[str], tiny: TinyInputs, tmp_path: Path
) -> None:
    """The front is numbered anew: the training goes with its pair, and pair 1 gets no other's."""
    run = make_run(tiny, tmp_path / "run", coverages=(0.7,))
    old = {pair["id"]: pair["trial"] for pair in json.loads(run.pareto.read_text())["pairs"]}
    flags = ["--steps", "2", "--rounds", "1", "--batch", "8", "--threads", "1"]
    for number in old:
        assert main(["train", str(run.path), "--pair", str(number), *flags]) == 0
    capsys.readouterr()
    assert evaluate(capsys, run, *QUICK)[0]["base"] == "trained"
    assert main(["search", "--resume", "--trials", "12", "--run", str(run.path)]) == 0
    capsys.readouterr()
    new = {pair["id"]: pair["trial"] for pair in json.loads(run.pareto.read_text())["pairs"]}
    assert new[1] != old[1]  # else there is nothing to see
    for number, trial in new.items():
        subject = open_subject(RunPair(run, number), (0.7,))
        assert subject.trained == (trial in old.values())
    gone = [trial for trial in old.values() if trial not in new.values()]
    aside = {path.parents[1].name for path in run.path.glob("pairs/former-*/trained/base.pt")}
    assert aside == {f"former-trial-{trial}" for trial in gone}
    if new[1] not in old.values():
        assert evaluate(capsys, run, *QUICK)[0]["base"] == "untrained"


def test_a_training_of_another_pair_is_refused(
    capsys: pytest.CaptureFixture[str], fresh: RunDirectory
) -> None:
    pair = RunPair(fresh, 1)
    subject = open_subject(pair, (0.7,))
    genes = [*pair.candidate.genes[:-1], 99]
    save_base(subject.base, pair.folder / "base.pt", {"genes": genes})
    fresh.write_json(pair.folder / "router.json", subject.router.to_dict())
    _, line = evaluate(capsys, fresh, *QUICK, status=2)
    assert "another pair" in line and "--untrained" in line
    out = fresh.path / "door"
    assert main(["export", str(fresh.path), "--pair", "1", "--out", str(out)]) == 2
    assert "another pair" in capsys.readouterr().err and not out.exists()
    assert evaluate(capsys, fresh, *QUICK, "--untrained")[0]["base"] == "untrained"


def test_guarantees_are_calibrated_before_the_test_split_is_looked_at(
    capsys: pytest.CaptureFixture[str], fresh: RunDirectory
) -> None:
    record = fresh.pair(1) / "evaluation.json"
    for promise in ("loss<=0.001@0.99", "speed<=3", "accuracy>=0.9"):
        _, err = evaluate(capsys, fresh, *QUICK, "--guarantee", promise, status=2)
        last = err.strip().splitlines()[-1]
        assert last.startswith("hybrid-nas: error: ") and promise.split("@")[0] in last
        assert "the test split" not in err.splitlines()[:-1]
    assert not record.exists()
    document, _ = evaluate(
        capsys, fresh, *QUICK, "--guarantee", "queries<=0.4", "--guarantee", "loss<=0.9@0.8"
    )
    subject = open_subject(RunPair(fresh, 1), (0.7,))
    score = subject.router.send_score(subject.outputs("test"))
    queries, loss = document["guarantees"]
    assert queries["test"]["value"] == pytest.approx((score > queries["threshold"]).mean())
    calibration = subject.router.send_score(subject.outputs("threshold"))
    n = len(calibration)
    assert ((calibration > queries["threshold"]).sum() + 1) / (n + 1) <= 0.4
    assert loss["test"]["within"] and loss["bound"] <= 0.9


def test_no_guarantee_where_the_search_looked_at_the_threshold_split(
    capsys: pytest.CaptureFixture[str], tiny: TinyInputs, tmp_path: Path
) -> None:
    run = make_run(tiny, tmp_path / "run", max_loss=20.0)
    _, err = evaluate(capsys, run, *QUICK, "--guarantee", "queries<=0.4", status=2)
    assert "chose its pairs by the threshold split (--max-loss)" in err


def test_a_cloud_of_predictions_is_left_out_of_changed_images(
    capsys: pytest.CaptureFixture[str], fresh: RunDirectory
) -> None:
    flags = ("--threads", "1", "--severity", "2", "--coverage", "0.7")
    assert main(["evaluate", str(fresh.path), "--pair", "1", *flags]) == 0
    printed = capsys.readouterr().out
    assert "cannot answer for changed images" in printed
    for table in ("signed-oracle (bound)", "int8 beside float32", "Early exits", "textures"):
        assert table in printed
    for name in ("coverage", "latency", "exits"):
        assert (fresh.pair(1) / f"evaluation-{name}.png").read_bytes().startswith(PNG)
    document = json.loads((fresh.pair(1) / "evaluation.json").read_text())
    clean, *changed = document["shift"]["rows"]
    assert clean["cloud"] is not None and clean["fixed"]["0.7"]["accuracy"] is not None
    at = document["coverages"]["0.7"]
    assert clean["fixed"]["0.7"]["accuracy"] == pytest.approx(at["accuracy"])
    assert len(changed) == 5 and {row["severity"] for row in changed} == {2}
    for row in changed:
        assert row["cloud"] is None and row["fixed"]["0.7"]["accuracy"] is None
        assert 0 <= row["fixed"]["0.7"]["coverage"] <= 1
    assert document["unknown"]["clean"]["0.7"] == pytest.approx(1 - at["coverage"])


def test_without_a_cloud_accuracy_is_on_the_kept(
    capsys: pytest.CaptureFixture[str], alone_run: RunDirectory
) -> None:
    document, _ = evaluate(capsys, alone_run, "--threads", "1", "--guarantee", "queries<=0.5")
    assert document["cloud_accuracy"] is None and document["abstaining"] is None
    assert document["bound"] == "errors-first"
    subject = open_subject(RunPair(alone_run, 1), (0.7,))
    outputs, at = subject.outputs("test"), document["coverages"]["0.7"]
    kept = subject.router.send_score(outputs) <= at["threshold"]
    assert at["accuracy"] == pytest.approx(outputs.correct[kept].mean())
    assert at["mean_latency_ms"] == document["latency"]["edge_ms"]
    bound = at["baselines"]["errors-first"]["accuracy"]
    assert bound == pytest.approx(min(1.0, outputs.correct.mean() / kept.mean()))
    assert document["shift"]["cloud_left_out"] is None
    assert all(row["fixed"]["0.7"]["accuracy"] is not None for row in document["shift"]["rows"])


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--pair", "99"], ["--pair 99"]),
        (["--coverage", "1.5"], ["1.5"]),
        (["--severity", "6"], ["--severity"]),
        (["--severity", "4", "--no-shift"], ["--no-shift leaves"]),
        (["--device", "tpu"], ["--device"]),
    ],
)
def test_bad_flags_are_one_line(
    capsys: pytest.CaptureFixture[str],
    predictions_run: RunDirectory,
    flags: list[str],
    words: list[str],
) -> None:
    given = ["evaluate", str(predictions_run.path), "--pair", "1", *flags]
    assert main(given) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert all(word in captured.err for word in words)


def test_no_run_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["evaluate", str(tmp_path), "--pair", "1"]) == 2
    assert "pareto.json" in capsys.readouterr().err
