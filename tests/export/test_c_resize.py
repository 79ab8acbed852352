"""The device's resizing against PyTorch's, byte by byte."""

from __future__ import annotations

import ctypes
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from hybrid_nas.export.c_code import project
from hybrid_nas.supernet.preprocess import resize, to_tensor
from hybrid_nas.typing import ByteArray
from tests.export.c_host import FLAGS, run_gcc

pytestmark = pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")

SOURCE = Path(project.__file__).parent / "templates" / "hnas_resize.c"
HEADER = """
#include <stdint.h>
#define HNAS_IMAGE_HEIGHT {}
#define HNAS_IMAGE_WIDTH {}
#define HNAS_IMAGE_CHANNELS {}
enum {{ HNAS_OK = 0, HNAS_NO_POINTER = -1, HNAS_BAD_SIZE = -3 }};
"""
SIZES = [(8, 8, 3), (13, 9, 1), (32, 32, 3), (31, 45, 3), (48, 20, 1), (7, 64, 3)]


def compiled(size: tuple[int, int, int], folder: Path) -> ctypes.CDLL:
    """The function for networks that read images of this size."""
    (folder / "hnas_model.h").write_text(HEADER.format(*size))
    library = folder / "resize.so"
    run_gcc(*FLAGS, "-O2", "-shared", "-fPIC", f"-I{folder}", SOURCE, "-o", library)
    return ctypes.CDLL(str(library))


def resized(library: ctypes.CDLL, image: ByteArray, size: tuple[int, int, int]) -> ByteArray:
    out = np.zeros(size, np.uint8)
    h, w = image.shape[:2]
    status = library.hnas_resize(
        ctypes.c_void_p(image.ctypes.data), h, w, ctypes.c_void_p(out.ctypes.data)
    )
    assert status == 0
    return out


@pytest.mark.parametrize("size", SIZES)
def test_resizing_is_that_of_training(size: tuple[int, int, int], tmp_path: Path) -> None:
    library = compiled(size, tmp_path)
    height, width, channels = size
    random = np.random.default_rng(height * width)
    shapes = [(height, width), (2 * height, 2 * width), (3 * height, 5 * width)]
    shapes += [(int(h), int(w)) for h, w in random.integers(2, 180, (10, 2))]
    found, wanted = [], []
    for number, (h, w) in enumerate(shapes):
        # noise, and images of two levels, where sums often end in a half
        levels = random.integers(0, 256 if number % 2 else 2, (h, w, channels))
        image = (levels if number % 2 else 255 * levels).astype(np.uint8)
        found.append(resized(library, image, size))
        wanted.append(resize(to_tensor(image[None]), (height, width))[0].permute(1, 2, 0).numpy())
    off = np.abs(np.stack(found).astype(int) - np.stack(wanted))
    if torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512"):
        assert off.max() == 0
    assert off.max() <= 1 and (off > 0).mean() < 1e-3


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    library = compiled((8, 8, 1), tmp_path)
    image, out = np.zeros((4, 4), np.uint8), np.zeros((8, 8), np.uint8)
    data, target = (ctypes.c_void_p(x.ctypes.data) for x in (image, out))
    assert library.hnas_resize(data, 0, 4, target) == -3
    assert library.hnas_resize(data, 2000, 4, target) == -3  # more than 130 pixels under one
    assert library.hnas_resize(None, 4, 4, target) == -1
