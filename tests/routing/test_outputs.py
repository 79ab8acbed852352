"""Outputs files: what is read, and one line for each thing that can be wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid_nas.errors import InputError
from hybrid_nas.routing import ModelOutputs, check_pair, load_outputs

LOGITS = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [1.0, 0.0, 4.0], [5.0, 1.0, 1.0]])
LABELS = np.array([0, 1, 2, 1])
PROBS = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


def saved(tmp_path: Path, **arrays: Any) -> Path:
    path = tmp_path / "outputs.npz"
    np.savez(path, **arrays)
    return path


def test_logits_give_predictions_probabilities_and_correctness(tmp_path: Path) -> None:
    outputs = load_outputs(saved(tmp_path, labels=LABELS.astype(np.uint8), logits=LOGITS))
    assert outputs.pred.tolist() == [0, 1, 2, 0]
    assert outputs.correct.tolist() == [True, True, True, False]
    np.testing.assert_allclose(outputs.probs, PROBS)
    assert (outputs.n, outputs.n_classes) == (4, 3)


def test_probabilities_of_an_8_bit_softmax_are_normalised(tmp_path: Path) -> None:
    quantised = np.round(PROBS * 256).clip(0, 255) / 256
    outputs = load_outputs(saved(tmp_path, labels=LABELS, probs=quantised.astype(np.float32)))
    assert outputs.probs is not None
    np.testing.assert_allclose(outputs.probs.sum(axis=1), 1.0, rtol=1e-6)


def test_predictions_alone_are_enough_for_a_cloud(tmp_path: Path) -> None:
    outputs = load_outputs(saved(tmp_path, pred=LABELS))
    assert outputs.probs is None
    assert outputs.n_classes == 3
    with pytest.raises(InputError, match="labels are needed"):
        _ = outputs.correct


def test_group_names_become_numbers(tmp_path: Path) -> None:
    names = np.array(["ann", "bob", "ann", "eve"])
    outputs = load_outputs(saved(tmp_path, logits=LOGITS, groups=names))
    assert outputs.groups is not None
    assert outputs.groups.tolist() == [0, 1, 0, 2]


def test_a_given_prediction_may_break_ties_of_the_scores() -> None:
    tied = np.array([[1.0, 1.0], [0.0, 2.0]])
    assert ModelOutputs(logits=tied, predicted=np.array([1, 1])).pred.tolist() == [1, 1]


def test_rows_are_taken_in_the_order_asked_for() -> None:
    some = ModelOutputs(labels=LABELS, logits=LOGITS).take(np.array([3, 0]))
    assert some.labels is not None
    assert some.labels.tolist() == [1, 0]
    assert some.n_classes == 3


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"labels": LABELS}, "none of the keys logits, probs and pred"),
        ({"logits": LOGITS[0]}, r"logits has shape \(3,\): expected \(n, columns\)"),
        ({"logits": LOGITS[:0]}, "not empty"),
        ({"logits": LOGITS[:, :1]}, "one column"),
        ({"logits": LOGITS * np.nan}, r"logits has NaN or infinity in row 0 \(4 rows"),
        ({"logits": np.where(LOGITS > 3, -np.finfo("f4").max, 0)}, r"beyond 1e\+30 in row 2 \(2 r"),
        ({"logits": LOGITS, "features": LOGITS * 1e300}, r"features has numbers beyond 1e\+30"),
        ({"logits": LOGITS.astype(str)}, "expected floating-point numbers"),
        ({"logits": LOGITS, "labels": LABELS[:3]}, "labels has 3 rows and logits 4"),
        ({"logits": LOGITS, "labels": LABELS * 1.0}, "labels is float64: expected integers"),
        ({"logits": LOGITS, "labels": LABELS - 1}, "labels has -1"),
        ({"logits": LOGITS, "labels": LABELS + 1}, r"labels go up to class 3: expected 0 \.\. 2"),
        ({"logits": LOGITS, "labels": LABELS[:, None]}, r"labels has shape \(4, 1\)"),
        ({"logits": LOGITS, "pred": np.array([0, 1, 2, 2])}, "pred is 2 in row 3"),
        ({"logits": LOGITS, "pred": np.array([0, 1, 2, 9])}, "pred is 9 in row 3"),
        ({"logits": LOGITS, "features": LOGITS[:2]}, "features has 2 rows"),
        ({"logits": LOGITS, "groups": LABELS * 0.5}, "groups is float64"),
        ({"probs": LOGITS}, "probs sums to 7 in row 3"),
        ({"probs": -PROBS}, "probs is negative in row 0"),
        ({"pred": LABELS, "confidence": LABELS * 1.0}, r"confidence ranges over 0 \.\. 2"),
        ({"pred": LABELS, "confidence": PROBS}, r"confidence has shape \(4, 3\)"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key(
    tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    path = saved(tmp_path, **arrays)
    with pytest.raises(InputError, match=message) as caught:
        load_outputs(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pickled_objects_are_refused_and_never_run(tmp_path: Path) -> None:
    path = saved(tmp_path, logits=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match="pickled"):
        load_outputs(path)


@pytest.mark.parametrize("keep", [0, 10, 200])
def test_truncated_files_are_refused(tmp_path: Path, keep: int) -> None:
    path = saved(tmp_path, logits=LOGITS)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"cannot be read as \.npz"):
        load_outputs(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", LOGITS)
    with pytest.raises(InputError, match="holds one array"):
        load_outputs(tmp_path / "one.npy")
    with pytest.raises(InputError, match="does not exist"):
        load_outputs(tmp_path / "none.npz")
    with pytest.raises(InputError, match=r"cannot be read as \.npz"):
        load_outputs(tmp_path)


def test_labels_may_stand_in_either_file() -> None:
    base, cloud = ModelOutputs(logits=LOGITS), ModelOutputs(predicted=LABELS, labels=LABELS)
    base_correct, cloud_correct = check_pair(base, cloud)
    assert base_correct.tolist() == [True, True, True, False]
    assert cloud_correct.all()


@pytest.mark.parametrize(
    ("cloud", "message"),
    [
        (ModelOutputs(predicted=LABELS[:3], source="c.npz"), "c.npz has 3 inputs and b.npz 4"),
        (ModelOutputs(predicted=LABELS, labels=LABELS[::-1], source="c.npz"), "differ on 4 of 4"),
        (ModelOutputs(predicted=LABELS + 7, source="c.npz"), "predictions of c.npz go up to"),
        (ModelOutputs(logits=LOGITS[:, :2], source="c.npz"), "class 2, but c.npz has 2 classes"),
    ],
)
def test_a_pair_must_speak_of_the_same_inputs(cloud: ModelOutputs, message: str) -> None:
    base = ModelOutputs(labels=LABELS, logits=LOGITS, source="b.npz")
    with pytest.raises(InputError, match=message):
        check_pair(base, cloud)


def test_a_pair_needs_labels() -> None:
    with pytest.raises(InputError, match="no labels"):
        check_pair(ModelOutputs(logits=LOGITS), ModelOutputs(predicted=LABELS))
