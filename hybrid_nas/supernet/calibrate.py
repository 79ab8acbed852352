"""Batch-norm statistics of one subnet.

A supernet's running statistics mix all subnets and fit none: without recalibration accuracy falls
to chance (Cai et al., "Once-for-All", ICLR 2020, section 4; Yu & Huang, "Universally Slimmable
Networks", ICCV 2019, section 3.3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from hybrid_nas.supernet.preprocess import normalise, resize, to_tensor
from hybrid_nas.typing import ByteArray

CALIBRATION_IMAGES = 2048
"""Enough that more change no third digit of an accuracy."""

_BATCH = 128

Statistics = dict[int, tuple[Tensor, Tensor]]
"""Mean and variance at each layer, by where the statistics it had before are in memory."""


class _ByBatch(TorchFunctionMode):
    """Normalises by each batch's own statistics and notes them; layers stay as they are.

    A mode belongs to its thread, so several threads can run the same network.

    Attributes:
        found: the statistics.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: Statistics = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        norm = func is nn.functional.batch_norm
        return self._batch_norm(*args, **given) if norm else func(*args, **given)

    def _batch_norm(
        self,
        x: Tensor,
        mean: Tensor,
        var: Tensor,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        """As `torch.nn.functional.batch_norm`."""
        own = torch.zeros_like(mean), torch.zeros_like(var)
        self.found[mean.data_ptr()] = own
        # with a momentum of 1 a batch leaves nothing but its own statistics
        return nn.functional.batch_norm(x, *own, weight, bias, True, 1.0, eps)


def recalibrate(network: nn.Module, batches: Iterable[Tensor], *, threads: int = 1) -> None:
    """Replace all batch-norm statistics by averages over `batches` of training images.

    Every batch is normalised by its own statistics on the way, and counts the same: give batches of
    equal size. Leaves the network in evaluation mode; of a supernet, only what is active changes.

    Args:
        network: on any device.
        batches: network input; with several threads all of them are held at once.
        threads: batches to run at the same time, on the CPU. The result is the same to the bit.
    """
    network.eval()

    def statistics(batch: Tensor) -> Statistics:
        if threads > 1:
            torch.set_num_threads(1)  # those of this thread
        by_batch = _ByBatch()
        with torch.inference_mode(), by_batch:
            network(batch)
        return by_batch.found

    with ExitStack() as stack:
        each = stack.enter_context(ThreadPoolExecutor(threads)).map if threads > 1 else map
        found = list(each(statistics, batches))
    with torch.inference_mode():
        for norm in network.modules():
            if isinstance(norm, nn.BatchNorm2d):
                _take_averages(norm, found)


def _take_averages(norm: nn.BatchNorm2d, found: list[Statistics]) -> None:
    """Means of what the batches left at a layer; of a supernet's, perhaps at its first channels."""
    assert norm.running_mean is not None and norm.running_var is not None  # all here keep them
    key = norm.running_mean.data_ptr()
    seen = [by_layer[key] for by_layer in found if key in by_layer]
    if seen:
        means, variances = zip(*seen, strict=True)
        channels = len(means[0])
        norm.running_mean[:channels].copy_(torch.stack(means).mean(0))
        norm.running_var[:channels].copy_(torch.stack(variances).mean(0))


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
