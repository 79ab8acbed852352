"""Cloud models: ONNX files of every input form, files of predictions, and what is refused."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from hybrid_nas.data.cloud import CloudModel, CloudOutputs, cloud_outputs, open_cloud
from hybrid_nas.data.dataset import SPLITS, Dataset, ImageSet
from hybrid_nas.data.digits import DigitsDataset, Rendering
from hybrid_nas.data.normalisation import NAMED, Normalisation, parse_normalisation
from hybrid_nas.data.npz import NpzDataset
from hybrid_nas.data.onnx_cloud import OnnxCloud
from hybrid_nas.data.predictions_cloud import PredictionsCloud
from hybrid_nas.data.stored import StoredDataset
from hybrid_nas.errors import InputError

Arrays = dict[str, np.ndarray]
Side = int | str
_CHANNELS, _CLASSES = 3, 4
_WEIGHTS = np.random.default_rng(5).normal(size=(_CHANNELS, _CLASSES)).astype(np.float32) * 3


def _write_model(
    path: Path,
    shape: tuple[Side, ...],
    *,
    dtype: int = TensorProto.FLOAT,
    softmax: bool = False,
    channels_first: bool = True,
    classes: int = _CLASSES,
) -> Path:
    """A model whose logits are a linear map of each channel's mean."""
    axes = numpy_helper.from_array(
        np.array([2, 3] if channels_first else [1, 2], np.int64), name="axes"
    )
    weights = numpy_helper.from_array(_WEIGHTS[:, :classes], name="weights")
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["logits"]),
        helper.make_node("Softmax" if softmax else "Identity", ["logits"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "means",
        [helper.make_tensor_value_info("image", dtype, list(shape))],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [shape[0], classes])],
        [axes, weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


def _write_pixel_model(path: Path, shape: tuple[Side, ...]) -> Path:
    """A model whose scores are the pixels: as many as an image has."""
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["image"], ["scores"])],
        "pixels",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", "k"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


@pytest.fixture
def photos() -> ImageSet:
    images = np.random.default_rng(6).integers(0, 256, (70, 8, 6, 3), dtype=np.uint8)
    images[:, :, :, 0] //= np.arange(1, 71, dtype=np.uint8)[:, None, None]
    return ImageSet(images, np.arange(70) % _CLASSES, np.arange(70))


def _expected_logits(images: np.ndarray, mean: float = 0.5, std: float = 0.5) -> np.ndarray:
    means = ((images.astype(np.float64) / 255 - mean) / std).mean(axis=(1, 2))
    return means @ _WEIGHTS.astype(np.float64)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("shape", "channels_first"),
    [
        (("n", 3, 8, 6), True),
        (("n", 8, 6, 3), False),
        ((1, 3, 8, 6), True),
        ((16, 8, 6, 3), False),
        (("n", 3, "h", "w"), True),
        (("n", "h", "w", 3), False),
        (("n", "c", "h", "w"), True),
    ],
)
@pytest.mark.parametrize("softmax", [False, True])
def test_axes_sizes_and_batches_are_read_from_the_model(
    tmp_path: Path,
    photos: ImageSet,
    shape: tuple[Side, ...],
    channels_first: bool,
    softmax: bool,
) -> None:
    path = _write_model(tmp_path / "m.onnx", shape, channels_first=channels_first, softmax=softmax)
    cloud = OnnxCloud(path, n_classes=_CLASSES, channels=3)
    outputs = cloud.predict(photos)
    expected = _expected_logits(photos.images)
    assert isinstance(cloud, CloudModel)
    assert np.array_equal(outputs.pred, expected.argmax(axis=1))
    assert outputs.probs == pytest.approx(_softmax(expected), abs=1e-5)


def test_bytes_go_in_as_they_are_where_the_model_takes_them(
    tmp_path: Path, photos: ImageSet
) -> None:
    path = _write_model(tmp_path / "m.onnx", ("n", 3, 8, 6), dtype=TensorProto.UINT8)
    outputs = OnnxCloud(path, n_classes=_CLASSES, channels=3).predict(photos)
    expected = photos.images.astype(np.float64).mean(axis=(1, 2)) @ _WEIGHTS
    assert np.array_equal(outputs.pred, expected.argmax(axis=1))


def test_normalisation_is_applied_and_part_of_the_fingerprint(
    tmp_path: Path, photos: ImageSet
) -> None:
    path = _write_model(tmp_path / "m.onnx", ("n", 3, 8, 6), dtype=TensorProto.FLOAT16)
    imagenet = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    cloud = OnnxCloud(path, n_classes=_CLASSES, channels=3, normalisation=imagenet)
    pixels = (photos.images / 255 - np.array(imagenet.mean)) / np.array(imagenet.std)
    expected = _softmax(pixels.mean(axis=(1, 2)) @ _WEIGHTS)
    assert cloud.predict(photos).probs == pytest.approx(expected, abs=5e-3)
    default = OnnxCloud(path, n_classes=_CLASSES, channels=3)
    assert default.fingerprint != cloud.fingerprint
    with pytest.raises(InputError, match="mean has 2 values"):
        OnnxCloud(path, n_classes=4, channels=3, normalisation=Normalisation((0.5, 0.5), (1.0,)))
    with pytest.raises(InputError, match="std above zero"):
        Normalisation((0.5,), (0.0,))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("half", Normalisation((0.5,), (0.5,))),
        ("unit", Normalisation((0.0,), (1.0,))),
        ("0.1307/0.3081", Normalisation((0.1307,), (0.3081,))),
        ("0.485,0.456,0.406/0.229,0.224,0.225", NAMED["imagenet"]),
    ],
)
def test_normalisations_have_names_or_numbers(text: str, expected: Normalisation) -> None:
    assert parse_normalisation(text) == expected


@pytest.mark.parametrize("text", ["", "torch", "0.5", "0.5/", "0.5/x", "0.5/0", "nan/1", "1/2/3"])
def test_other_normalisations_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="normalisation"):
        parse_normalisation(text)


def test_the_rows_of_a_rounded_softmax_are_still_probabilities(
    tmp_path: Path, photos: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = OnnxCloud(
        _write_model(tmp_path / "m.onnx", ("n", 3, 8, 6), softmax=True), n_classes=4, channels=3
    )
    exact = cloud.predict(photos)
    run = cloud._run
    monkeypatch.setattr(cloud, "_run", lambda images: np.round(run(images) * 256) / 256)
    rounded = cloud.predict(photos)
    assert exact.probs is not None and rounded.probs is not None
    assert rounded.probs == pytest.approx(exact.probs, abs=0.01)
    assert rounded.probs.sum(axis=1) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("location", ["weights.bin", "m.onnx.data", "m.onnx_data"])
def test_weights_in_a_file_of_any_name_are_part_of_the_fingerprint(
    tmp_path: Path, photos: ImageSet, location: str
) -> None:
    path = _write_model(tmp_path / "m.onnx", ("n", 3, 8, 6))
    onnx.save(
        onnx.load(path), path, save_as_external_data=True, location=location, size_threshold=64
    )
    before = OnnxCloud(path, n_classes=_CLASSES, channels=3)
    content = bytearray((tmp_path / location).read_bytes())
    at = content.index(_WEIGHTS.tobytes())
    content[at + 3] ^= 0x80  # the sign of the first weight
    (tmp_path / location).write_bytes(bytes(content))
    after = OnnxCloud(path, n_classes=_CLASSES, channels=3)
    assert not np.allclose(after.predict(photos).probs, before.predict(photos).probs)  # type: ignore[arg-type]
    assert after.fingerprint != before.fingerprint


def test_a_model_that_cannot_be_run_says_so_once(
    tmp_path: Path, photos: ImageSet, capfd: pytest.CaptureFixture[str]
) -> None:
    """onnxruntime's own log would come before our line."""
    shape = numpy_helper.from_array(np.array([1, 8 * 6 * 3], np.int64), name="shape")
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["image", "shape"], ["scores"])],
        "one image only",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 8, 6])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 8 * 6 * 3])],
        [shape],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "one.onnx")
    cloud = OnnxCloud(tmp_path / "one.onnx", n_classes=8 * 6 * 3, channels=3)
    with pytest.raises(InputError, match=r"one\.onnx cannot be run"):
        cloud.predict(photos)
    assert capfd.readouterr() == ("", "")


def test_images_are_resized_to_a_fixed_input(tmp_path: Path, photos: ImageSet) -> None:
    path = _write_model(tmp_path / "m.onnx", ("n", 3, 5, 11))
    outputs = OnnxCloud(path, n_classes=_CLASSES, channels=3).predict(photos)
    resized = np.stack(
        [
            np.asarray(Image.fromarray(image).resize((11, 5), Image.Resampling.BILINEAR))
            for image in photos.images
        ]
    )
    assert outputs.probs == pytest.approx(_softmax(_expected_logits(resized)), abs=0.02)


def test_grey_images_are_repeated_for_a_colour_model(tmp_path: Path, photos: ImageSet) -> None:
    path = _write_model(tmp_path / "m.onnx", ("n", 3, 8, 6))
    grey = ImageSet(photos.images[..., :1], photos.labels, photos.groups)
    outputs = OnnxCloud(path, n_classes=_CLASSES, channels=1).predict(grey)
    expected = _expected_logits(np.repeat(grey.images, 3, axis=3))
    assert outputs.probs == pytest.approx(_softmax(expected), abs=1e-5)


def test_logits_can_be_told_from_probabilities_by_hand(tmp_path: Path, photos: ImageSet) -> None:
    path = _write_model(tmp_path / "m.onnx", ("n", 3, 8, 6), softmax=True)
    forced = OnnxCloud(path, n_classes=_CLASSES, channels=3, outputs="logits").predict(photos)
    given = _softmax(_expected_logits(photos.images))
    assert forced.probs == pytest.approx(_softmax(given), abs=1e-5)


def test_no_images_give_no_answers(tmp_path: Path, photos: ImageSet) -> None:
    path = _write_model(tmp_path / "m.onnx", ("n", 3, 8, 6))
    outputs = OnnxCloud(path, n_classes=4, channels=3).predict(photos.take(np.arange(0)))
    assert len(outputs.pred) == 0 and outputs.probs is not None


def test_models_that_do_not_fit_are_refused(tmp_path: Path, photos: ImageSet) -> None:
    path = _write_model(tmp_path / "m.onnx", ("n", 3, 8, 6))
    with pytest.raises(InputError, match=r"outputs of 4 values per image: expected 10"):
        OnnxCloud(path, n_classes=10, channels=3)
    with pytest.raises(InputError, match="takes images of 3 channels, the data set has 2"):
        two = ImageSet(photos.images[..., :2], photos.labels, photos.groups)
        OnnxCloud(path, n_classes=4, channels=2).predict(two)
    integers = _write_model(tmp_path / "i.onnx", ("n", 3, 8, 6), dtype=TensorProto.INT8)
    with pytest.raises(InputError, match=r"input of tensor\(int8\)"):
        OnnxCloud(integers, n_classes=4, channels=3)
    strange = _write_pixel_model(tmp_path / "s.onnx", ("n", 5, 8, 7))
    with pytest.raises(InputError, match="5x8x7, of which neither the first nor the last"):
        OnnxCloud(strange, n_classes=280, channels=3)
    flat = _write_pixel_model(tmp_path / "f.onnx", ("n", 3, 8))
    with pytest.raises(InputError, match="expected one, of shape"):
        OnnxCloud(flat, n_classes=24, channels=3)


def test_an_open_number_of_outputs_is_checked_when_it_is_known(
    tmp_path: Path, photos: ImageSet
) -> None:
    path = _write_pixel_model(tmp_path / "o.onnx", ("n", 1, "h", "w"))
    grey = ImageSet(photos.images[..., :1], photos.labels, photos.groups)
    fits = OnnxCloud(path, n_classes=48, channels=1).predict(grey)
    assert np.array_equal(fits.pred, grey.images.reshape(70, 48).argmax(axis=1))
    with pytest.raises(InputError, match=r"o\.onnx answers .* expected 10 classes"):
        OnnxCloud(path, n_classes=10, channels=1).predict(grey)


@pytest.mark.parametrize("content", [b"", b"not a model", None])
def test_damaged_model_files_are_refused_in_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = _write_model(tmp_path / "m.onnx", ("n", 3, 8, 6))
    path.write_bytes(path.read_bytes()[:150] if content is None else content)
    with pytest.raises(InputError, match=r"m\.onnx") as caught:
        OnnxCloud(path, n_classes=4, channels=3)
    assert "\n" not in str(caught.value)


@pytest.fixture
def dataset(npz_arrays: Arrays, write_npz: Callable[..., Path]) -> StoredDataset:
    return NpzDataset(write_npz(npz_arrays))


def _logits_by_split(dataset: Dataset, seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)
    shape = len(dataset.classes)
    return {name: rng.normal(size=(len(dataset.split(name)), shape)) for name in SPLITS}


def test_predictions_by_split_are_taken_as_they_are(
    dataset: StoredDataset, write_npz: Callable[..., Path]
) -> None:
    logits = _logits_by_split(dataset)
    arrays = {
        "train_pred": logits["train"].argmax(axis=1),
        "fit_logits": logits["fit"],
        "threshold_probs": _softmax(logits["threshold"]),
        "score_pred": logits["score"].argmax(axis=1),
        "test_logits": logits["test"].astype(np.float32),
    }
    cloud = PredictionsCloud(write_npz(arrays, "answers.npz"), dataset)
    assert isinstance(cloud, CloudModel) and cloud.name == "answers.npz"
    for name in SPLITS:
        outputs = cloud_outputs(cloud, dataset, name)
        assert np.array_equal(outputs.pred, logits[name].argmax(axis=1))
        if name in ("fit", "threshold", "test"):
            assert outputs.probs == pytest.approx(_softmax(logits[name]), abs=1e-6)
        else:
            assert outputs.probs is None


def test_predictions_of_whole_pools_are_divided_like_the_images(
    dataset: StoredDataset, npz_arrays: Arrays, write_npz: Callable[..., Path]
) -> None:
    """A cloud that always answers the label is right on every split."""
    arrays = {
        "val_pred": npz_arrays["y_val"],
        "val_labels": npz_arrays["y_val"],
        "test_pred": npz_arrays["y_test"],
    }
    cloud = PredictionsCloud(write_npz(arrays, "answers.npz"), dataset)
    for name in ("fit", "threshold", "score", "test"):
        labels = dataset.split(name).labels  # type: ignore[arg-type]
        assert np.array_equal(cloud_outputs(cloud, dataset, name).pred, labels)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no predictions for train"):
        cloud_outputs(cloud, dataset, "train")


def test_one_pool_may_leave_the_prefix_out(
    npz_arrays: Arrays, write_npz: Callable[..., Path]
) -> None:
    pool = {"images": npz_arrays["x_val"], "labels": npz_arrays["y_val"]}
    dataset = NpzDataset(write_npz(pool))
    probs = np.eye(3)[npz_arrays["y_val"]]
    cloud = PredictionsCloud(write_npz({"probs": probs}, "answers.npz"), dataset)
    for name in SPLITS:
        assert np.array_equal(cloud_outputs(cloud, dataset, name).pred, dataset.labels(name))


def test_images_are_recognised_by_their_pixels(
    dataset: StoredDataset, npz_arrays: Arrays, write_npz: Callable[..., Path]
) -> None:
    arrays = {"val_pred": npz_arrays["y_val"], "test_pred": npz_arrays["y_test"]}
    cloud = PredictionsCloud(write_npz(arrays, "answers.npz"), dataset)
    some = dataset.split("score").take(np.array([5, 0, 11]))
    assert np.array_equal(cloud.predict(some).pred, some.labels)
    strange = ImageSet(some.images ^ 255, some.labels, some.groups)
    with pytest.raises(InputError, match="cannot answer for image 0"):
        cloud.predict(strange)


def test_rendered_data_takes_predictions_by_split(
    write_npz: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {"train": 1, "fit": 1, "threshold": 1, "score": 1, "test": 1}
    monkeypatch.setattr("hybrid_nas.data.digits.RENDERINGS_PER_DIGIT", few)
    digits = DigitsDataset(Rendering(image_size=8))
    arrays = {f"{name}_pred": digits.split(name).labels for name in SPLITS[1:]}
    cloud = PredictionsCloud(write_npz(arrays, "answers.npz"), digits)
    assert np.array_equal(cloud_outputs(cloud, digits, "test").pred, digits.split("test").labels)
    arrays["score_pred"] = arrays["score_pred"][1:]
    with pytest.raises(InputError, match="score_pred has 199 rows, score has 200 images"):
        PredictionsCloud(write_npz(arrays, "answers.npz"), digits)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_pred": None}, "no predictions for test"),
        ({"val_pred": None}, "no predictions for fit, threshold, score"),
        ({"val_pred": np.zeros(119, np.int64)}, "val_pred has 119 rows, the pool val has 120"),
        ({"test_pred": np.zeros(7, np.int64)}, "test_pred has 7 rows"),
        ({"val_pred": np.full(120, 3)}, "predicts class 3: expected 0 .. 2"),
        ({"val_pred": np.full(120, -1)}, "predicts class -1"),
        ({"val_pred": np.zeros(120)}, "val_pred is float64"),
        ({"val_logits": np.zeros((120, 4))}, "val_logits is float64 of shape (120, 4)"),
        ({"val_logits": np.zeros((119, 3))}, "row counts differ"),
        ({"val_logits": np.full((120, 3), np.nan)}, "not finite"),
        ({"val_probs": np.ones((120, 3))}, "not probabilities"),
        ({"val_labels": np.arange(120) % 3}, "the rows are in another order"),
    ],
)
def test_bad_prediction_files_are_refused(
    dataset: StoredDataset,
    npz_arrays: Arrays,
    write_npz: Callable[..., Path],
    changes: dict[str, np.ndarray | None],
    message: str,
) -> None:
    arrays = {"val_pred": npz_arrays["y_val"], "test_pred": npz_arrays["y_test"], **changes}
    kept = {key: array for key, array in arrays.items() if array is not None}
    with pytest.raises(InputError) as caught:
        PredictionsCloud(write_npz(kept, "answers.npz"), dataset)
    assert message in str(caught.value) and "\n" not in str(caught.value)


class _CountingCloud:
    name = "counting"
    fingerprint = "counting-0"

    def __init__(self) -> None:
        self.calls = 0

    def predict(self, images: ImageSet) -> CloudOutputs:
        self.calls += 1
        return CloudOutputs(images.labels)


def test_a_split_is_predicted_once(dataset: StoredDataset) -> None:
    cloud = _CountingCloud()
    first = cloud_outputs(cloud, dataset, "fit")
    assert cloud_outputs(cloud, dataset, "fit") is first
    assert cloud.calls == 1
    cloud_outputs(cloud, dataset, "score")
    assert cloud.calls == 2


def test_outputs_of_other_classes_are_refused(dataset: StoredDataset) -> None:
    class Other(_CountingCloud):
        fingerprint = "other"

        def predict(self, images: ImageSet) -> CloudOutputs:
            return CloudOutputs(images.labels, np.full((len(images), 7), 1 / 7))

    with pytest.raises(InputError, match="tells 7 classes apart, the data set has 3"):
        cloud_outputs(Other(), dataset, "fit")


def test_clouds_are_opened_by_the_files_ending(
    dataset: StoredDataset,
    npz_arrays: Arrays,
    write_npz: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = _write_model(tmp_path / "m.onnx", ("n", 3, 10, 9), classes=3)
    cloud = open_cloud(str(model), dataset, parse_normalisation("0/1"))
    assert isinstance(cloud, OnnxCloud) and cloud.normalisation == Normalisation((0.0,), (1.0,))
    assert len(cloud_outputs(cloud, dataset, "test").pred) == 48
    arrays = {"val_pred": npz_arrays["y_val"], "test_pred": npz_arrays["y_test"]}
    answers = write_npz(arrays, "answers.npz")
    assert isinstance(open_cloud(str(answers), dataset), PredictionsCloud)
    with pytest.raises(InputError, match=r"answers\.npz is no ONNX model"):
        open_cloud(str(answers), dataset, NAMED["imagenet"])
    ours: Any = _CountingCloud()
    ours.classes = dataset.classes
    stand_in = types.ModuleType("hybrid_nas.supernet.cloud")
    stand_in.open_supernet_cloud = lambda path: ours  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "hybrid_nas.supernet.cloud", stand_in)
    (tmp_path / "big.pt").write_bytes(b"")
    assert open_cloud(str(tmp_path / "big.pt"), dataset) is ours
    ours.classes = dataset.classes[::-1]
    with pytest.raises(InputError, match=r"of the cloud model big\.pt is .* another order"):
        open_cloud(str(tmp_path / "big.pt"), dataset)
    ours.classes = dataset.classes[1:]
    with pytest.raises(InputError, match=r"big\.pt tells 2 classes apart"):
        open_cloud(str(tmp_path / "big.pt"), dataset)


def test_anything_else_is_refused_with_what_is_understood(
    dataset: StoredDataset, tmp_path: Path
) -> None:
    (tmp_path / "model.pkl").write_bytes(b"")
    for name, start in (("model.pkl", "is no cloud model"), ("none.onnx", "no cloud model at")):
        with pytest.raises(InputError, match=start) as caught:
            open_cloud(str(tmp_path / name), dataset)
        assert ".onnx" in str(caught.value) and ".npz" in str(caught.value)


def test_the_data_room_imports_neither_supernet_nor_torch() -> None:
    import subprocess

    code = (
        "import sys, hybrid_nas.data.sources, hybrid_nas.data.cloud, "
        "hybrid_nas.data.onnx_cloud, hybrid_nas.data.predictions_cloud\n"
        "print([m for m in sys.modules if m == 'torch' or m.startswith('hybrid_nas.supernet')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
