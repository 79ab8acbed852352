"""Data sets in .npz files: what is accepted, how features become bytes, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hybrid_nas.data.npz import NpzDataset
from hybrid_nas.errors import InputError

Arrays = dict[str, np.ndarray]
Writer = Callable[..., Path]


def _refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        NpzDataset(path)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    return message


def test_pools_become_splits_with_their_groups(npz_arrays: Arrays, write_npz: Writer) -> None:
    dataset = NpzDataset(write_npz(npz_arrays))
    assert dataset.image_shape == (10, 9, 3) and dataset.classes == ("0", "1", "2")
    assert np.array_equal(dataset.split("train").images, npz_arrays["x_train"])
    assert np.array_equal(dataset.split("test").images, npz_arrays["x_test"])
    assert np.array_equal(dataset.split("test").labels, npz_arrays["y_test"])
    fit = dataset.part("fit")
    assert np.array_equal(dataset.split("fit").images, npz_arrays["x_val"][fit.index])
    given = npz_arrays["groups_val"][fit.index]
    assert len(set(zip(given, dataset.split("fit").groups, strict=True))) == len(set(given))
    assert np.array_equal(dataset.labels("fit"), dataset.split("fit").labels)


def test_compressed_and_plain_files_have_one_fingerprint(
    npz_arrays: Arrays, write_npz: Writer, tmp_path: Path
) -> None:
    np.savez_compressed(tmp_path / "small.npz", **npz_arrays)
    plain = NpzDataset(write_npz(npz_arrays))
    assert plain.fingerprint == NpzDataset(tmp_path / "small.npz").fingerprint
    for key in ("x_val", "y_val", "groups_test"):
        changed = {**npz_arrays, key: npz_arrays[key].copy()}
        changed[key].flat[-1] += 1 if key != "y_val" else -1
        assert NpzDataset(write_npz(changed, "b.npz")).fingerprint != plain.fingerprint


def test_grey_images_get_a_channel_axis_and_labels_may_be_a_column(write_npz: Writer) -> None:
    arrays = {
        "images": np.random.default_rng(0).integers(0, 256, (60, 8, 6), dtype=np.uint8),
        "labels": (np.arange(60) % 3)[:, None],
    }
    dataset = NpzDataset(write_npz(arrays))
    assert dataset.image_shape == (8, 6, 1)
    assert not dataset.flip
    assert sum(len(dataset.split(name)) for name in ("train", "fit", "threshold", "score")) < 60  # type: ignore[arg-type]


def test_labels_may_be_words_or_any_integers_or_index_named_classes(
    npz_arrays: Arrays, write_npz: Writer
) -> None:
    words = np.array(["yes", "no", "unknown"])
    said = {key: words[old] if key[0] == "y" else old for key, old in npz_arrays.items()}
    dataset = NpzDataset(write_npz(said))
    assert dataset.classes == ("no", "unknown", "yes")
    names = np.array(dataset.classes)[dataset.split("train").labels]
    assert np.array_equal(names, said["y_train"])
    spread = {key: old * 5 - 2 if key[0] == "y" else old for key, old in npz_arrays.items()}
    dataset = NpzDataset(write_npz(spread))
    assert dataset.classes == ("-2", "3", "8")
    assert np.array_equal(dataset.split("train").labels, npz_arrays["y_train"])
    named = NpzDataset(write_npz({**npz_arrays, "classes": np.array(["z", "b", "a", "never"])}))
    assert named.classes == ("z", "b", "a", "never")
    assert np.array_equal(named.split("train").labels, npz_arrays["y_train"])
    assert any("no image of class never" in note for note in named.warnings)
    both = NpzDataset(write_npz({**said, "classes": words}))
    assert both.classes == ("yes", "no", "unknown")
    assert np.array_equal(both.split("train").labels, npz_arrays["y_train"])


def test_float_features_are_stored_by_the_range_of_training_values(write_npz: Writer) -> None:
    rng = np.random.default_rng(0)
    train = rng.normal(3, 20, (80, 49, 10, 1)).astype(np.float32)
    val = rng.normal(3, 30, (100, 49, 10, 1)).astype(np.float32)
    arrays = {"x_train": train, "y_train": np.arange(80) % 2, "x_val": val}
    dataset = NpzDataset(write_npz({**arrays, "y_val": np.arange(100) % 2}))
    assert dataset.image_shape == (49, 10, 1)
    stored = dataset.split("train").images
    step = (float(train.max()) - float(train.min())) / 255
    back = stored * step + float(train.min())
    assert np.abs(back - train).max() <= step / 2 * 1.001
    assert stored.min() == 0 and stored.max() == 255
    assert any("float32 values are stored as uint8" in note for note in dataset.warnings)
    assert any("of the values of x_val lie outside" in note for note in dataset.warnings)


def test_integers_that_are_bytes_are_kept_exactly(npz_arrays: Arrays, write_npz: Writer) -> None:
    wide = {key: old.astype(np.int64) if key[0] == "x" else old for key, old in npz_arrays.items()}
    dataset = NpzDataset(write_npz(wide))
    assert np.array_equal(dataset.split("train").images, npz_arrays["x_train"])
    assert not any("stored as uint8" in note for note in dataset.warnings)


def test_images_can_be_resized(npz_arrays: Arrays, write_npz: Writer) -> None:
    assert NpzDataset(write_npz(npz_arrays), image_size=(5, 7)).image_shape == (5, 7, 3)


def test_unknown_keys_and_groups_given_in_part_are_noted(
    npz_arrays: Arrays, write_npz: Writer
) -> None:
    arrays = {**npz_arrays, "notes": np.zeros(3)}
    del arrays["groups_train"]
    warnings = NpzDataset(write_npz(arrays)).warnings
    assert any("ignored: notes" in note for note in warnings)
    assert any("no groups are given for train" in note for note in warnings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_train": None}, "y_train is missing"),
        ({"x_val": None}, "x_val is missing"),
        ({"x_train": None, "y_train": None, "groups_train": None}, "x_train is missing"),
        ({"images": np.zeros((5, 4, 4))}, "both x_train and images"),
        ({"y_val": np.arange(119) % 3}, "x_val has 120 images and y_val 119 labels"),
        ({"y_val": np.arange(120) % 4}, "y_val has the class 3, which is not among the 3 of y_tr"),
        ({"y_train": np.zeros(60, np.int64)}, "y_train has only the class 0"),
        ({"y_train": np.eye(3)[np.arange(60) % 3]}, "y_train is float64 of shape (60, 3)"),
        ({"y_train": np.arange(60) % 3 + 0.5}, "y_train is float64 of shape (60,)"),
        ({"y_val": np.array(["a"] * 120)}, "labels are strings in one pool"),
        ({"x_val": np.zeros((120, 10, 8, 3), np.uint8)}, "x_val has images of 10x8x3, x_train of"),
        ({"x_val": np.zeros((120, 10), np.uint8)}, "x_val has shape (120, 10)"),
        ({"x_val": np.zeros((120, 10, 9, 3))}, "x_val is float64, x_train uint8"),
        ({"x_train": np.zeros((0, 10, 9, 3), np.uint8)}, "there is nothing in it"),
        ({"x_train": np.zeros((60, 10, 9, 3), np.complex64)}, "x_train is complex64"),
        ({"x_train": np.zeros((60, 3, 32, 32), np.uint8)}, "looks like channels first"),
        ({"groups_val": np.arange(5)}, "groups_val is int64 of shape (5,)"),
        ({"groups_val": np.zeros(120)}, "groups_val is float64"),
        ({"groups_val": np.arange(120) // 2}, "has images in both train and val"),
        ({"groups_val": np.arange(120) % 2 + 500}, "cannot be divided"),
        ({"classes": np.arange(3)}, "classes is int64"),
        ({"classes": np.array(["a", "b", "a"])}, "names a class twice"),
        ({"classes": np.array(["a", "b"])}, "has the class 2, which is not among the 2 of classes"),
    ],
)
def test_mismatches_are_refused(
    npz_arrays: Arrays, write_npz: Writer, changes: dict[str, np.ndarray | None], message: str
) -> None:
    arrays = {**npz_arrays, **{key: value for key, value in changes.items() if value is not None}}
    arrays = {key: value for key, value in arrays.items() if changes.get(key, value) is not None}
    assert message in _refusal(write_npz(arrays))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(write_npz: Writer, bad: float) -> None:
    images = np.random.default_rng(0).normal(size=(60, 8, 8))
    arrays = {"x_train": images.copy(), "y_train": np.arange(60) % 2}
    images[5, 0, 0] = bad
    arrays |= {"x_val": images, "y_val": np.arange(60) % 2}
    assert "x_val have values that are not finite" in _refusal(write_npz(arrays))
    arrays["x_train"] = images
    assert "x_train have values that are not finite" in _refusal(write_npz(arrays))


def test_constant_features_are_refused(write_npz: Writer) -> None:
    arrays = {"images": np.full((60, 8, 8), 0.5), "labels": np.arange(60) % 2}
    assert "there is nothing to learn" in _refusal(write_npz(arrays))


def test_damaged_files_and_pickles_are_refused(
    npz_arrays: Arrays, write_npz: Writer, tmp_path: Path
) -> None:
    whole = write_npz(npz_arrays).read_bytes()
    damaged = tmp_path / "damaged.npz"
    for content in (b"", b"not a zip", whole[:100], whole[: len(whole) // 2], whole[:-10]):
        damaged.write_bytes(content)
        assert "cannot be read as .npz" in _refusal(damaged)
    flipped = bytearray(whole)
    flipped[len(whole) // 4] ^= 255
    damaged.write_bytes(bytes(flipped))
    assert "cannot be read as .npz" in _refusal(damaged)
    np.savez(damaged, images=np.array([{}, None], dtype=object), labels=np.arange(2))
    assert "pickled objects" in _refusal(damaged)
    with damaged.open("wb") as stream:
        np.save(stream, np.zeros(3))
    assert "one array and no names" in _refusal(damaged)
    assert "does not exist" in _refusal(tmp_path / "none.npz")


def test_copies_are_looked_for_within_one_pool_too(write_npz: Writer) -> None:
    """Held out of train by chance, as no group says that they belong together."""
    images = np.random.default_rng(0).integers(0, 256, (80, 8, 8), dtype=np.uint8)
    labels, twice = np.arange(80) % 2, np.tile(images, (2, 1, 1))
    once = NpzDataset(write_npz({"images": images, "labels": labels}))
    assert not any("byte for byte" in note for note in once.warnings)
    arrays = {"images": twice, "labels": np.tile(labels, 2)}
    copied = NpzDataset(write_npz(arrays))
    train = {image.tobytes() for image in copied.split("train").images}
    shared = sum(image.tobytes() in train for image in copied.split("test").images)
    assert shared > 0
    (note,) = [note for note in copied.warnings if "byte for byte" in note]
    assert int(note.split()[0]) >= shared
    grouped = NpzDataset(write_npz({**arrays, "groups": np.tile(np.arange(80), 2)}))
    assert not any("byte for byte" in note for note in grouped.warnings)


@pytest.mark.parametrize(("low", "high"), [(-1.7e308, 1.7e308), (0.0, 5e-324)])
def test_ranges_that_float64_cannot_divide_are_refused(
    write_npz: Writer, low: float, high: float
) -> None:
    x = np.where(np.arange(40)[:, None, None] % 2, low, high) * np.ones((40, 4, 4))
    assert "cannot divide" in _refusal(write_npz({"images": x, "labels": np.arange(40) % 2}))


def test_labels_beyond_int64_are_refused_as_such(write_npz: Writer) -> None:
    x, y = np.zeros((40, 4, 4), np.uint8), np.arange(40, dtype=np.uint64) % 2
    assert NpzDataset(write_npz({"images": x, "labels": y})).classes == ("0", "1")
    y[3] = 2**63
    assert "the label 9223372036854775808" in _refusal(write_npz({"images": x, "labels": y}))
