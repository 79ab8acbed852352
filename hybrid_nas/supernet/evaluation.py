"""How accurate a supernet's subnets are: the smallest, the largest and some in between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from hybrid_nas.data.class_names import check_class_names
from hybrid_nas.data.dataset import Dataset, ImageSet, Split
from hybrid_nas.errors import InputError
from hybrid_nas.spaces.space import Genes, SearchSpace, Value
from hybrid_nas.supernet.calibrate import CALIBRATION_IMAGES, calibration_batches, recalibrate
from hybrid_nas.supernet.checkpoint import SupernetInfo
from hybrid_nas.supernet.device import place
from hybrid_nas.supernet.network import Supernet
from hybrid_nas.supernet.preprocess import normalise, resize, to_tensor
from hybrid_nas.supernet.standalone import StandaloneNet
from hybrid_nas.typing import BoolArray, ByteArray, IntArray

_BATCH = 128
_SAME_ASPECT = 0.02


@dataclass(frozen=True)
class SubnetAccuracy:
    """One subnet on one split.

    Attributes:
        role: ``largest``, ``smallest`` or ``random``.
        genes: by name.
        macs, params: of the subnet.
        accuracy: share of the images that it classifies correctly.
        stderr: standard error of that, by source group.
        images: how many images.
    """

    role: str
    genes: dict[str, Value]
    macs: int
    params: int
    accuracy: float
    stderr: float
    images: int


def evaluate_subnets(
    supernet: Supernet,
    data: Dataset,
    *,
    split: Split = "score",
    random_subnets: int = 8,
    images: int | None = None,
    seed: int = 0,
    recalibrated: bool = True,
    device: str = "cpu",
) -> Iterator[SubnetAccuracy]:
    """Accuracies of the largest, the smallest and some random subnets, each once, as they come.

    Args:
        supernet: is not changed, but for what is active.
        data: `split` is classified; training images give each subnet batch-norm statistics.
        split: which images to classify.
        random_subnets: how many, beside the extremes; fewer where the space has no more.
        images: take only so many of the split, drawn at random; None takes all.
        seed: draws the subnets and the images.
        recalibrated: False leaves the file's statistics, which belong to the largest network: what
            this costs is worth seeing once.
        device: where to run.
    """
    rng = np.random.default_rng(seed)
    shown = _some(data.split(split), images, rng)
    calibration = None
    if recalibrated:
        calibration = data.training_images(CALIBRATION_IMAGES, seed).images
    for role, genes in choose_subnets(supernet.space, random_subnets, rng):
        supernet.activate(genes)
        network = place(supernet.extract(), device).eval()
        if calibration is not None:
            size = network.architecture.input_shape[:2]
            recalibrate(network, calibration_batches(calibration, size, device=device))
        correct = classify(network, shown.images, device=device) == shown.labels
        yield SubnetAccuracy(
            role=role,
            genes=supernet.space.to_dict(genes),
            macs=network.architecture.macs,
            params=network.architecture.params,
            accuracy=float(correct.mean()),
            stderr=stderr_by_group(correct, shown.groups),
            images=len(shown),
        )


def choose_subnets(space: SearchSpace, n: int, rng: np.random.Generator) -> list[tuple[str, Genes]]:
    """Largest, smallest and `n` random architectures with their roles, all different."""
    smallest, largest = (tuple(row.tolist()) for row in space.extremes())
    chosen: dict[Genes, str] = {largest: "largest"}
    chosen.setdefault(smallest, "smallest")
    wanted = min(len(chosen) + n, space.count())
    while len(chosen) < wanted:
        for row in space.sample(wanted - len(chosen), rng):
            chosen.setdefault(tuple(row.tolist()), "random")
    return [(role, genes) for genes, role in chosen.items()]


def classify(network: StandaloneNet, images: ByteArray, *, device: str = "cpu") -> IntArray:
    """Predicted classes, (n,), of stored images, uint8 (n, h, w, c)."""
    height, width, _ = network.architecture.input_shape
    parts = [np.empty(0, np.int64)]
    with torch.inference_mode():
        for start in range(0, len(images), _BATCH):
            pixels = to_tensor(images[start : start + _BATCH]).to(device)
            logits = network(normalise(resize(pixels, (height, width))))
            parts.append(logits.argmax(1).cpu().numpy())
    return np.concatenate(parts)


def stderr_by_group(correct: BoolArray, groups: IntArray) -> float:
    """Standard error of ``correct.mean()`` when the images of a group are not independent.

    Sums of residuals per group take the place of residuals (Liang & Zeger, "Longitudinal data
    analysis using generalized linear models", Biometrika, 1986); NaN for a single group.
    """
    _, number = np.unique(groups, return_inverse=True)
    sums = np.bincount(number, weights=correct - correct.mean())
    n_groups = len(sums)
    if n_groups < 2:
        return float("nan")
    return float(np.sqrt(n_groups / (n_groups - 1) * np.square(sums).sum()) / len(correct))


def check_data_fits(info: SupernetInfo, data: Dataset) -> None:
    """Raise unless a supernet can classify a data set's images.

    Raises:
        InputError: naming the classes, channels or shape that differ.
    """
    mend = "supernet train --init FILE makes one for it"
    check_class_names(info.classes, data, "the supernet", mend)
    (height, width, channels), shape = info.input_shape, data.image_shape
    if channels != shape[2]:
        raise InputError(
            f"the supernet reads images of {channels} channels, {data.name} has {shape[2]}"
        )
    if abs(shape[0] / shape[1] - height / width) > _SAME_ASPECT * height / width:
        raise InputError(
            f"the supernet was trained on images of {height}x{width} (height x width), {data.name} "
            f"has {shape[0]}x{shape[1]}: --image-size {height}x{width} brings them to that shape"
        )


def _some(images: ImageSet, n: int | None, rng: np.random.Generator) -> ImageSet:
    if n is None or n >= len(images):
        return images
    return images.take(np.sort(rng.permutation(len(images))[:n]))
