"""Batch-norm statistics of one subnet.

A supernet's running statistics mix all subnets and fit none: without recalibration accuracy falls
to chance (Cai et al., "Once-for-All", ICLR 2020, section 4; Yu & Huang, "Universally Slimmable
Networks", ICCV 2019, section 3.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from hybrid_nas.supernet.preprocess import normalise, resize, to_tensor
from hybrid_nas.typing import ByteArray

CALIBRATION_IMAGES = 2048
"""Enough that more change no third digit of an accuracy."""

_BATCH = 128


def recalibrate(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace all batch-norm statistics by averages over `batches` of training images.

    Every batch is normalised by its own statistics on the way, and counts the same: give batches of
    equal size. Leaves the network in evaluation mode.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
    network.eval()
    for norm in norms:
        norm.train()
    with torch.inference_mode():
        for batch in batches:
            network(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


def calibration_batches(
    images: ByteArray, size: tuple[int, int], *, batch: int = _BATCH, device: str = "cpu"
) -> Iterator[Tensor]:
    """Network input made of stored images, in batches of equal size.

    Args:
        images: uint8, (n, h, w, c).
        size: (height, width) that the network reads.
        batch: wanted size; what does not fill the last batch is left out, but no image is if there
            are fewer than that.
        device: where the network is.
    """
    batch = min(batch, len(images))
    for start in range(0, len(images) - batch + 1, batch):
        pixels = to_tensor(images[start : start + batch]).to(device)
        yield normalise(resize(pixels, size))
