"""The int8 tensors of a base that a router reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.export.device_layers import Steps
from hybrid_nas.quantise.int8_graph import Int8Graph
from hybrid_nas.quantise.int8_kernels import Int8Array
from hybrid_nas.quantise.scheme import Affine
from hybrid_nas.routing.designs import RouterDesign
from hybrid_nas.routing.signals import Block

_MOST_TERMS = (1 << 31) // (128 * 128)  # products of int8 that an int32 surely holds


@dataclass(frozen=True)
class Reading:
    """Shapes and schemes of what is read.

    Attributes:
        classes: scores of the base.
        scores: their scale and zero point.
        width: features, or channels of a stage; 0 if neither is read.
        pixels: of that stage, whose mean is read; 0 if none is.
        tensor: scale and zero point of features or stage; None if neither is read.
    """

    classes: int
    scores: Affine
    width: int = 0
    pixels: int = 0
    tensor: Affine | None = None

    @classmethod
    def of(cls, design: RouterDesign, graph: Int8Graph, cuts: Sequence[int]) -> Reading:
        """What a design reads of a base that has these cuts.

        Raises:
            InputError: the base has no such cut, unpooled features, or more than can be summed.
        """
        classes, scores = graph.classes, graph.ops[-1].output
        if not (design.cut or design.needs_features):
            return cls(classes, scores)
        if design.cut > len(cuts):
            raise InputError(
                f"{design.kind} decides at cut {design.cut} and the base has {len(cuts)}: choose "
                "a router that decides once the base has answered"
            )
        index = cuts[design.cut - 1] if design.cut else graph.features_index
        height, width, channels = graph.input_shape
        if index >= 0:
            spec = graph.ops[index].spec
            height, width, channels = spec.out_h, spec.out_w, spec.cout
        pixels = height * width
        if not design.cut and pixels != 1:
            raise InputError(
                f"the classifier reads {height} x {width} x {channels} values: routers read pooled "
                "features, one pixel; choose one that reads scores only"
            )
        if max(channels, classes, pixels) > _MOST_TERMS:
            raise InputError(
                f"sums of {max(channels, classes, pixels)} products do not fit into 32 bits: the "
                f"device's router adds up to {_MOST_TERMS}"
            )
        return cls(classes, scores, channels, pixels if design.cut else 0, graph.affine(index))

    @property
    def steps(self) -> Mapping[Block, Steps]:
        """Integers of the blocks that there are, but `stats`."""
        known: dict[Block, Steps] = {
            "class": Steps(1.0, 0.0),
            "logits": Steps(self.scores.scale, self.scores.zero),
        }
        if self.tensor is None:
            return known
        if not self.pixels:
            return known | {"features": Steps(self.tensor.scale, self.tensor.zero)}
        mean = Steps(self.tensor.scale / self.pixels, self.tensor.zero * self.pixels)
        return known | {"stage1": mean, "stage2": mean}

    def tensors(
        self,
        design: RouterDesign,
        scores: Int8Array | None,
        features: Int8Array | None,
        stage: Int8Array | None,
    ) -> tuple[Int8Array, ...]:
        """Those that are read: (n, classes) and perhaps (n, width), or (n, pixels, width).

        Raises:
            InputError: one is missing, or has another shape or type.
        """
        if design.cut:
            return (_shaped(stage, "stage", (self.pixels, self.width)),)
        first = _shaped(scores, "scores", (self.classes,))
        if not design.needs_features:
            return (first,)
        second = _shaped(features, "features", (self.width,))
        if len(first) != len(second):
            raise InputError(f"{len(first)} rows of scores and {len(second)} of features")
        return first, second


def _shaped(tensor: Int8Array | None, name: str, shape: tuple[int, ...]) -> Int8Array:
    if tensor is None:
        raise InputError(f"this router reads the base's int8 {name}: give them")
    found = int(np.prod(tensor.shape[1:]))
    if tensor.dtype != np.int8 or found != int(np.prod(shape)) or tensor.shape[-1] != shape[-1]:
        wanted = " x ".join(map(str, shape))
        raise InputError(
            f"{name} are {tensor.dtype} {tensor.shape}: expected int8, {wanted} for each input"
        )
    return tensor.reshape(len(tensor), *shape)
