"""``pair.yaml``: everything about an exported pair that is no weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hybrid_nas.export.device_router import DeviceRouter
from hybrid_nas.export.figures import ExportFigures
from hybrid_nas.export.from_run import ExportedPair
from hybrid_nas.export.network import ExportedNetwork
from hybrid_nas.quantise.scheme import Affine
from hybrid_nas.routing.guarantees import Guarantee
from hybrid_nas.search.provenance import versions
from hybrid_nas.training.recipe import FinalRecipe

SCHEMA = "hybrid-nas/exported-pair/1"
PREPROCESSING = (
    "resize to the input's height and width (bilinear, antialiased, rounded to bytes), then "
    "(x - 127.5) / 127.5 in float, or x - 128 in int8"
)


def pair_document(
    exported: ExportedPair,
    figures: ExportFigures | None,
    guarantees: Sequence[Guarantee] = (),
) -> dict[str, Any]:
    """The document, but for the list of files."""
    pair, subject = exported.pair, exported.subject
    record = pair.directory.read_settings()
    return {
        "name": exported.network.name,
        "base": {
            "space": pair.setup.space.name,
            "genes": pair.setup.space.to_dict(pair.candidate.genes),
            **network_document(exported.network),
            "trained": subject.trained,
        },
        "router": None if exported.device is None else _router(exported, exported.device),
        "guarantees": [
            {**one.document(), "calibrated_on": "the device's own scores of the threshold split"}
            for one in guarantees
        ],
        "cloud": None
        if subject.cloud is None
        else {"name": subject.cloud.name, "sha256": subject.cloud.fingerprint},
        "accuracy": None if figures is None else figures.document(),
        "search": {
            "run": pair.directory.path.name,
            "pair": pair.number,
            "cost": pair.document["cost"],
            "score": pair.document["hybrid"],
        },
        "provenance": {
            "hashes": record["hashes"],
            "searched_with": record.get("versions"),
            "exported_with": versions(),
        },
    }


def network_document(network: ExportedNetwork) -> dict[str, Any]:
    """Shape, sizes and numbers of one network."""
    height, width, channels = network.architecture.input_shape
    document: dict[str, Any] = {
        "input": {
            "height": height,
            "width": width,
            "channels": channels,
            "preprocessing": PREPROCESSING,
        },
        "classes": list(network.classes),
        "macs": network.architecture.macs,
        "params": network.architecture.params,
    }
    graph = network.graph
    if graph is not None:
        document["quantisation"] = {
            "scheme": "int8, activations per tensor, weights symmetric per channel (TFLite's)",
            "input": _affine(graph.input),
            "scores": _affine(graph.ops[-1].output),
            "features": _affine(graph.affine(graph.features_index)),
            "constant_bytes": sum(op.constant_bytes for op in graph.ops),
        }
    return document


def calibration_document(exported: ExportedPair) -> dict[str, Any]:
    """Which images the ranges of activations were measured on."""
    return {
        "data": exported.pair.setup.settings.data,
        "sha256": exported.subject.data.fingerprint,
        "what": "training images",
        "images": FinalRecipe().calibration_images,
    }


def _affine(affine: Affine) -> dict[str, Any]:
    return {"scale": affine.scale, "zero_point": affine.zero}


def _router(exported: ExportedPair, device: DeviceRouter) -> dict[str, Any]:
    router = exported.subject.router
    return {
        "kind": router.design.kind,
        "deployed": device.design.kind,
        "method": device.method,
        "flash_bytes": device.flash_bytes,
        "sram_bytes": device.sram_bytes,
        "thresholds": {format(c, "g"): t for c, t in device.thresholds.items()},
        "thresholds_set_on": "the device's own scores of the threshold split",
        "target_coverage": exported.coverage,
        "rate_controller": None if device.controller is None else device.controller.to_dict(),
    }
