"""``hybrid-nas export``: what it writes, that it does what the pair did, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import yaml

from hybrid_nas.cli import main
from hybrid_nas.errors import HybridNasError
from hybrid_nas.export.bundle import FolderInTheMaking
from hybrid_nas.export.figures import ArithmeticFigures, ExportFigures
from hybrid_nas.export.from_files import made_up_images
from hybrid_nas.export.from_run import exported_pair, identifier
from hybrid_nas.export.int8_outputs import network_pixels
from hybrid_nas.export.job import c_network
from hybrid_nas.search.rundir import RunDirectory
from hybrid_nas.spaces.interchange import architecture_to_json, read_architecture
from hybrid_nas.training.job import RunPair
from hybrid_nas.verify.subject import pair_subject
from tests.quantise.test_fake_quant import small_network

FILES = {
    "architecture.json",
    "base-fp32.onnx",
    "base-int8.onnx",
    "base-int8.tflite",
    "pair-fp32.onnx",
    "pair-int8.onnx",
    "router.onnx",
    "c/",
}


def test_a_pair_becomes_files_that_say_what_it_says(any_run: RunDirectory, tmp_path: Path) -> None:
    out = tmp_path / "out"
    flags = ["--pair", "1", "--out", str(out), "--threads", "1", "--max-drop", "100", "--plan"]
    assert main(["export", str(any_run.path), *flags]) == 0
    document = yaml.safe_load((out / "pair.yaml").read_text())
    assert set(document["files"]) >= FILES
    for name, file in document["files"].items():
        assert (out / name).exists() and file["bytes"] > 0
    plan = (out / "plan.json").read_text()
    assert json.loads(plan)["arena_bytes"] == document["c"]["arena_bytes"]
    for copy in (out / "c" / "plan.json", any_run.pair(1) / "plan.json"):
        assert copy.read_text() == plan
    pair = RunPair(any_run, 1)
    again = read_architecture(out / "architecture.json")
    assert again.ops == pair.setup.space.architecture(pair.candidate.genes).ops
    exported = exported_pair(pair)
    assert exported.device is not None
    target = pair.setup.settings.target_coverage
    images = exported.subject.data.split("test")
    session = onnxruntime.InferenceSession((out / "pair-int8.onnx").read_bytes())
    pixels = network_pixels(images.images[:20], exported.graph.input_shape)
    found = [session.run(["class", "send"], {"image": image[None]}) for image in pixels]
    classes, sent = (np.concatenate(column) for column in zip(*found, strict=True))
    assert (classes == exported.int8("test").scores[:20].argmax(1)).mean() >= 0.9
    device = exported.send_score("test")[:20] > exported.device.thresholds[target]
    assert (sent == device).mean() >= 0.8
    assert "# " in (out / "MODEL_CARD.md").read_text()


def test_thresholds_keep_the_target_on_the_split_they_were_set_on(
    predictions_run: RunDirectory,
) -> None:
    exported = exported_pair(RunPair(predictions_run, 1))
    assert exported.device is not None
    score = exported.send_score("threshold")
    for coverage, threshold in exported.device.thresholds.items():
        assert (score <= threshold).mean() >= coverage - 1e-9


def test_a_run_within_a_budget_is_exported_at_what_it_planned(
    priced_run: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """100 ms on average, 360 ms a query: the threshold in force keeps that, 0.7's does not."""
    pair, out = RunPair(priced_run, 1), tmp_path / "out"
    flags = ["export", str(priced_run.path), "--pair", "1", "--out", str(out)]
    flags += ["--formats", "c", "--max-drop", "100"]
    assert main([*flags, "--guarantee", "queries<=0.9", "--rate-control"]) == 0
    router = yaml.safe_load((out / "pair.yaml").read_text())["router"]
    planned = pair.document["point"]["coverage"]
    assert planned <= router["target_coverage"] <= planned + 1.001e-4
    key = format(router["target_coverage"], "g")
    assert list(router["thresholds"]) == ["0.7", key]
    said = " ".join(capsys.readouterr().out.split())
    assert f"{key}, in force" in said and "0.7, in force" not in said
    assert "queries<=0.9: threshold " in said and "bytes, not in patches" in said
    assert f"| {key}, in force at the start |" in (out / "MODEL_CARD.md").read_text()
    exported = exported_pair(pair)
    score, edge_ms = exported.send_score("threshold"), pair.document["cost"]["edge_latency_ms"]
    for coverage, within in ((key, True), ("0.7", False)):
        ms = edge_ms + 360 * (score > router["thresholds"][coverage]).mean()
        assert (ms <= 100) == within
    for code in (c_network(exported), pair_subject(exported, "emulated-cortex-m7", 1).code):
        assert code.start_coverage == router["target_coverage"]
    header = (out / "c" / "include" / "hnas_model.h").read_text()
    assert f"To begin with the one of coverage {key}." in header
    assert "#define HNAS_HAS_RATE 1" in header
    controlled = router["rate_controller"]
    assert controlled["target"] == pytest.approx(1 - float(key), abs=0.01)
    unit, first = 2.0 ** -controlled["fraction_bits"], router["thresholds"][key]
    assert controlled["threshold"] * unit == pytest.approx(first, abs=unit)
    assert main([*flags, "--force", "--rate-control", "--coverage", "1"]) == 2
    assert "--rate-control at coverage 1: query rate 0" in capsys.readouterr().err


def test_json_is_one_document(
    model_run: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    flags = ["--pair", "1", "--out", str(out), "--formats", "onnx", "--max-drop", "100", "--json"]
    assert main(["export", str(model_run.path), *flags]) == 0
    document = json.loads(capsys.readouterr().out)
    assert "cloud-fp32.onnx" in document["files"] and "c/" not in document["files"]
    assert document == yaml.safe_load((out / "pair.yaml").read_text())


def test_an_export_is_not_replaced_unasked_and_other_folders_never(
    alone_run: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    flags = ["export", str(alone_run.path), "--pair", "1", "--out", str(out)]
    flags += ["--formats", "tflite", "--max-drop", "100"]
    assert main(flags) == 0
    assert main(flags) == 2
    assert "--force" in capsys.readouterr().err
    assert main([*flags, "--force"]) == 0
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letters.txt").write_text("dear")
    flags[flags.index(str(out))] = str(mine)
    assert main([*flags, "--force"]) == 2
    assert (mine / "letters.txt").read_text() == "dear"


@pytest.mark.parametrize("name", ["link", "."])
def test_a_folder_that_is_there_is_filled_and_stays_what_it_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(folder if name == "." else tmp_path)
    before = folder.stat().st_ino
    for text in ("first", "second"):
        with FolderInTheMaking(Path(name), force=True) as bundle:
            bundle.add("pair.yaml", "").write_text(text)
            bundle.add(text, "").mkdir()
            (bundle.folder / text / "inside").write_text(text)
        assert sorted(path.name for path in folder.rglob("*")) == sorted(
            ["inside", "pair.yaml", text]
        )
        assert (folder / "pair.yaml").read_text() == text
    assert folder.stat().st_ino == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "link"]


def test_a_drop_that_is_too_large_leaves_nothing_behind(
    alone_run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worse = ExportFigures(100, ArithmeticFigures(0.9, {}), ArithmeticFigures(0.8, {}), 0.9)
    with pytest.raises(HybridNasError, match=r"10\.00 points below"):
        worse.check_drop(9.9)
    worse.check_drop(10.1)
    monkeypatch.setattr("hybrid_nas.export.job.export_figures", lambda exported: worse)
    out = tmp_path / "exports" / "out"
    assert main(["export", str(alone_run.path), "--pair", "1", "--out", str(out)]) == 1
    assert not any(out.parent.iterdir())


@pytest.fixture
def published(tmp_path: Path) -> tuple[Path, Path]:
    """An architecture and a checkpoint in the format of the MCUNet project."""
    network = small_network("mcunet")
    arch, weights = tmp_path / "3-net.json", tmp_path / "net.pth"
    arch.write_text(json.dumps(architecture_to_json(network.architecture)))
    torch.save({"state_dict": network.state_dict()}, weights)
    return arch, weights


def test_layers_and_weights_of_others(published: tuple[Path, Path], tmp_path: Path) -> None:
    arch, weights = published
    out = tmp_path / "out"
    flags = ["export", "--arch", str(arch), "--weights", str(weights), "--out", str(out)]
    assert main(flags) == 0
    document = yaml.safe_load((out / "pair.yaml").read_text())
    assert document["name"] == "n_3_net"
    assert "made-up images" in document["calibration"]["what"]
    network = small_network("mcunet")
    pixels = made_up_images(1, network.architecture.input_shape)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1)
    session = onnxruntime.InferenceSession((out / "base-fp32.onnx").read_bytes())
    (scores,) = session.run(["scores"], {"image": pixels})
    np.testing.assert_allclose(scores, wanted.numpy(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ([], "either RUN"),
        (["RUN", "--arch", "a.json"], "either RUN"),
        (["RUN"], "--pair is missing"),
        (["RUN", "--pair", "99"], "no such pair"),
        (["RUN", "--pair", "1", "--formats", "onnx,docx"], "docx"),
        (["RUN", "--pair", "1", "--weights", "w.pth"], "belongs to --arch"),
        (["--arch", "none.json"], "--weights is missing"),
        (["--arch", "none.json", "--weights", "w.pth"], "no such file"),
        (["--arch", "a.json", "--weights", "w.pth", "--coverage", "0.5"], "--coverage is about a"),
        (["--arch", "a.json", "--weights", "w.pth", "--rate-control"], "--rate-control is about a"),
        (["--arch", "a.json", "--weights", "w.pth", "--pair", "1"], "--pair is about a pair"),
    ],
)
def test_what_is_refused(
    flags: list[str],
    says: str,
    alone_run: RunDirectory,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [str(alone_run.path) if word == "RUN" else word for word in flags]
    assert main(["export", *words, "--out", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert says in err and len(err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_names_are_words() -> None:
    assert identifier("runs/über 3") == "runs_ber_3"
    assert identifier("7") == "n_7"
    assert identifier("--") == "network"
