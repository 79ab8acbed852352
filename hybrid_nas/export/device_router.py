"""A fitted router in the device's numbers, and what the device makes of them, to the bit.

`FittedRouter` computes in float64 on dequantised signals. A device has the base's int8 tensors and
float32 at best: `DeviceRouter` holds its constants and does what firmware/router/hnas_router.c does
in the same order of operations. Thresholds are fitted on its scores, so what was calibrated is what
is flashed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.export import device_math as fn
from hybrid_nas.export import device_router_c
from hybrid_nas.export.device_layers import (
    FirstLayer,
    LastLayer,
    add_products,
    first_layer,
    laid_out_constants,
)
from hybrid_nas.export.device_reading import Reading
from hybrid_nas.export.device_signals import Ranked, confidence
from hybrid_nas.quantise.int8_graph import Int8Graph
from hybrid_nas.quantise.int8_kernels import Int8Array
from hybrid_nas.routing.designs import RouterDesign
from hybrid_nas.routing.drift import MEMORY, RateController, fit_controller
from hybrid_nas.routing.fitted import FittedRouter
from hybrid_nas.routing.network import RouterNetwork
from hybrid_nas.routing.objectives import OBJECTIVES, breaks_even
from hybrid_nas.routing.signals import count_signals
from hybrid_nas.routing.thresholds import fit_threshold
from hybrid_nas.typing import Float32Array

_CHUNK_VALUES = 2_000_000  # scores, or values of a stage, that are worked on at a time


@dataclass(frozen=True, eq=False)
class DeviceRouter:
    """Constants of a router on a device.

    Attributes:
        design: what runs: a plain confidence's where the router gave way to one.
        method: the objective, or the plain confidence.
        reading: the int8 tensors that are read.
        first: None for a plain confidence.
        last: the layer after the hidden one; None without hidden units.
        thresholds: by target coverage; inputs with a higher score are sent. All are float32
            numbers, the largest one where nothing is ever sent.
        controller: a threshold that follows its inputs, if wanted.
    """

    design: RouterDesign
    method: str
    reading: Reading
    first: FirstLayer | None
    last: LastLayer | None
    thresholds: Mapping[float, float] = field(default_factory=dict)
    controller: RateController | None = None

    @classmethod
    def of(cls, router: FittedRouter, graph: Int8Graph, cuts: Sequence[int] = ()) -> DeviceRouter:
        """The constants of a router for a base; without thresholds, which its own scores give.

        Args:
            router: fitted to that base.
            graph: the base.
            cuts: for each place where a router may leave the base early, the operator before it
                (`training.int8_base.Int8Base.cuts`).

        Raises:
            InputError: the router is of another base, or its constants are too large.
        """
        design = router.deployed_design
        reading = Reading.of(design, graph, cuts)
        width = router.n_features if router.network is not None else reading.width
        if (reading.classes, reading.width) != (router.n_classes, width):
            raise InputError(
                f"the router reads {width} features of a base with {router.n_classes} classes, "
                f"this base has {reading.width} and {reading.classes}: use the router that was "
                "fitted to it"
            )
        if router.network is None:
            return cls(design, router.method, reading, None, None)
        network = router.network.keep(OBJECTIVES[router.method].heads)
        return cls(design, router.method, reading, *_layers(network, design, reading))

    @property
    def break_even(self) -> bool:
        """Whether a score of 0 means that base and cloud are equally likely to be right."""
        return breaks_even(self.method)

    @property
    def flash_bytes(self) -> int:
        """Bytes of its constants in flash, its threshold and controller included."""
        return device_router_c.flash_bytes(self)

    @property
    def scratch_bytes(self) -> int:
        """Bytes of scratch memory that the C function works in."""
        return device_router_c.scratch_bytes(self)

    @property
    def sram_bytes(self) -> int:
        """Scratch, and the int8 scores and features that are read; not an early router's tensor."""
        return device_router_c.sram_bytes(self)

    def to_c(self, name: str) -> str:
        """C text that defines the constant `name` of type hnas_router (`device_router_c.to_c`)."""
        return device_router_c.to_c(self, name)

    def send_score(
        self,
        scores: Int8Array | None,
        features: Int8Array | None = None,
        stage: Int8Array | None = None,
    ) -> Float32Array:
        """The send score (n,) of n inputs, as the device computes it.

        Args:
            scores: the base's last output, (n, classes); None for an early router.
            features: what the classifier reads, (n, features), where the router reads it.
            stage: output of the operator at the router's cut, (n, h, w, channels), where it does.

        Raises:
            InputError: what is read is missing, or has another shape.
        """
        tensors = self.reading.tensors(self.design, scores, features, stage)
        n = len(tensors[0])
        rows = max(1, _CHUNK_VALUES // max(math.prod(tensor.shape[1:]) for tensor in tensors))
        parts = [
            self._score(*(tensor[start : start + rows] for tensor in tensors))
            for start in range(0, n, rows)
        ]
        return np.concatenate([np.empty(0, np.float32), *parts])

    def with_thresholds(self, score: Float32Array, coverages: tuple[float, ...]) -> DeviceRouter:
        """The same router with thresholds for its scores (n,) of calibration inputs."""
        exact = score.astype(np.float64)
        thresholds = {
            coverage: fn.float32_below(fit_threshold(exact, coverage, break_even=self.break_even))
            for coverage in coverages
        }
        return replace(self, thresholds=thresholds)

    def with_controller(
        self, score: Float32Array, coverage: float, memory: int = MEMORY
    ) -> DeviceRouter:
        """The same router with a threshold that follows its inputs, from the fixed one if any.

        Raises:
            InputError: as `drift.fit_controller` does.
        """
        controller = fit_controller(
            score.astype(np.float64),
            1.0 - coverage,
            threshold=self.thresholds.get(coverage),
            memory=memory,
        )
        return replace(self, controller=controller)

    def _score(self, first: Int8Array, *more: Int8Array) -> Float32Array:
        if self.first is None:
            return confidence(Ranked.of(first, self.reading.scores), self.method)
        y = self._first_outputs(first, *more)
        if self.last is not None:
            y = self.last(np.where(y > 0.0, y, np.float32(0.0)))
        match self.method:
            case "signed-gain":
                return fn.sigmoid(y[:, 0]) - fn.sigmoid(y[:, 1])
            case "oracle-label" | "oracle-label-penalised":
                return fn.sigmoid(y[:, 0])
            case _:
                return y[:, 0].copy()

    def _first_outputs(self, tensor: Int8Array, *more: Int8Array) -> Float32Array:
        assert self.first is not None
        rows = self.first.rows
        if self.design.cut:
            sums = tensor.sum(axis=1, dtype=np.int64)
            return self.first.bias + rows[self.design.blocks[0]](sums)
        ranked = Ranked.of(tensor, self.reading.scores)
        y = add_products(self.first.bias, ranked.stats, self.first.stats)
        if "class" in rows:
            y = y + rows["class"].pick(ranked.best)
        if "logits" in rows:
            y = y + rows["logits"](tensor.astype(np.int64))
        if "features" in rows:
            y = y + rows["features"](more[0].astype(np.int64))
        return y


def _layers(
    network: RouterNetwork, design: RouterDesign, reading: Reading
) -> tuple[FirstLayer, LastLayer | None]:
    widths = {b: count_signals((b,), reading.classes, reading.width) for b in design.blocks}
    layer = network.out if network.hidden is None else network.hidden
    with np.errstate(over="ignore", invalid="ignore"):
        first = first_layer(layer, network.mean, network.scale, widths, reading.steps)
        last = None if network.hidden is None else LastLayer.of(network.out)
        constants = laid_out_constants(first, last)
    if not np.isfinite(constants).all():
        raise InputError("the router's weights are beyond float32: fit it again")
    return first, last
