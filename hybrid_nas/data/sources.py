"""From what the user writes after ``--data`` to a data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hybrid_nas.data.cifar import CifarDataset, is_cifar, refuse_pickled_cifar
from hybrid_nas.data.dataset import Dataset
from hybrid_nas.data.digits import LOOKS, DigitsDataset
from hybrid_nas.data.folder import FolderDataset
from hybrid_nas.data.npz import NpzDataset
from hybrid_nas.data.resize import check_image_size
from hybrid_nas.errors import InputError

UNDERSTOOD = (
    "digits (bundled), an image folder with train/<class>/ and val/<class>/, an .npz file, or "
    "a folder with CIFAR's binary version"
)


def open_dataset(
    spec: str,
    *,
    image_size: tuple[int, int] | None = None,
    group: str | None = None,
    seed: int = 0,
) -> Dataset:
    """Open a data set by name or path.

    Args:
        spec: ``digits``, or the path of an image folder, an ``.npz`` file or a CIFAR folder.
            ``./digits`` is a folder of that name.
        image_size: (height, width) to resize to; what is stored (folders: the first image's size,
            at most 96) by default.
        group: regular expression that finds the source group in a file name; folders only.
        seed: of the splits, or of the bundled set's renderings.

    Raises:
        InputError: naming what is wrong with `spec` and what would be understood.
    """
    path = Path(spec).expanduser()
    is_folder = spec not in LOOKS and path.is_dir() and not is_cifar(path)
    if group is not None and not is_folder:
        raise InputError(
            f"--group reads file names of an image folder, and {spec!r} is none: an .npz file "
            "takes its groups from the keys groups_train, groups_val, groups_test, or groups"
        )
    if spec in LOOKS:
        return _open_digits(spec, image_size, seed)
    try:
        refuse_pickled_cifar(path)
        if not path.exists():
            raise InputError(f"no data at {spec!r}: expected {UNDERSTOOD}")
        if path.is_file() and path.suffix.lower() == ".npz":
            return NpzDataset(path, image_size=image_size, seed=seed)
        if path.is_file():
            mend = "; unpack the archive first" if path.suffix in (".gz", ".tar", ".zip") else ""
            raise InputError(f"{spec} is no kind of file understood{mend}: expected {UNDERSTOOD}")
        if is_folder:
            return FolderDataset(path, image_size=image_size, group=group, seed=seed)
        return CifarDataset(path, image_size=image_size, seed=seed)
    except OSError as error:
        raise InputError(f"{spec} cannot be read: {error}") from error


def _open_digits(name: str, image_size: tuple[int, int] | None, seed: int) -> DigitsDataset:
    look = LOOKS[name]
    if image_size is not None:
        height, width = check_image_size(image_size)
        if height != width:
            raise InputError(f"{name} has square images: {height}x{width} cannot be rendered")
        look = replace(look, image_size=height)
    return DigitsDataset(look, seed=seed)
