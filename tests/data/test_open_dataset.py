"""What --data understands, and what it says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hybrid_nas.data.digits import DigitsDataset
from hybrid_nas.data.folder import FolderDataset
from hybrid_nas.data.npz import NpzDataset
from hybrid_nas.data.sources import open_dataset
from hybrid_nas.errors import InputError


def test_each_kind_is_recognised(
    make_folder: Callable[..., Path],
    npz_arrays: dict[str, np.ndarray],
    write_npz: Callable[..., Path],
) -> None:
    assert isinstance(open_dataset("digits"), DigitsDataset)
    assert isinstance(open_dataset(str(make_folder())), FolderDataset)
    assert isinstance(open_dataset(str(write_npz(npz_arrays))), NpzDataset)


def test_the_folder_one_stands_in_has_its_own_name(
    make_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(make_folder(name="photos"))
    assert open_dataset(".").name == "photos"


def test_a_folder_called_digits_is_opened_by_its_path(
    make_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(make_folder(name="digits").parent)
    assert isinstance(open_dataset("digits"), DigitsDataset)
    assert isinstance(open_dataset("./digits"), FolderDataset)


def test_bundled_digits_take_a_square_size_and_a_seed() -> None:
    assert open_dataset("digits", image_size=(48, 48)).image_shape == (48, 48, 3)
    assert open_dataset("digits", seed=1).fingerprint != open_dataset("digits").fingerprint
    with pytest.raises(InputError, match="square"):
        open_dataset("digits", image_size=(48, 64))


@pytest.mark.parametrize("name", ["none", "a.txt", "a.tar.gz", "a.npy"])
def test_anything_else_is_refused_with_what_is_understood(tmp_path: Path, name: str) -> None:
    if name != "none":
        (tmp_path / name).write_bytes(b"?")
    with pytest.raises(InputError) as caught:
        open_dataset(str(tmp_path / name))
    message = str(caught.value)
    assert "digits (bundled)" in message and ".npz" in message and "CIFAR" in message
    assert "\n" not in message


def test_group_expressions_are_for_folders_only(
    npz_arrays: dict[str, np.ndarray], write_npz: Callable[..., Path]
) -> None:
    for spec in ("digits", str(write_npz(npz_arrays))):
        with pytest.raises(InputError, match="--group reads file names"):
            open_dataset(spec, group="x")
