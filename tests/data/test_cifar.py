"""CIFAR's binary version, bit by bit, and the pickled one refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hybrid_nas.data.cifar import CifarDataset
from hybrid_nas.data.sources import open_dataset
from hybrid_nas.errors import InputError

CifarMaker = Callable[..., Path]


def test_records_are_label_then_planes_row_by_row(make_cifar: CifarMaker) -> None:
    root = make_cifar()
    test = CifarDataset(root).split("test")
    content = (root / "test_batch.bin").read_bytes()
    for record, y, x, channel in ((0, 0, 0, 0), (3, 7, 30, 1), (39, 31, 31, 2)):
        byte = content[record * 3073 + 1 + channel * 1024 + y * 32 + x]
        assert test.images[record, y, x, channel] == byte
    assert test.labels.tolist() == [content[k * 3073] for k in range(40)]


def test_training_batches_follow_in_order_and_splits_are_held_out(make_cifar: CifarMaker) -> None:
    root = make_cifar(records=200)
    dataset = CifarDataset(root)
    assert dataset.flip and dataset.image_shape == (32, 32, 3)
    assert dataset.classes[0] == "airplane" and len(dataset.classes) == 10
    assert dataset.pool_sizes == {"train": 1000, "test": 200}
    part = dataset.part("score")
    batches = [np.fromfile(root / f"data_batch_{k}.bin", np.uint8) for k in range(1, 6)]
    pixels = np.concatenate(batches).reshape(1000, 3073)[part.index, 1:]
    expected = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    assert np.array_equal(dataset.split("score").images, expected)
    assert any("held out of train" in note for note in dataset.warnings)


def test_fine_labels_of_the_hundred_classes_are_taken(make_cifar: CifarMaker) -> None:
    root = make_cifar(300, train=("train.bin",), test="test.bin", classes=100)
    dataset = CifarDataset(root)
    assert len(dataset.classes) == 100
    assert dataset.split("test").labels.tolist() == [k % 100 for k in range(300)]


def test_class_names_in_the_folder_are_used(make_cifar: CifarMaker) -> None:
    root = make_cifar()
    (root / "batches.meta.txt").write_text("\n".join(f"name{k}" for k in range(10)) + "\n\n")
    assert CifarDataset(root).classes == tuple(f"name{k}" for k in range(10))


def test_the_folder_above_and_another_size_are_understood(make_cifar: CifarMaker) -> None:
    root = make_cifar()
    dataset = open_dataset(str(root.parent), image_size=(16, 24))
    assert isinstance(dataset, CifarDataset)
    assert dataset.image_shape == (16, 24, 3)


def test_slices_are_accepted_with_a_note(make_cifar: CifarMaker) -> None:
    warnings = CifarDataset(make_cifar(train=("data_batch_1.bin",))).warnings
    assert any("1 of the 5 training files" in note for note in warnings)
    assert any("data_batch_1.bin has 40 records" in note for note in warnings)


@pytest.mark.parametrize("cut", [1, 100, 3072])
def test_truncated_files_are_refused_by_name(make_cifar: CifarMaker, cut: int) -> None:
    root = make_cifar()
    file = root / "data_batch_3.bin"
    file.write_bytes(file.read_bytes()[:-cut])
    with pytest.raises(InputError, match=r"data_batch_3\.bin is truncated"):
        open_dataset(str(root))


def test_empty_missing_and_foreign_files_are_refused(make_cifar: CifarMaker) -> None:
    root = make_cifar()
    file = root / "test_batch.bin"
    whole = file.read_bytes()
    file.write_bytes(b"")
    with pytest.raises(InputError, match=r"test_batch\.bin is truncated"):
        open_dataset(str(root))
    file.write_bytes(whole[: 3073 * 5] + b"\x0b" + whole[3073 * 5 + 1 :])
    with pytest.raises(InputError, match="record 5 has the label 11, expected 0"):
        open_dataset(str(root))
    file.unlink()
    with pytest.raises(InputError, match=r"lacks test_batch\.bin"):
        open_dataset(str(root))


@pytest.mark.parametrize(
    ("files", "name", "archive"),
    [
        (("data_batch_1", "test_batch"), "mine", "cifar-10-binary.tar.gz"),
        ((), "cifar-10-batches-py", "cifar-10-binary.tar.gz"),
        (("train", "test", "meta"), "mine", "cifar-100-binary.tar.gz"),
        (("cifar-10-batches-py/data_batch_1",), "mine", "cifar-10-binary.tar.gz"),
        (("cifar-100-python/train",), "mine", "cifar-100-binary.tar.gz"),
    ],
)
def test_the_pickled_version_is_refused_with_the_mend(
    tmp_path: Path, files: tuple[str, ...], name: str, archive: str
) -> None:
    root = tmp_path / name
    root.mkdir()
    for file in files:
        (root / file).parent.mkdir(exist_ok=True)
        (root / file).write_bytes(b"\x80\x02}q\x01.")
    with pytest.raises(InputError, match="pickled version of CIFAR") as caught:
        open_dataset(str(root))
    assert archive in str(caught.value)


def test_pickled_files_and_archives_are_refused_too(tmp_path: Path) -> None:
    for name in ("cifar-10-batches-py/data_batch_2", "cifar-10-python.tar.gz"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"\x80\x02.")
        with pytest.raises(InputError, match="pickled version"):
            open_dataset(str(path))
