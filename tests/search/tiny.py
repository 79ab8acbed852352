"""A search small enough for tests: 16x16 images, a tiny space, untrained weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hybrid_nas.data.npz import NpzDataset
from hybrid_nas.data.sources import open_dataset
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.supernet.checkpoint import SupernetInfo, save_supernet
from hybrid_nas.supernet.network import Supernet

TINY_SPACE = """
schema: hybrid-nas/space/1
extends: mcunet
name: tiny
resolution: [12, 16]
width: [0.2, 0.5]
stages:
  - {channels: 24, stride: 2, depth: [1, 2, 3], kernel: [3, 5, 7], expand: [3, 4, 6],
     activation: relu6, se: false}
  - {channels: 40, stride: 2, depth: [1, 2], kernel: [3, 5, 7], expand: [3, 4, 6],
     activation: relu6, se: false}
"""


@dataclass(frozen=True)
class TinyInputs:
    """Files of a tiny search."""

    space: Path
    data: Path
    supernet: Path
    cloud: Path

    def settings(self, **changes: object) -> SearchSettings:
        """Settings of a short search on these files."""
        given: dict[str, object] = {
            "data": str(self.data),
            "supernet": str(self.supernet),
            "cloud": str(self.cloud),
            "sram_bytes": 64 * 1024,
            "flash_bytes": 256 * 1024,
            "trials": 8,
            "calibration_images": 32,
            "sampler": "random",
            "threads": 1,
        }
        return SearchSettings(**{**given, **changes})  # type: ignore[arg-type]

    def flags(self) -> list[str]:
        """The same as flags of the command line."""
        return [
            *("--data", str(self.data), "--supernet", str(self.supernet)),
            *("--cloud", str(self.cloud), "--sram", "64KB", "--flash", "256KB"),
            *("--sampler", "random", "--threads", "1"),
        ]


def write_tiny(folder: Path) -> TinyInputs:
    """Noise images of three classes with a class-dependent tint, and weights that know nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    space = folder / "tiny.yaml"
    space.write_text(TINY_SPACE)
    rng = np.random.default_rng(0)
    arrays = {}
    for part, n in (("train", 90), ("val", 240), ("test", 120)):
        labels = np.arange(n) % 3
        images = rng.integers(0, 160, (n, 16, 16, 3))
        images[np.arange(n), ..., labels] += 60
        arrays |= {f"x_{part}": images.astype(np.uint8), f"y_{part}": labels}
    data = folder / "data.npz"
    np.savez(data, **arrays)
    torch.manual_seed(0)
    net = Supernet(load_space(str(space), input_shape=(16, 16, 3), classes=3))
    opened = open_dataset(str(data))
    assert isinstance(opened, NpzDataset)
    info = SupernetInfo(
        space=str(space),
        choices={},
        input_shape=(16, 16, 3),
        classes=opened.classes,
        data=opened.name,
        data_fingerprint=opened.fingerprint,
    )
    save_supernet(folder / "supernet.pt", net, info)
    wrong = rng.random(240) < 0.1
    val = np.where(wrong, (arrays["y_val"] + 1) % 3, arrays["y_val"])
    test = np.where(rng.random(120) < 0.1, (arrays["y_test"] + 1) % 3, arrays["y_test"])
    np.savez(folder / "cloud.npz", val_pred=val, test_pred=test)
    return TinyInputs(space, data, folder / "supernet.pt", folder / "cloud.npz")
