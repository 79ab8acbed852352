"""What the int8 network says of many images, in its own integers and as a router reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hybrid_nas.data.dataset import ImageSet
from hybrid_nas.quantise.int8_graph import Int8Graph
from hybrid_nas.quantise.int8_kernels import Int8Array
from hybrid_nas.quantise.int8_reference import int8_image, run_int8
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.supernet.preprocess import resize, to_tensor
from hybrid_nas.typing import ByteArray, Float32Array

_BATCH = 64


@dataclass(frozen=True, eq=False)
class Int8Outputs:
    """Integers of n images, exact.

    Attributes:
        scores: int8 (n, classes).
        features: what the classifier reads, int8 (n, f).
        stages: outputs at the cuts, int8 (n, h, w, c) each.
    """

    scores: Int8Array
    features: Int8Array
    stages: tuple[Int8Array, ...] = ()


def network_pixels(images: ByteArray, input_shape: tuple[int, int, int]) -> ByteArray:
    """Stored images, uint8 (n, h, w, c), resized to what the network reads."""
    resized = resize(to_tensor(images), input_shape[:2])
    found: ByteArray = resized.permute(0, 2, 3, 1).contiguous().numpy()
    return found


def int8_outputs(graph: Int8Graph, images: ByteArray, cuts: Sequence[int] = ()) -> Int8Outputs:
    """Run stored images, uint8 (n, h, w, c); `cuts` are operators whose outputs are kept."""
    parts: list[list[Int8Array]] = []
    for start in range(0, len(images), _BATCH):
        pixels = network_pixels(images[start : start + _BATCH], graph.input_shape)
        outputs = run_int8(graph, int8_image(pixels))
        n = len(pixels)
        ends = [outputs[-1].reshape(n, -1), outputs[graph.features_index].reshape(n, -1)]
        parts.append(ends + [outputs[cut] for cut in cuts])
    scores, features, *stages = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Int8Outputs(scores, features, tuple(stages))


def as_model_outputs(
    graph: Int8Graph, found: Int8Outputs, images: ImageSet, cuts: Sequence[int], source: str
) -> ModelOutputs:
    """The same as real numbers, with labels and groups; `source` names them in messages."""

    def real(index: int, steps: Int8Array) -> Float32Array:
        affine = graph.affine(index)
        return np.float32(affine.scale) * (steps.astype(np.float32) - affine.zero)

    return ModelOutputs(
        labels=images.labels,
        logits=real(len(graph.ops) - 1, found.scores),
        features=real(graph.features_index, found.features),
        groups=images.groups,
        stage_features=tuple(
            real(cut, stage).mean((1, 2)) for cut, stage in zip(cuts, found.stages, strict=True)
        ),
        source=source,
    )
