"""A space and a data set so small that a supernet trains in seconds, and the command line."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hybrid_nas import cli
from hybrid_nas.cli import supernet as supernet_command
from hybrid_nas.data.dataset import SPLITS, Dataset, ImageSet, Split
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.spaces.space import SearchSpace
from hybrid_nas.supernet.network import Supernet

TINY_SPACE = """
schema: hybrid-nas/space/1
extends: mcunet
name: tiny
resolution: [12, 16]
width: [0.2, 0.3]
stages:
  - {channels: 24, stride: 2, depth: [1, 2], kernel: [3, 5], expand: [3, 4],
     activation: relu6, se: false}
  - {channels: 40, stride: 2, depth: [1], kernel: [3, 5, 7], expand: [3, 4],
     activation: relu6, se: false}
"""


class QuadrantData(Dataset):
    """Noisy colour images, one quadrant of which is brighter: which one is the class."""

    def __init__(self, classes: int = 4) -> None:
        self.name = "quadrants"
        self.classes = tuple(f"quadrant {k}" for k in range(classes))
        self.image_shape = (16, 16, 3)
        self.fingerprint = hashlib.sha256(f"quadrants {classes}".encode()).hexdigest()

    def split(self, name: Split) -> ImageSet:
        return self._draw(120, 1000 + SPLITS.index(name))

    def training_images(self, n: int, seed: int) -> ImageSet:
        return self._draw(n, seed)

    def _draw(self, n: int, seed: int) -> ImageSet:
        rng = np.random.default_rng(seed)
        labels = np.arange(n) % len(self.classes)
        images = rng.integers(0, 120, (n, 16, 16, 3))
        for k, label in enumerate(labels.tolist()):
            row, column = 8 * (label // 2), 8 * (label % 2)
            images[k, row : row + 8, column : column + 8] += 90
        return ImageSet(images.astype(np.uint8), labels, np.arange(n) // 2)


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny space's YAML file."""
    path = tmp_path_factory.mktemp("spaces") / "tiny.yaml"
    path.write_text(TINY_SPACE)
    return path


@pytest.fixture
def quadrants() -> QuadrantData:
    return QuadrantData()


@pytest.fixture
def tiny_space(tiny_file: Path) -> SearchSpace:
    return load_space(str(tiny_file), input_shape=(16, 16, 3), classes=4)


@pytest.fixture
def tiny_supernet(tiny_space: SearchSpace) -> Supernet:
    torch.manual_seed(0)
    return scramble(Supernet(tiny_space))


@pytest.fixture
def hybrid_nas() -> Callable[..., int]:
    """Run ``hybrid-nas supernet ...`` in this process; gives the exit status."""

    def run(*arguments: object) -> int:
        app = cli.new_app()
        supernet_command.register(app)
        return cli.run(app, ["supernet", *map(str, arguments)])

    return run


@pytest.fixture
def quadrants_npz(tmp_path: Path, quadrants: QuadrantData) -> Path:
    """The quadrants as a file, for ``--data``."""
    path = tmp_path / "quadrants.npz"
    arrays = {}
    for pool, seed in (("train", 1), ("val", 2), ("test", 3)):
        images = quadrants.training_images(240, seed)
        arrays |= {f"x_{pool}": images.images, f"y_{pool}": images.labels}
    np.savez(path, **arrays)
    return path


def scramble(network: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Give batch norm and kernel transforms values that a trained network might have."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight")):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif name.endswith(("running_mean", "bias")):
            tensor.uniform_(-0.3, 0.3, generator=generator)
        elif name.endswith("_matrix"):
            tensor.add_(torch.rand(tensor.shape, generator=generator), alpha=0.05)
    return network.eval()
