"""What a supernet sees in each training step.

A step's batch depends on its number and the seed alone, so a training that was interrupted goes on
with what it would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hybrid_nas.data.dataset import Dataset
from hybrid_nas.supernet.preprocess import to_tensor
from hybrid_nas.supernet.unlabelled import DEFAULT_SHARE, UnlabelledImages

NO_LABEL = -1


@dataclass(frozen=True)
class TrainingBatches:
    """Batches of labelled images, with a share of unlabelled ones where there are any.

    Attributes:
        data: only its training images are drawn.
        batch: images per step.
        pool: images drawn (rendered or augmented) at a time; each is used once.
        steps: of the whole training; fewer than fill a pool make it smaller.
        seed: decides all batches.
        unlabelled: images that come with the label `NO_LABEL`.
        share: of the batch that they take; at least one image, and never all.
    """

    data: Dataset
    batch: int
    pool: int
    steps: int
    seed: int
    unlabelled: UnlabelledImages | None = None
    share: float = DEFAULT_SHARE

    @property
    def unlabelled_per_step(self) -> int:
        """How many images of a batch have no label."""
        if self.unlabelled is None:
            return 0
        return min(max(1, round(self.share * self.batch)), self.batch - 1)

    def from_step(self, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        """uint8 images (batch, c, h, w) and labels (batch,) of step `start` and all after it."""
        per_pool = max(1, min(self.pool // self.batch, self.steps))
        pool, offset = divmod(start, per_pool)
        while True:
            yield from self._pool(pool, per_pool, offset)
            pool, offset = pool + 1, 0

    def _pool(self, pool: int, steps: int, offset: int) -> Iterator[tuple[Tensor, Tensor]]:
        seed = self.seed * 1_000_003 + pool
        free = self.unlabelled_per_step
        labelled = self.batch - free
        images = self.data.training_images(steps * labelled, seed)
        order = np.random.default_rng(seed).permutation(len(images))
        pixels, labels = to_tensor(images.images), torch.from_numpy(images.labels)
        extra = to_tensor(self.unlabelled.draw(steps * free, seed)) if self.unlabelled else None
        for k in range(offset, steps):
            index = torch.from_numpy(order[k * labelled : (k + 1) * labelled])
            some, wanted = pixels[index], labels[index]
            if extra is not None:
                some = torch.cat([some, extra[k * free : (k + 1) * free]])
                wanted = torch.cat([wanted, wanted.new_full((free,), NO_LABEL)])
            yield some, wanted
