"""Batch-norm statistics of one subnet.

A supernet's running statistics mix all subnets and fit none: without recalibration accuracy falls
to chance (Cai et al., "Once-for-All", ICLR 2020, section 4; Yu & Huang, "Universally Slimmable
Networks", ICCV 2019, section 3.3).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from queue import SimpleQueue

import torch
from torch import Tensor, nn

from hybrid_nas.supernet.preprocess import normalise, resize, to_tensor
from hybrid_nas.typing import ByteArray

CALIBRATION_IMAGES = 2048
"""Enough that more change no third digit of an accuracy."""

_BATCH = 128


def recalibrate(network: nn.Module, batches: Iterable[Tensor], *, threads: int = 1) -> None:
    """Replace all batch-norm statistics by averages over `batches` of training images.

    Every batch is normalised by its own statistics on the way, and counts the same: give batches of
    equal size. Leaves the network in evaluation mode.

    Args:
        network: on any device.
        batches: network input; with several threads all of them are held at once.
        threads: batches to run at the same time, on the CPU. The result is the same to the bit.
    """
    norms = _norms(network)
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = 1.0  # what a batch leaves are its own statistics
        norm.train()
    idle: SimpleQueue[nn.Module] = SimpleQueue()
    for one in (network, *(copy.deepcopy(network) for _ in range(threads - 1))):
        idle.put(one)

    def statistics(batch: Tensor) -> list[tuple[Tensor, Tensor]]:
        if threads > 1:
            torch.set_num_threads(1)  # those of this thread
        mine = idle.get()
        with torch.inference_mode():
            mine(batch)
            found = [(_copy(norm.running_mean), _copy(norm.running_var)) for norm in _norms(mine)]
        idle.put(mine)
        return found

    with ExitStack() as stack:
        each = stack.enter_context(ThreadPoolExecutor(threads)).map if threads > 1 else map
        found = list(each(statistics, batches))
    with torch.inference_mode():
        for norm, momentum, seen in zip(norms, momenta, zip(*found, strict=True), strict=True):
            means, variances = zip(*seen, strict=True)
            assert norm.running_mean is not None and norm.running_var is not None
            norm.running_mean.copy_(torch.stack(means).mean(0))
            norm.running_var.copy_(torch.stack(variances).mean(0))
            norm.momentum = momentum
    network.eval()


def _norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def _copy(statistic: Tensor | None) -> Tensor:
    assert statistic is not None  # every batch norm here keeps statistics
    return statistic.clone()


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
