"""Networks from elsewhere: what is exported computes what the `ofa` package's own network does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from hybrid_nas.cli import main
from hybrid_nas.data.normalisation import NAMED
from hybrid_nas.errors import InputError
from hybrid_nas.export.c_code.network import CNetwork
from hybrid_nas.export.from_files import NetworkJob
from hybrid_nas.export.tflite_file import tflite_bytes
from hybrid_nas.export.tflite_judges import LiteRt
from hybrid_nas.hardware.boards import load_board
from hybrid_nas.hardware.estimate import estimate
from hybrid_nas.hardware.runtimes import load_runtime
from hybrid_nas.quantise.int8_reference import int8_image, run_int8
from hybrid_nas.search.rundir import RunDirectory
from tests.evaluation.conftest import make_run
from tests.export.c_host import HostNetwork
from tests.export.ofa_networks import (
    IMAGENET,
    OfaFiles,
    images,
    mobilenet_document,
    ofa_files,
    onnx_scores,
    skipped,
    small_document,
)
from tests.search.tiny import TINY_SPACE, write_tiny

CLOSE = {"rtol": 1e-4, "atol": 1e-4}


def exported(files: OfaFiles, out: Path, *flags: str) -> Path:
    assert main(["export", *files.flags, "--out", str(out), *flags]) == 0
    return out


def refused(flags: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that `flags` end in."""
    capsys.readouterr()
    assert main(flags) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "..." not in line]
    assert len(lines) == 1
    return lines[0]


# -- networks that have no int8 version


def test_squeeze_and_excitation_is_written_in_float_alone(tmp_path: Path) -> None:
    files = ofa_files(mobilenet_document(), tmp_path)
    out = exported(files, tmp_path / "out")
    document = yaml.safe_load((out / "pair.yaml").read_text())
    assert set(document["files"]) == {"architecture.json", "base-fp32.onnx"}
    assert "without an int8 kernel" in document["notes"][0]
    card = (out / "MODEL_CARD.md").read_text()
    assert "base-fp32.onnx" in card and "int8 constants" not in card and "ranges of" not in card
    pixels = images(8)
    found = onnx_scores(out / "base-fp32.onnx", pixels)
    np.testing.assert_allclose(found, files.scores(pixels), **CLOSE)


@pytest.mark.parametrize(
    "flags", [["--formats", "c"], ["--formats", "tflite,c"], ["--plan"]], ids=" ".join
)
def test_what_needs_int8_is_refused_without_it(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ofa_files(mobilenet_document(), tmp_path)
    line = refused(["export", *files.flags, "--out", str(tmp_path / "out"), *flags], capsys)
    assert "without an int8 kernel" in line and flags[0] in line
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def float_run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A finished search in a space with squeeze-and-excitation."""
    with pytest.MonkeyPatch.context() as patch:
        text = TINY_SPACE.replace("se: false", "se: true").replace("relu6", "h_swish")
        patch.setattr("tests.search.tiny.TINY_SPACE", text)
        tiny = write_tiny(tmp_path_factory.mktemp("float"))
    return make_run(tiny, tmp_path_factory.mktemp("runs") / "float")


def test_a_pair_without_int8_is_written_as_onnx(
    float_run: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["export", str(float_run.path), "--pair", "1", "--out", str(tmp_path / "out")]
    assert "--formats onnx" in refused([*flags, "--formats", "tflite"], capsys)
    assert main(flags) == 0
    document = yaml.safe_load((tmp_path / "out" / "pair.yaml").read_text())
    names = {"architecture.json", "base-fp32.onnx", "pair-fp32.onnx", "router.onnx"}
    assert set(document["files"]) == names
    assert document["onnx"]["fp32"]["classes_equal"] == 1
    assert "pair-fp32.onnx" in (tmp_path / "out" / "MODEL_CARD.md").read_text()


# -- batch norm, and blocks that are left out


@pytest.mark.parametrize("eps", [1e-5, 1e-3, 0.3])
def test_batch_norm_adds_what_the_json_says(eps: float, tmp_path: Path) -> None:
    document = small_document()
    document["bn"]["eps"] = eps
    files = ofa_files(document, tmp_path)
    out = exported(files, tmp_path / "out", "--formats", "onnx")
    pixels = images(8)
    found = onnx_scores(out / "base-fp32.onnx", pixels)
    np.testing.assert_allclose(found, files.scores(pixels), **CLOSE)
    assert json.loads((out / "architecture.json").read_text())["bn"]["eps"] == eps


def test_blocks_that_are_left_out_keep_their_numbers_in_a_checkpoint(tmp_path: Path) -> None:
    document: dict[str, Any] = small_document()
    first, *rest = document["blocks"]
    document["blocks"] = [first, skipped(), skipped(), *rest, skipped()]
    files = ofa_files(document, tmp_path)
    out = exported(files, tmp_path / "out", "--formats", "onnx")
    pixels = images(8)
    found = onnx_scores(out / "base-fp32.onnx", pixels)
    np.testing.assert_allclose(found, files.scores(pixels), **CLOSE)


# -- images


@pytest.mark.parametrize(
    ("name", "mean", "std"), [("imagenet", *IMAGENET), ("unit", (0.0,), (1.0,))]
)
def test_the_normalisation_of_the_weights_goes_into_the_first_layer(
    name: str, mean: tuple[float, ...], std: tuple[float, ...], tmp_path: Path
) -> None:
    files = ofa_files(small_document(), tmp_path, (mean, std))
    pixels = images(8)
    wanted = files.scores(pixels, (mean, std))
    out = exported(files, tmp_path / "out", "--formats", "onnx", "--normalisation", name)
    found = onnx_scores(out / "base-fp32.onnx", pixels)
    np.testing.assert_allclose(found, wanted, **CLOSE)
    trained_on = yaml.safe_load((out / "pair.yaml").read_text())["provenance"]["trained_on"]
    assert trained_on == {"mean": list(mean), "std": list(std)}
    plain = exported(files, tmp_path / "plain", "--formats", "onnx")
    unasked = onnx_scores(plain / "base-fp32.onnx", pixels)
    np.testing.assert_allclose(unasked, files.scores(pixels), **CLOSE)
    assert np.abs(unasked - wanted).max() > 0.1


def test_int8_is_calibrated_on_what_the_network_then_reads(tmp_path: Path) -> None:
    files = ofa_files(small_document(), tmp_path, IMAGENET)
    job = NetworkJob(
        files.arch, files.weights, tmp_path / "out", (), normalisation=NAMED["imagenet"]
    )
    graph = job.network()[0].graph
    assert graph is not None
    pixels, output = images(32), graph.ops[-1].output
    steps = run_int8(graph, int8_image(pixels))[-1].reshape(len(pixels), -1)
    wanted = files.scores(pixels, IMAGENET)
    found = (steps - np.float32(output.zero)) * output.scale
    assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.97


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--normalisation", "cifar"], "'cifar' is none: expected half, imagenet, unit"),
        (["--normalisation", "0.5,0.5/1"], "--normalisation does not fit"),
    ],
)
def test_other_normalisations_are_refused(
    flags: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ofa_files(small_document(), tmp_path)
    assert says in refused(["export", *files.flags, "--out", str(tmp_path / "o"), *flags], capsys)


def test_a_shift_needs_a_batch_norm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = small_document()
    document["first_conv"]["use_bn"] = False
    files = ofa_files(document, tmp_path)
    flags = ["export", *files.flags, "--out", str(tmp_path / "o"), "--normalisation", "imagenet"]
    assert "has no batch norm" in refused(flags, capsys)


def test_verify_reads_the_same_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[NetworkJob] = []

    def subject(job: NetworkJob, board: str, images: int) -> None:
        asked.append(job)
        raise InputError("enough")

    monkeypatch.setattr("hybrid_nas.verify.compiler.Compiler.find", lambda: None)
    monkeypatch.setattr("hybrid_nas.verify.subject.files_subject", subject)
    flags = ["verify", "--arch", "a.json", "--weights", "w.pth", "--out", str(tmp_path / "out")]
    assert main([*flags, "--normalisation", "imagenet"]) == main(flags) == 2
    assert [job.normalisation for job in asked] == [NAMED["imagenet"], NAMED["half"]]


# -- a 1x1 convolution with a shortcut, on one pixel


def test_a_shortcut_on_one_pixel_is_in_every_format(tmp_path: Path) -> None:
    files = ofa_files(small_document(), tmp_path)
    pixels = images(16)
    network, _ = NetworkJob(files.arch, files.weights, tmp_path / "out", ()).network()
    graph = network.graph
    assert graph is not None
    assert [spec.op for spec in graph.specs].count("add") == 1
    output = graph.ops[-1].output
    outputs = run_int8(graph, int8_image(pixels))
    steps = outputs[-1].reshape(len(pixels), -1)

    wanted = files.scores(pixels)
    found = onnx_scores(exported(files, tmp_path / "out") / "base-fp32.onnx", pixels)
    np.testing.assert_allclose(found, wanted, **CLOSE)
    real = (steps - np.float32(output.zero)) * output.scale
    assert np.corrcoef(real.ravel(), wanted.ravel())[0, 1] > 0.9

    int8 = onnx_scores(tmp_path / "out" / "base-int8.onnx", pixels)
    assert np.abs(np.rint(int8 / output.scale) + output.zero - steps).max() <= 1
    host = HostNetwork(CNetwork.of(network), tmp_path / "c")
    for place, image in enumerate(pixels):
        assert np.array_equal(host.run(image).scores, steps[place])
        for made, right in zip(host.traced(), outputs, strict=True):
            assert np.array_equal(made, right[place].reshape(made.shape))
    costs = estimate(network.architecture, load_board("stm32f746"), load_runtime("hnas-c"))
    assert costs.sram_bytes == host.project.plan.arena_bytes + 512  # docs/verify.md
    assert costs.flash_bytes == host.project.constant_bytes + 10_400 + 28 * len(graph.ops)

    pytest.importorskip("ai_edge_litert", reason="LiteRT (ai-edge-litert) is not installed")
    judge = LiteRt(tflite_bytes(network))
    assert np.array_equal(np.stack([judge.scores(one) for one in int8_image(pixels)]), steps)
