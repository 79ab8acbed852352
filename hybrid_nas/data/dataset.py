"""What every data set looks like to the rest of the program.

A `Dataset` hands out five disjoint splits. ``train`` is what supernet and cloud learn from; the
other four are never seen by them: ``fit`` trains routers, ``threshold`` sets their thresholds,
``score`` ranks candidates during the search, ``test`` is looked at once, for what may be claimed.
Splits go by *source group* (the handwritten digit behind its renderings, a user, a session): two
images of one group never lie in different splits, and standard errors are computed over groups.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.typing import ByteArray, IntArray

Split = Literal["train", "fit", "threshold", "score", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class ImageSet:
    """Labelled images with the source group of each.

    Attributes:
        images: uint8, shape (n, height, width, channels).
        labels: class indices, shape (n,).
        groups: source group of each image, shape (n,).
    """

    images: ByteArray
    labels: IntArray
    groups: IntArray

    def __post_init__(self) -> None:
        n = len(self.images)
        if self.images.ndim != 4 or self.images.dtype != np.uint8:
            raise InputError(
                "images must be uint8 of shape (n, height, width, channels), "
                f"got {self.images.dtype} {self.images.shape}"
            )
        if self.labels.shape != (n,) or self.groups.shape != (n,):
            raise InputError(
                f"{n} images need {n} labels and groups, got {self.labels.shape} and "
                f"{self.groups.shape}"
            )

    def __len__(self) -> int:
        return len(self.images)

    def take(self, index: IntArray) -> ImageSet:
        """The images at `index`, in that order."""
        return ImageSet(self.images[index], self.labels[index], self.groups[index])


class Dataset(ABC):
    """A named source of image splits; see the module's text for what each split is for.

    Attributes:
        name: what the user called it.
        classes: class names; a label is an index into it.
        image_shape: (height, width, channels) of the stored images.
        fingerprint: hex digest that changes when any image, label or split changes.
        warnings: what the user should know about these splits, one sentence each.
    """

    name: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    fingerprint: str
    warnings: tuple[str, ...] = ()

    @abstractmethod
    def split(self, name: Split) -> ImageSet:
        """The images of one split; the same on every call."""

    def check_readable(self, names: Sequence[Split]) -> None:  # noqa: B027 - most need nothing
        """Read all images of some splits, so that a broken file is found before long work.

        Raises:
            InputError: naming the first that cannot be read.
        """

    @abstractmethod
    def training_images(self, n: int, seed: int) -> ImageSet:
        """`n` images to train on, drawn (rendered or augmented) from ``train`` with `seed`."""
