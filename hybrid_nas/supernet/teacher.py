"""A cloud model as the teacher of a supernet: its soft labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from hybrid_nas.data.cloud import CloudModel, KnowsSplits
from hybrid_nas.data.dataset import Dataset, ImageSet
from hybrid_nas.errors import InputError
from hybrid_nas.supernet.cloud import SupernetCloud
from hybrid_nas.supernet.device import place

Teacher = Callable[[Tensor], Tensor]
"""Logits (n, classes) for uint8 images (n, c, h, w) at stored size."""

_LEAST_PROBABILITY = 1e-6


def teacher_from_cloud(cloud: CloudModel, data: Dataset, *, device: str = "cpu") -> Teacher:
    """What `cloud` says of images, as logits; it is asked once here, to see that it can teach.

    Args:
        cloud: a network of ours runs on `device`; of others, the logarithms of their
            probabilities serve.
        data: what it will teach; the class counts must agree.
        device: where the pupils are.

    Raises:
        InputError: it only knows stored answers, gives no probabilities, or has other classes.
    """
    if isinstance(cloud, KnowsSplits):
        raise InputError(
            f"{cloud.name} holds predictions of stored images and cannot answer for the changed "
            "ones of a training: --teacher takes a model (.pt or .onnx)"
        )
    if isinstance(cloud, SupernetCloud):
        place(cloud.network, device)
        teacher: Teacher = cloud.logits
    else:
        teacher = _from_answers(cloud, device)
    pixels = torch.zeros((1, data.image_shape[2], *data.image_shape[:2]), dtype=torch.uint8)
    classes = teacher(pixels.to(device)).shape[1]
    if classes != len(data.classes):
        raise InputError(
            f"the teacher {cloud.name} tells {classes} classes apart, {data.name} has "
            f"{len(data.classes)}: it must be trained for the same classes"
        )
    return teacher


def _from_answers(cloud: CloudModel, device: str) -> Teacher:
    def teach(pixels: Tensor) -> Tensor:
        images = pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
        blank = np.zeros(len(images), np.int64)
        probs = cloud.predict(ImageSet(images, blank, blank)).probs
        if probs is None:
            raise InputError(f"{cloud.name} gives no probabilities, so it cannot teach")
        return torch.from_numpy(np.log(np.maximum(probs, _LEAST_PROBABILITY))).float().to(device)

    return teach
