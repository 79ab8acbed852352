"""Make an ``.npz`` data set out of CIFAR-10 mosaics, for benchmarks on real photographs.

    python benchmarks/make_cifar_slice.py OUT.npz [--source FOLDER] [--train N] [--val N] [--size S]
        [--mirror]

The source folder holds ``train_00.webp`` .. and ``test_00.webp``, each 5,000 images of 32x32 in 50
rows of 100, and ``train_labels.txt``, ``test_labels.txt``, ``classes.txt``. Validation images are
the last of the training images, training images the first N. With ``--val 0`` the test images are
the one pool that all four evaluation splits are drawn from: published outputs of strong networks
are on those alone. ``--mirror`` adds each training image's mirror image.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hybrid_nas.data.resize import check_image_size, resize_images
from hybrid_nas.errors import InputError
from hybrid_nas.files import atomic_write
from hybrid_nas.typing import ByteArray, IntArray

SOURCE = Path(__file__).resolve().parents[2] / "shared" / "data" / "cifar10"
_ROWS, _COLUMNS, _SIDE = 50, 100, 32


def read_mosaics(source: Path, part: str) -> tuple[ByteArray, IntArray]:
    """All images (n, 32, 32, 3) and labels (n,) of ``train`` or ``test``."""
    mosaics = sorted(source.glob(f"{part}_*.webp"))
    if not mosaics:
        raise InputError(f"{source} has no {part}_00.webp: give the folder with --source")
    images = []
    for path in mosaics:
        with Image.open(path) as mosaic:
            pixels = np.asarray(mosaic.convert("RGB"))
        tiles = pixels.reshape(_ROWS, _SIDE, _COLUMNS, _SIDE, 3).transpose(0, 2, 1, 3, 4)
        images.append(tiles.reshape(-1, _SIDE, _SIDE, 3))
    classes = (source / "classes.txt").read_text().split()
    words = (source / f"{part}_labels.txt").read_text().split()
    labels = [int(word) if word.isdigit() else classes.index(word) for word in words]
    stacked = np.concatenate(images)
    if len(labels) != len(stacked):
        raise InputError(f"{source} has {len(stacked)} {part} images and {len(labels)} labels")
    return stacked, np.array(labels, np.int64)


def make_slice(
    source: Path, n_train: int, n_val: int, size: int, *, mirror: bool = False
) -> dict[str, Any]:
    """The arrays of the ``.npz`` file."""
    check_image_size((size, size))
    images, labels = read_mosaics(source, "train")
    test_images, test_labels = read_mosaics(source, "test")
    if n_train < 1 or n_val < 0 or n_train + n_val > len(images):
        raise InputError(
            f"{n_train} training and {n_val} validation images were asked for: expected at least "
            f"one to train on, together at most {len(images)}"
        )
    shape = (size, size)
    training, n = resize_images(images[:n_train], shape), 1 + mirror
    pools = {
        "x_train": np.concatenate([training, training[:, :, ::-1]][:n]),
        "y_train": np.concatenate([labels[:n_train]] * n),
    }
    test = resize_images(test_images, shape)
    if n_val:
        pools["x_val"] = resize_images(images[-n_val:], shape)
        pools["y_val"] = labels[-n_val:]
        pools["x_test"], pools["y_test"] = test, test_labels
    else:
        pools["x_val"], pools["y_val"] = test, test_labels
    return {**pools, "classes": np.array((source / "classes.txt").read_text().split())}


def main() -> int:
    """Parse, make, write, and say what was written."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="the .npz file to write")
    parser.add_argument("--source", type=Path, default=SOURCE, help="folder of the mosaics")
    parser.add_argument("--train", type=int, default=25_000, metavar="N", help="training images")
    parser.add_argument("--val", type=int, default=5_000, metavar="N", help="validation images")
    parser.add_argument("--size", type=int, default=_SIDE, help="height and width in pixels")
    parser.add_argument("--mirror", action="store_true", help="add mirrored training images")
    given = parser.parse_args()
    try:
        arrays = make_slice(given.source, given.train, given.val, given.size, mirror=given.mirror)
    except InputError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    atomic_write(given.out, buffer.getvalue())
    shapes = ", ".join(f"{key} {array.shape}" for key, array in arrays.items() if key[0] == "x")
    print(f"{given.out}: {shapes}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
