"""Bases and pairs as ONNX files: against torch, the integer reference, and each other."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from hybrid_nas.data.dataset import ImageSet
from hybrid_nas.errors import HybridNasError, InputError
from hybrid_nas.export.int8_outputs import as_model_outputs, int8_outputs, network_pixels
from hybrid_nas.export.network import ExportedNetwork, Precision
from hybrid_nas.export.onnx_compare import compare
from hybrid_nas.export.onnx_metadata import CalibrationData, Provenance, properties_of
from hybrid_nas.export.onnx_models import (
    base_model,
    pair_model,
    router_model,
    to_bytes,
    write_onnx,
)
from hybrid_nas.export.onnx_run import INTEGER_KERNELS, OnnxFile
from hybrid_nas.quantise.fake_quant import FakeQuantNet
from hybrid_nas.quantise.float_graph import float_graph
from hybrid_nas.quantise.int8_graph import int8_graph
from hybrid_nas.routing.designs import design
from hybrid_nas.routing.fitted import FittedRouter
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.signals import signal_matrix
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.supernet.preprocess import prepare
from tests.export.onnx_networks import CLASSES, CUT, exported, exported_float, halved, random_router
from tests.quantise.networks import calibrated_network, grey_levels

PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")


def labelled(images: np.ndarray) -> ImageSet:
    n = len(images)
    return ImageSet(images, np.arange(n) % len(CLASSES), np.arange(n))


@pytest.mark.parametrize(
    ("space", "shape"),
    [
        ("mcunet", (40, 40, 3)),
        ("mcunet", (49, 10, 1)),
        ("ofa-mbv3-w1.0", (40, 40, 3)),
        ("ofa-proxyless-w1.3", (40, 40, 3)),
        ("ofa-resnet50", (49, 49, 3)),
    ],
)
def test_float32_computes_what_the_network_does(space: str, shape: tuple[int, int, int]) -> None:
    network = calibrated_network(space, 0, shape)
    pixels = grey_levels(shape, 3)
    found = OnnxFile(to_bytes(base_model(exported_float(network), "fp32"))).each(image=pixels)
    with torch.inference_mode():
        features, scores = network.run(prepare(pixels, shape[:2]))
    scale = float(scores.abs().max())
    np.testing.assert_allclose(found["scores"], scores.numpy(), atol=1e-4 * scale)
    np.testing.assert_allclose(found["features"], features.flatten(1).numpy(), atol=1e-3)
    assert found["scores"].std(0).max() > 0.05 * scale  # the image matters


def test_int8_gives_the_scores_of_the_integer_reference() -> None:
    network = exported("mcunet", 1)
    assert network.graph is not None
    pixels = grey_levels(network.architecture.input_shape, 12)
    reference = int8_outputs(network.graph, pixels, (CUT,))
    wanted = as_model_outputs(network.graph, reference, labelled(pixels), (CUT,), "reference")
    content = to_bytes(base_model(network, "int8", cuts=(CUT,)))
    for integer_kernels in (True, False):
        found = OnnxFile(content, integer_kernels=integer_kernels).each(image=pixels)
        for name, expected, index in (
            ("scores", wanted.logits, len(network.graph.ops) - 1),
            ("features", wanted.features, network.graph.features_index),
            ("stage1", wanted.stage_features[0], CUT),
        ):
            assert expected is not None and found[name].shape == expected.shape
            steps = np.abs(found[name] - expected).max(1) / network.graph.affine(index).scale
            # a step where rounding differs; layers without a training make more of it, and more
            assert name != "stage1" or steps.max() < 2, (name, steps)


def test_int8_is_integer_kernels_alone(tmp_path: Path) -> None:
    """None is left in float in onnxruntime's optimised graph."""
    network = exported("mcunet", 1)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 4
    for key, value in INTEGER_KERNELS.items():
        options.add_session_config_entry(key, value)
    content = to_bytes(base_model(network, "int8"))
    onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(tmp_path / "optimised.onnx").graph.node
    kernels = Counter(node.op_type for node in nodes)
    kinds = Counter(spec.op for spec in network.architecture.ops)
    assert kernels["QLinearConv"] == kinds["conv"] + kinds["dwconv"]
    assert kernels["QLinearAdd"] == kinds["add"] > 0
    assert kernels["QGemm"] == kernels["QLinearGlobalAveragePool"] == 1
    assert not kernels.keys() & {"Conv", "Gemm", "Add", "Clip", "Relu"}


def test_int8_is_refused_where_there_are_no_kernels() -> None:
    network = exported_float(calibrated_network("ofa-mbv3-w1.0"))
    with pytest.raises(InputError, match=r"net has operators without an int8 kernel .*fp32"):
        base_model(network, "int8")


def pair_and_parts(
    precision: Precision, router: FittedRouter, cuts: tuple[int, ...] = ()
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray]]:
    network = exported("mcunet", 1)
    pixels = grey_levels(network.architecture.input_shape, 8)
    base = OnnxFile(to_bytes(base_model(network, precision, cuts=cuts))).each(image=pixels)
    alone = OnnxFile(to_bytes(router_model(router, 0.5)))
    routed = alone.each(**{name: base[name] for name in alone.inputs})
    pair = to_bytes(pair_model(network, precision, router, 0.5, cuts=cuts))
    return OnnxFile(pair).each(image=pixels), base, routed


def fitted_to(network: ExportedNetwork, kind: str, cuts: tuple[int, ...] = ()) -> FittedRouter:
    """Random weights; the threshold keeps half of some images."""
    pixels = grey_levels(network.architecture.input_shape, 8)
    found = OnnxFile(to_bytes(base_model(network, "fp32", cuts=cuts))).each(image=pixels)
    stages = tuple(found[f"stage{k}"] for k in range(1, len(cuts) + 1))
    outputs = ModelOutputs(
        logits=found["scores"], features=found["features"], stage_features=stages
    )
    width = design(kind).n_features(outputs)
    router = random_router(design(kind), "oracle-label", len(CLASSES), width)
    assert router.network is not None
    signals = signal_matrix(outputs, design(kind).blocks, len(CLASSES))
    mean, scale = signals.mean(0), np.maximum(signals.std(0), 1e-2)
    standardised = replace(router.network, mean=mean, scale=scale)
    return halved(replace(router, network=standardised), outputs)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", ["mlp8-features", "linear-stats", "linear-stage2"])
def test_a_pair_is_base_and_router(precision: Precision, kind: str) -> None:
    cuts = (2, CUT) if design(kind).cut else ()
    router = fitted_to(exported("mcunet", 1), kind, cuts)
    pair, base, routed = pair_and_parts(precision, router, cuts)
    assert list(pair) == ["class", "scores", "send", "send_score"]
    np.testing.assert_array_equal(pair["scores"], base["scores"])
    np.testing.assert_array_equal(pair["class"], base["scores"].argmax(1))
    np.testing.assert_allclose(pair["send_score"], routed["send_score"], atol=1e-5)
    np.testing.assert_array_equal(pair["send"], routed["send_score"] > router.thresholds[0.5])
    assert pair["class"].dtype == np.int64 and pair["send"].dtype == bool
    if precision == "fp32":
        assert pair["send"].sum() == 4


def test_a_router_of_another_base_is_refused() -> None:
    network = exported("mcunet", 1)
    router = halved_unfitted("linear-features", 7)
    with pytest.raises(InputError, match=r"reads 7 features and net has \d+: use the router"):
        pair_model(network, "fp32", router, 0.5)
    with pytest.raises(InputError, match="reads 7 stage1 and net has none"):
        pair_model(network, "fp32", halved_unfitted("linear-stage1", 7), 0.5)
    many = replace(router, n_classes=11)
    with pytest.raises(InputError, match="reads 11 scores and net has 10"):
        pair_model(network, "fp32", many, 0.5)


def halved_unfitted(kind: str, n_features: int) -> FittedRouter:
    router = random_router(design(kind), "oracle-label", len(CLASSES), n_features)
    return replace(router, thresholds={0.5: 0.5})


# -- files


def test_the_file_says_what_it_is() -> None:
    network = exported("mcunet", 1)
    router = fitted_to(network, "linear-stats")
    provenance = Provenance(CalibrationData("digits, split train", 256, "ab" * 32), {"run": "r1"})
    model = pair_model(network, "int8", router, 0.5, provenance=provenance)
    said = properties_of(onnx.load_from_string(to_bytes(model)))
    assert model.producer_name == "hybrid-nas"
    assert said["opset"] == str(model.opset_import[0].version) == "17"
    assert json.loads(said["classes"]) == list(CLASSES)
    assert json.loads(said["thresholds"])["0.5"] == router.thresholds[0.5]
    assert json.loads(said["calibration"]) == {
        "data": "digits, split train", "images": 256, "sha256": "ab" * 32,
    }  # fmt: skip
    assert json.loads(said["preprocessing"])["channels"] == "RGB"
    assert (said["coverage"], said["run"], said["part"]) == ("0.5", "r1", "pair")
    height, width, _ = network.architecture.input_shape
    image = model.graph.input[0].type.tensor_type
    assert [axis.dim_value for axis in image.shape.dim] == [1, height, width, 3]
    assert image.elem_type == onnx.TensorProto.UINT8
    assert "calibration" not in properties_of(base_model(network, "fp32", provenance=provenance))


def test_the_same_network_gives_the_same_bytes() -> None:
    again = exported.__wrapped__("mcunet", 1)
    for precision in PRECISIONS:
        content = to_bytes(base_model(exported("mcunet", 1), precision))
        assert content == to_bytes(base_model(again, precision))


def test_scales_and_weights_are_the_graphs() -> None:
    network = exported("mcunet", 1)
    assert network.graph is not None
    constants = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in base_model(network, "int8").graph.initializer
    }
    for index, op in enumerate(network.graph.ops):
        if op.weight is None:
            continue
        stored = constants[f"op{index}_weight"]
        assert stored.dtype == np.int8 and stored.shape[0] == op.spec.cout
        assert np.sort(stored, axis=None).tolist() == np.sort(op.weight, axis=None).tolist()
        np.testing.assert_array_equal(constants[f"op{index}_weight_scale"], op.scales)
        np.testing.assert_array_equal(constants[f"op{index}_bias"], op.bias)


def test_a_graph_that_is_not_valid_is_not_written(tmp_path: Path) -> None:
    model = router_model(halved_unfitted("linear-stats", 0), 0.5)
    model.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(HybridNasError, match="ONNX graph is not valid"):
        write_onnx(model, tmp_path / "router.onnx")
    assert not (tmp_path / "router.onnx").exists()
    with pytest.raises(HybridNasError, match="onnxruntime"):
        OnnxFile(model.SerializeToString())


# -- comparison


def test_compare_runs_the_files_on_labelled_images(tmp_path: Path) -> None:
    network = exported("mcunet", 1)
    files = {}
    for precision in PRECISIONS:
        files[precision] = tmp_path / f"{precision}.onnx"
        write_onnx(base_model(network, precision), files[precision])
    height, width, channels = network.architecture.input_shape
    stored = labelled(grey_levels((height + 8, width + 3, channels), 10))  # resized inside
    with torch.inference_mode():
        pixels = prepare(stored.images, (height, width))
        right = calibrated_network("mcunet", 1)(pixels).argmax(1).numpy()
    images = ImageSet(stored.images, right, stored.groups)
    found = compare(network, files, images)
    assert found.of["fp32"].accuracy == found.of["fp32"].classes_equal == 1.0
    assert 0 < found.of["fp32"].max_difference < 1e-4
    assert network.graph is not None
    graph = network.graph
    inlet = network_pixels(stored.images, graph.input_shape)
    scores = OnnxFile(files["int8"].read_bytes()).each(image=inlet)["scores"]
    steps = np.rint(scores / graph.ops[-1].output.scale + graph.ops[-1].output.zero)
    reference = int8_outputs(graph, stored.images).scores
    assert found.of["int8"].max_difference == np.abs(steps - reference).max() < 100
    assert found.of["int8"].accuracy == (steps.argmax(1) == right).mean()
    assert found.of["int8"].images == 10
    assert json.loads(json.dumps(found.document()))["int8"]["images"] == 10
    wrong = compare(network, {"int8": files["int8"]}, images, int8_scores=np.eye(10, dtype=np.int8))
    assert wrong.of["int8"].max_difference > 50


def test_a_trained_network_says_the_same_in_both_runtimes() -> None:
    setup = SearchSetup(SearchSettings(threads=1))
    genes = tuple(setup.space.extremes()[0].tolist())
    trained = setup.scorer.runner.network(genes)
    ops = float_graph(trained)
    fake = FakeQuantNet(ops).eval()
    shape = trained.architecture.input_shape
    fake.calibrate([prepare(setup.data.training_images(64, 0).images, shape[:2])])
    graph = int8_graph(fake, shape)
    network = ExportedNetwork("trained", trained.architecture, ops, graph, setup.data.classes)
    images = setup.data.split("threshold").images[:64]
    reference = int8_outputs(graph, images).scores
    content = to_bytes(base_model(network, "int8"))
    scores = OnnxFile(content).each(image=network_pixels(images, shape))["scores"]
    assert (scores.argmax(1) == reference.argmax(1)).mean() >= 0.9
    steps = scores / graph.ops[-1].output.scale + graph.ops[-1].output.zero
    assert np.median(np.abs(steps - reference).max(1)) < 12
