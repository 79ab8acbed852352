"""Networks as int8 TFLite files: what TFLM, ESP-NN, Vela and Edge Impulse take."""

from __future__ import annotations

import json
from pathlib import Path

from hybrid_nas.errors import InputError
from hybrid_nas.export.network import ExportedNetwork
from hybrid_nas.export.tflite_borders import Border
from hybrid_nas.export.tflite_graph import TfliteGraph, tflite_graph
from hybrid_nas.export.tflite_plan import METADATA_NAME as PLAN
from hybrid_nas.export.tflite_plan import plan_metadata
from hybrid_nas.export.tflite_schema import serialise
from hybrid_nas.files import atomic_write

METADATA_NAME = "hybrid-nas"
METADATA_SCHEMA = "hybrid-nas/tflite/1"
MIN_RUNTIME = "1.14.0"
"""TensorFlow Lite that first had all operators in these versions."""
_MIN_RUNTIME_BYTES = 16


def tflite_bytes(
    network: ExportedNetwork,
    *,
    border: Border = "auto",
    with_plan: bool = True,
    provenance: dict[str, str] | None = None,
) -> bytes:
    """A network as a TFLite file; the same network gives the same bytes.

    Input: int8 (1, h, w, c), grey level u as u - 128. Output: int8 scores (1, classes).

    Args:
        network: with an int8 graph.
        border: how windows are written that TFLite pads otherwise.
        with_plan: bring a memory plan for TensorFlow Lite for Microcontrollers along.
        provenance: into the metadata, beside the names of the classes.

    Raises:
        InputError: the network has no int8 version, or a window that TFLite cannot express.
    """
    if network.graph is None:
        raise InputError(f"{network.name} has operators without an int8 kernel: no TFLite file")
    return _written(network, tflite_graph(network.graph, border), with_plan, provenance or {})


def write_tflite(network: ExportedNetwork, path: Path, **settings: object) -> int:
    """Write `tflite_bytes` to a file; its size in bytes."""
    data = tflite_bytes(network, **settings)  # type: ignore[arg-type]
    atomic_write(path, data)
    return len(data)


def _written(
    network: ExportedNetwork, graph: TfliteGraph, with_plan: bool, provenance: dict[str, str]
) -> bytes:
    assert network.graph is not None
    height, width, channels = network.graph.input_shape
    about = {
        "schema": METADATA_SCHEMA,
        "name": network.name,
        "classes": list(network.classes),
        "input": {
            "height": height,
            "width": width,
            "channels": channels,
            "value": "grey level - 128",
        },
        "provenance": provenance,
    }
    metadata = {
        "min_runtime_version": MIN_RUNTIME.encode().ljust(_MIN_RUNTIME_BYTES, b"\0"),
        METADATA_NAME: json.dumps(about, sort_keys=True).encode(),
    }
    if with_plan:
        metadata[PLAN] = plan_metadata(graph)
    description = f"{network.name}: int8 classifier, {len(network.classes)} classes, hybrid-nas"
    return serialise(graph, description, metadata)
