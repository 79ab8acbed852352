"""What a supernet sees in each training step.

A step's batch depends on its number and the seed alone, so a training that was interrupted goes on
with what it would have seen. Of a batch, each process of a team is given its share alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from hybrid_nas.data.dataset import Dataset
from hybrid_nas.errors import InputError
from hybrid_nas.supernet.distributed import ALONE, Team
from hybrid_nas.supernet.unlabelled import DEFAULT_SHARE, UnlabelledImages

NO_LABEL = -1
_LEAST_SHARE = 2  # images: batch norm learns nothing from one


@dataclass(frozen=True)
class TrainingBatches:
    """Batches of labelled images, with a share of unlabelled ones where there are any.

    Attributes:
        data: only its training images are drawn.
        batch: images per step, of all processes together.
        pool: images drawn (rendered or augmented) at a time; each is used once.
        steps: of the whole training; fewer than fill a pool make it smaller.
        seed: decides all batches.
        unlabelled: images that come with the label `NO_LABEL`.
        share: of the batch that they take; at least one image, and never all.
        team: the processes among which every batch is dealt out.

    Raises:
        InputError: a process would get a single image of a batch, or none.
    """

    data: Dataset
    batch: int
    pool: int
    steps: int
    seed: int
    unlabelled: UnlabelledImages | None = None
    share: float = DEFAULT_SHARE
    team: Team = field(default=ALONE)

    def __post_init__(self) -> None:
        size = self.team.size
        if size > 1 and self.batch // size < _LEAST_SHARE:
            raise InputError(
                f"--batch {self.batch} leaves a process fewer than {_LEAST_SHARE} images of a "
                f"batch: give --batch {_LEAST_SHARE * size} or more, or start fewer than {size} "
                "processes"
            )

    @property
    def labelled_per_step(self) -> int:
        """How many images of a batch have a label."""
        return self.batch - self.unlabelled_per_step

    @property
    def image_share(self) -> float:
        """This process's part of a batch's images."""
        return len(self.team.rows(self.batch)) / self.batch

    @property
    def label_share(self) -> float:
        """This process's part of a batch's labelled images."""
        return len(self.team.rows(self.labelled_per_step)) / self.labelled_per_step

    @property
    def unlabelled_per_step(self) -> int:
        """How many images of a batch have no label."""
        if self.unlabelled is None:
            return 0
        return min(max(1, round(self.share * self.batch)), self.batch - 1)

    def from_step(self, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        """This process's uint8 images (n, c, h, w) and labels (n,) of step `start` and after it."""
        per_pool = self._steps_per_pool
        pool, offset = divmod(start, per_pool)
        for arrays in self._pools(pool):
            yield from self._steps(pool, arrays, offset)
            pool, offset = pool + 1, 0

    @property
    def _steps_per_pool(self) -> int:
        return max(1, min(self.pool // self.batch, self.steps))

    def _pools(self, first: int) -> Iterator[list[Tensor]]:
        """The images of pool `first` and of those after it.

        A team draws as many pools at a time as it has processes, each its own, and passes them
        round: images that are rendered or decoded cost about as much as a step of training.
        """
        pool, mine = first, None
        while True:
            turn = pool % self.team.size
            if turn == 0 or pool == first:
                own = pool - turn + self.team.rank
                wanted = own >= pool and (own == pool or own * self._steps_per_pool < self.steps)
                mine = self._draw(own) if wanted else None
            holder = self.team.rank == turn
            arrays = mine if holder and mine is not None else self._blank()
            self.team.spread(arrays, turn)
            yield arrays
            pool += 1

    def _seed(self, pool: int) -> int:
        return self.seed * 1_000_003 + pool

    def _draw(self, pool: int) -> list[Tensor]:
        """Labelled images (n, h, w, c), their labels, and unlabelled images where there are any."""
        steps, seed = self._steps_per_pool, self._seed(pool)
        images = self.data.training_images(steps * self.labelled_per_step, seed)
        arrays = [images.images, images.labels]
        if self.unlabelled is not None:
            arrays.append(self.unlabelled.draw(steps * self.unlabelled_per_step, seed))
        return [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]

    def _blank(self) -> list[Tensor]:
        """What `_draw` gives, of the same shapes, with nothing in it yet."""
        steps, shape = self._steps_per_pool, self.data.image_shape
        labelled, free = steps * self.labelled_per_step, steps * self.unlabelled_per_step
        arrays = [torch.empty((labelled, *shape), dtype=torch.uint8), torch.empty(labelled).long()]
        if self.unlabelled is not None:
            arrays.append(torch.empty((free, *shape), dtype=torch.uint8))
        return arrays

    def _steps(
        self, pool: int, arrays: list[Tensor], offset: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        labelled, free = self.labelled_per_step, self.unlabelled_per_step
        images, labels, *unlabelled = arrays
        pixels = images.permute(0, 3, 1, 2)
        order = np.random.default_rng(self._seed(pool)).permutation(len(images))
        mine = slice(self.team.rank, None, self.team.size)
        for k in range(offset, self._steps_per_pool):
            index = torch.from_numpy(order[k * labelled : (k + 1) * labelled])
            some, wanted = pixels[index], labels[index]
            for extra in unlabelled:
                free_ones = extra[k * free : (k + 1) * free].permute(0, 3, 1, 2)
                some = torch.cat([some, free_ones])
                wanted = torch.cat([wanted, wanted.new_full((free,), NO_LABEL)])
            yield some[mine], wanted[mine]
