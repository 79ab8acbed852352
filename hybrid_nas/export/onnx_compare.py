"""Exported ONNX files against what they were written from, on the same images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hybrid_nas.data.dataset import ImageSet
from hybrid_nas.export.from_run import ExportedPair
from hybrid_nas.export.int8_outputs import int8_outputs, network_pixels
from hybrid_nas.export.network import ExportedNetwork, Precision
from hybrid_nas.export.onnx_base import int8_of
from hybrid_nas.export.onnx_router import signals_read
from hybrid_nas.export.onnx_run import Array, OnnxFile
from hybrid_nas.quantise.float_graph import run_float
from hybrid_nas.quantise.int8_kernels import Int8Array
from hybrid_nas.routing.fitted import FittedRouter
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.supernet.preprocess import prepare
from hybrid_nas.typing import BoolArray, Float32Array, IntArray

_BATCH = 64


@dataclass(frozen=True)
class Agreement:
    """An exported base beside its reference, on labelled images.

    Attributes:
        images: how many.
        max_difference: largest of any score; in int8, in steps of the scores.
        classes_equal: share of images that both put into the same class.
        accuracy: of the file.
        reference_accuracy: of torch in float, of the integer reference in int8.
    """

    images: int
    max_difference: float
    classes_equal: float
    accuracy: float
    reference_accuracy: float


@dataclass(frozen=True)
class RouterAgreement:
    """An exported router beside `FittedRouter`, on equal signals.

    Attributes:
        images: how many.
        max_difference: largest of any send score.
        decisions_equal: share of images that both keep or both send.
    """

    images: int
    max_difference: float
    decisions_equal: float


@dataclass(frozen=True)
class OnnxAgreement:
    """What `compare` finds, by precision."""

    of: Mapping[Precision, Agreement]

    def document(self) -> dict[str, Any]:
        """As plain values."""
        return {precision: asdict(found) for precision, found in self.of.items()}


def compare(
    network: ExportedNetwork,
    files: Mapping[Precision, Path],
    images: ImageSet,
    *,
    int8_scores: Int8Array | None = None,
    threads: int = 1,
) -> OnnxAgreement:
    """Run files of a base on images and compare: fp32 with torch, int8 with the exact reference.

    Args:
        network: what the files were written from.
        files: with an output ``scores``, by precision.
        images: stored images of any size, with labels.
        int8_scores: what the reference says of them, (n, classes), if that is known already.
        threads: of onnxruntime.

    Raises:
        HybridNasError: onnxruntime cannot run a file.
    """
    pixels = network_pixels(images.images, network.architecture.input_shape)
    found: dict[Precision, Agreement] = {}
    for precision, path in files.items():
        scores = OnnxFile(path.read_bytes(), threads=threads).each(image=pixels)["scores"]
        reference: Array
        if precision == "int8":
            graph = int8_of(network)
            output = graph.ops[-1].output
            scores = np.rint(scores / np.float32(output.scale)).astype(np.int64) + output.zero
            if int8_scores is None:
                int8_scores = int8_outputs(graph, images.images).scores
            reference = int8_scores.astype(np.int64)
        else:
            reference = _float_scores(network, images)
        found[precision] = Agreement(
            images=len(pixels),
            max_difference=float(np.abs(scores - reference).max()),
            classes_equal=float((scores.argmax(1) == reference.argmax(1)).mean()),
            accuracy=_accuracy(scores, images.labels),
            reference_accuracy=_accuracy(reference, images.labels),
        )
    return OnnxAgreement(found)


def compare_with_reference(
    exported: ExportedPair, files: Mapping[Precision, Path]
) -> OnnxAgreement:
    """`compare` on the test split of a pair."""
    known = None if exported.network.graph is None else exported.int8("test").scores
    images = exported.subject.data.split("test")
    return compare(exported.network, files, images, int8_scores=known)


def compare_router(
    content: bytes, router: FittedRouter, coverage: float, outputs: ModelOutputs
) -> RouterAgreement:
    """Run a router's file on what a base said of images.

    Args:
        content: of a router's file.
        router: what it was written from, with a threshold for `coverage`.
        coverage: that the file was written for.
        outputs: of a base; logits, and the features that the router reads.

    Raises:
        InputError: the router has no threshold for `coverage`, or reads what `outputs` lack.
        HybridNasError: onnxruntime cannot run the file.
    """
    wanted, decided = router.send_score(outputs), router.sent(outputs, coverage)
    found = OnnxFile(content).each(**router_signals(router, outputs))
    send: BoolArray = found["send"]
    return RouterAgreement(
        len(wanted),
        float(np.abs(found["send_score"] - wanted).max()),
        float((send == decided).mean()),
    )


def router_signals(router: FittedRouter, outputs: ModelOutputs) -> dict[str, Float32Array]:
    """Inputs of a router's file, (n, width) each."""
    there = {"scores": outputs.logits, "features": outputs.features}
    there |= {f"stage{k}": stage for k, stage in enumerate(outputs.stage_features, 1)}
    signals = {name: there[name] for name in signals_read(router)}
    return {name: np.asarray(array, np.float32) for name, array in signals.items()}


def _float_scores(network: ExportedNetwork, images: ImageSet) -> Float32Array:
    """Scores of stored images (n, classes), by torch."""
    size = network.architecture.input_shape[:2]
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), _BATCH):
            batch = prepare(images.images[start : start + _BATCH], size)
            parts.append(run_float(network.float_ops, batch).logits.numpy())
    return np.concatenate(parts)


def _accuracy(scores: Array, labels: IntArray) -> float:
    return float((scores.argmax(1) == labels).mean())
