"""Networks whose answers depend on the image, without a training."""

from __future__ import annotations

import numpy as np
import torch

from hybrid_nas.spaces.loader import load_space
from hybrid_nas.supernet.calibrate import recalibrate
from hybrid_nas.supernet.preprocess import prepare
from hybrid_nas.supernet.standalone import StandaloneNet

N_CLASSES = 10


def trained_like(network: StandaloneNet, seed: int = 0) -> StandaloneNet:
    """Weights and statistics as a trained network has them: nothing is zero or one."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.normal_(0, 0.2, generator=generator)
    return network.eval()


def calibrated_network(
    space_name: str, seed: int = 0, shape: tuple[int, int, int] = (40, 40, 3)
) -> StandaloneNet:
    """Random weights, and batch norm's statistics of coarse images: what it says depends on the
    image, unlike with random statistics.
    """
    choices: dict[str, list[float]] = {"resolution": [shape[0]]}
    space = load_space(space_name, input_shape=shape, classes=N_CLASSES, choices=choices)
    smallest = space_name == "ofa-resnet50"  # its others are large
    rows = space.extremes() if smallest else space.sample(1, np.random.default_rng(seed))
    torch.manual_seed(seed)
    architecture = space.architecture(tuple(rows[0].tolist()))
    network = trained_like(StandaloneNet(architecture), seed)
    recalibrate(network, [calibration_images(network)])
    return network


def calibration_images(network: StandaloneNet, n: int = 24) -> torch.Tensor:
    shape = network.architecture.input_shape
    return prepare(grey_levels(shape, n, seed=99), shape[:2])


def grey_levels(shape: tuple[int, ...], n: int, seed: int = 0) -> np.ndarray:
    """Coarse patches of random contrast: networks say different things of them, unlike of noise."""
    random, (height, width, channels) = np.random.default_rng(seed), shape
    coarse = random.integers(0, 256, (n, 4, 4, channels)).astype(float)
    contrast = random.uniform(0.1, 1.0, (n, 1, 1, 1))
    coarse = (coarse - 128) * contrast + random.uniform(64, 192, (n, 1, 1, 1))
    rows, columns = np.arange(height) * 4 // height, np.arange(width) * 4 // width
    return coarse[:, rows][:, :, columns].clip(0, 255).astype(np.uint8)
