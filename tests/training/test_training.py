"""Final training: what it writes, what it keeps, and that it goes on where it was."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from hybrid_nas.cli import main
from hybrid_nas.data.cloud import cloud_outputs
from hybrid_nas.data.dataset import ImageSet, Split
from hybrid_nas.data.stored import StoredDataset
from hybrid_nas.errors import HybridNasError, InputError
from hybrid_nas.evaluation.subject import open_subject
from hybrid_nas.routing.fitted import FittedRouter
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.search.run import run_search
from hybrid_nas.search.rundir import RunDirectory
from hybrid_nas.supernet.cloud import open_supernet_cloud
from hybrid_nas.training.int8_base import load_base
from hybrid_nas.training.job import CLOUD_FILE, FinalJob, RunPair
from hybrid_nas.training.judging import hybrid_out_of_fold, judging_folds
from hybrid_nas.training.progress import TrainingState
from hybrid_nas.training.recipe import FinalRecipe
from hybrid_nas.training.weighting import base_weights, cloud_weights, weighted_loss
from hybrid_nas.typing import BoolArray, FloatArray, IntArray
from tests.search.conftest import TinyInputs
from tests.training.conftest import copy_of

QUICK = FinalRecipe(
    rounds=2, steps=6, batch=16, pool=64, calibration_images=32, warm_up=2, weighted_from=0.0
)


def test_training_writes_a_pair_that_can_be_used(any_run: RunDirectory) -> None:
    pair = RunPair(any_run, 1)
    document = FinalJob(pair, QUICK, 0.7).run()
    assert document is not None and len(document["rounds"]) == 3
    assert json.loads((pair.folder / "training.json").read_text()) == document
    best = max(figures["hybrid"] for figures in document["rounds"])
    assert document["rounds"][document["kept_round"]]["hybrid"] == best
    assert document["kept"] == ("before" if document["kept_round"] == 0 else "after")
    assert not (pair.folder / "training.pt").exists()

    base = load_base(pair.folder / "base.pt", pair.setup.space.architecture(pair.candidate.genes))
    router = FittedRouter.from_dict(json.loads((pair.folder / "router.json").read_text()))
    threshold = base.outputs(pair.setup.data.split("threshold"), "the base")
    kept = 1 - router.sent(threshold, 0.7).mean()
    assert kept >= 0.7 - 1e-9  # the target is a floor where thresholds were set


@pytest.mark.parametrize(
    ("point", "coverage"),
    [
        ({}, 0.7),
        ({"point": {"coverage": 0.812345}}, 0.8124),  # up, so that a budget holds
        ({"point": {"coverage": 1.0}}, 1.0),
        ({"point": {"coverage": 0.0}}, 1e-4),
    ],
)
def test_a_pair_is_trained_for_what_the_search_planned(
    predictions_run: RunDirectory, tmp_path: Path, point: dict[str, object], coverage: float
) -> None:
    directory = copy_of(predictions_run, tmp_path)
    front = json.loads(directory.pareto.read_text())
    front["pairs"][0] |= point
    directory.pareto.write_text(json.dumps(front))
    assert RunPair(directory, 1).coverage_in_force == coverage
    flags = ["--pair", "1", "--steps", "1", "--rounds", "1", "--json"]
    assert main(["train", str(directory.path), *flags]) == 0
    trained = json.loads((directory.pair(1) / "trained" / "training.json").read_text())
    assert trained["coverage"] == coverage


def test_an_interrupted_training_ends_as_if_nothing_had_happened(
    predictions_run: RunDirectory, tmp_path: Path
) -> None:
    whole, broken = (copy_of(predictions_run, tmp_path / name) for name in ("whole", "broken"))
    expected = FinalJob(RunPair(whole, 1), QUICK, 0.7).run()
    for _ in range(20):
        asked = iter([False, True])
        job = FinalJob(RunPair(broken, 1), QUICK, 0.7)
        found = job.run(stop=lambda asked=asked: next(asked))  # type: ignore[misc]
        if found is not None:
            break
        assert job.checkpoint.exists()
    assert found == expected
    files = [RunPair(run, 1).folder / "base.pt" for run in (whole, broken)]
    one, two = (torch.load(path, weights_only=True)["state_dict"] for path in files)
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=0, atol=0)


def test_a_checkpoint_of_other_settings_is_refused(
    predictions_run: RunDirectory, tmp_path: Path
) -> None:
    run = copy_of(predictions_run, tmp_path)
    assert FinalJob(RunPair(run, 1), QUICK, 0.7).run(stop=lambda: True) is None
    other = FinalJob(RunPair(run, 1), replace(QUICK, peak_rate=0.02), 0.7)
    with pytest.raises(InputError, match="--restart"):
        other.run()
    assert FinalJob(RunPair(run, 1), replace(QUICK, peak_rate=0.02), 0.7).run(restart=True)


def test_a_cloud_of_ours_learns_too_and_is_written(model_run: RunDirectory, tmp_path: Path) -> None:
    run = copy_of(model_run, tmp_path)
    pair = RunPair(run, 1)
    data = pair.setup.data
    assert pair.setup.cloud is not None
    before = cloud_outputs(pair.setup.cloud, data, "fit").probs
    job = FinalJob(pair, replace(QUICK, train_cloud=True, cloud_rate=0.05), 0.7)
    states: list[TrainingState] = []
    job.run(states.append)
    trained = open_supernet_cloud(pair.folder / CLOUD_FILE)
    after = trained.predict(data.split("fit")).probs
    assert before is not None and after is not None
    changed = not np.allclose(before, after, atol=1e-6)
    assert changed == (job.trainer.best_round.round > 0)
    assert states[-1].step == QUICK.steps


def test_only_a_cloud_of_ours_can_learn(predictions_run: RunDirectory, tmp_path: Path) -> None:
    run = copy_of(predictions_run, tmp_path)
    with pytest.raises(InputError, match="--train-cloud"):
        FinalJob(RunPair(run, 1), replace(QUICK, train_cloud=True), 0.7).run()


def test_the_command_says_what_was_kept(
    predictions_run: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copy_of(predictions_run, tmp_path)
    flags = ["--pair", "1", "--steps", "2", "--rounds", "1", "--batch", "8", "--threads", "1"]
    assert main(["train", str(run.path), *flags, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "hybrid-nas/final-training/1"
    assert main(["train", str(run.path), *flags]) == 0
    assert "kept" in capsys.readouterr().out
    for wrong, word in (
        (["--pair", "9"], "no such pair"),
        (["--pair", "1", "--rate", "-1"], "--rate"),
        (["--pair", "1", "--rate", "nan"], "--rate must be a number above 0"),
        (["--pair", "1", "--seed", str(1 << 64)], "--seed"),
        (["--pair", "1", "--distillation", "2"], "--distillation"),
        (["--pair", "1", "--weighted-from", "-1"], "--weighted-from"),
    ):
        assert main(["train", str(run.path), *wrong]) == 2
        line = capsys.readouterr().err
        assert word in line and line.count("\n") == 1


@pytest.mark.parametrize("rounds", [1, 6])
def test_a_training_that_diverges_says_so(
    predictions_run: RunDirectory, tmp_path: Path, rounds: int
) -> None:
    """Between two steps, where the loss shows it, or at the end of a round, where ranges do."""
    pair = RunPair(copy_of(predictions_run, tmp_path), 1)
    recipe = replace(QUICK, peak_rate=1e30, rounds=rounds, patience=6)
    with pytest.raises(HybridNasError, match=r"diverged at step \d: .*1e\+30, with --restart"):
        FinalJob(pair, recipe, 0.7).train()


def test_weights_are_those_of_the_paper() -> None:
    """Base (2 - r), cloud (1 + r): Kag et al., ICLR 2023, section 3."""
    sent = torch.tensor([True, False, True])
    assert base_weights(sent).tolist() == [1, 2, 1]
    assert cloud_weights(sent).tolist() == [2, 1, 2]
    logits, labels = torch.randn(3, 4), torch.tensor([0, 3, 1])
    each = [float(cross_entropy(logits[k : k + 1], labels[k : k + 1])) for k in range(3)]
    want = np.average(each, weights=[1, 2, 1])
    assert float(weighted_loss(logits, labels, base_weights(sent))) == pytest.approx(want)


@pytest.mark.parametrize(("weighted_from", "asked"), [(0.0, 6), (0.5, 3), (1.0, 0)])
def test_the_router_is_asked_from_then_on(
    predictions_run: RunDirectory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    weighted_from: float,
    asked: int,
) -> None:
    batches, sent = [], FittedRouter.sent

    def counted(router: FittedRouter, outputs: ModelOutputs, coverage: float) -> BoolArray:
        batches.append(outputs.n)
        return sent(router, outputs, coverage)

    monkeypatch.setattr(FittedRouter, "sent", counted)
    pair = RunPair(copy_of(predictions_run, tmp_path / "run"), 1)
    FinalJob(pair, replace(QUICK, weighted_from=weighted_from), 0.7).train()
    assert batches == [QUICK.batch] * asked


def test_no_weight_depends_on_the_splits_that_calibrate_and_test(
    any_run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guarantees are calibrated on ``threshold``, so only what is deployed at the end sees it."""
    asked, split = [], StoredDataset.split

    def noted(data: StoredDataset, name: Split) -> ImageSet:
        asked.append(name)
        return split(data, name)

    monkeypatch.setattr(StoredDataset, "split", noted)
    job = FinalJob(RunPair(any_run, 1), QUICK, 0.7)
    assert job.train() and set(asked) == {"fit"}
    asked.clear()
    job.write()
    assert set(asked) == {"fit", "threshold"}


@pytest.mark.parametrize("file", ["router.json", "training.json"])
def test_a_training_killed_while_it_is_written_leaves_no_mixed_pair(
    predictions_run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    pair = RunPair(copy_of(predictions_run, tmp_path), 1)
    assert FinalJob(pair, QUICK, 0.7).run()
    write = RunDirectory.write_json

    def killed(directory: RunDirectory, path: Path, document: object) -> None:
        if path.name == file:
            raise KeyboardInterrupt
        write(directory, path, document)

    monkeypatch.setattr(RunDirectory, "write_json", killed)
    other = replace(QUICK, seed=1, peak_rate=0.05)
    with pytest.raises(KeyboardInterrupt):
        FinalJob(pair, other, 0.7).run()
    assert not open_subject(pair, (0.7,)).trained
    monkeypatch.undo()
    assert FinalJob(pair, other, 0.7).run() and open_subject(pair, (0.7,)).trained


def test_judging_folds_keep_groups_together_and_cover_everything() -> None:
    groups = np.repeat(np.arange(20), 3)
    folds = judging_folds(groups, seed=0)
    assert sorted(np.concatenate(folds)) == list(range(60))
    assert sum(len(set(groups[rows])) for rows in folds) == 20
    with pytest.raises(InputError, match="source groups"):
        judging_folds(np.array([0, 0, 1, 1]), seed=0)


def test_a_router_judges_only_what_it_was_not_fitted_to() -> None:
    """Scores from the labels of the rows that were fitted are of no use on the others."""
    labels = np.random.default_rng(0).integers(0, 2, 300)
    names = np.arange(300.0)  # each row's number, where a router finds it
    logits = np.stack([names, np.full(300, 150.0)], axis=1)
    outputs = ModelOutputs(labels=labels, logits=logits)
    seen: list[IntArray] = []

    class Memory:
        def __init__(self, rows: IntArray) -> None:
            seen.append(rows)

        def send_score(self, held: ModelOutputs) -> FloatArray:
            assert held.logits is not None
            assert not set(held.logits[:, 0]) & set(seen[-1])
            return np.zeros(held.n)

    folds = judging_folds(np.arange(300), seed=1)
    cloud = np.ones(300, bool)
    found = hybrid_out_of_fold(Memory, outputs, cloud, folds, 0.5)  # type: ignore[arg-type]
    # all scores are equal, so half of every image is sent
    assert found.value == pytest.approx(0.5 + 0.5 * outputs.correct.mean())
    assert len(seen) == 3


def test_a_pair_whose_router_reads_an_early_stage_can_be_trained_and_judged(
    tiny: TinyInputs, tmp_path: Path
) -> None:
    run = RunDirectory(tmp_path / "early")
    run_search(tiny.settings(trials=2, routers=("linear-stage1",)), run)
    pair = RunPair(run, 1)
    assert FinalJob(pair, QUICK, 0.7).run() is not None
    subject = open_subject(pair, (0.7,))
    stages = subject.outputs("score").stage_features
    searched = pair.setup.scorer.run_base(pair.candidate.genes, ("score",))["score"]
    assert [s.shape for s in stages] == [s.shape for s in searched.stage_features]
    before = open_subject(pair, (0.7,), untrained=True).outputs("score").stage_features[0]
    likeness = np.corrcoef(before.ravel(), searched.stage_features[0].ravel())[0, 1]
    assert likeness > 0.95  # rounding apart, the same tensor
