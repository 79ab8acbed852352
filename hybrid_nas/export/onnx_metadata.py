"""What an ONNX file says of itself: ``metadata_props``, plain words or JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import onnx

from hybrid_nas import __version__
from hybrid_nas.onnx_writer import OPSET

PREFIX = "hybrid_nas."


@dataclass(frozen=True)
class CalibrationData:
    """What activations' ranges were measured on.

    Attributes:
        name: of the data set and split.
        images: how many.
        sha256: of the data, hex.
    """

    name: str
    images: int
    sha256: str

    def document(self) -> dict[str, Any]:
        """As plain values."""
        return {"data": self.name, "images": self.images, "sha256": self.sha256}


@dataclass(frozen=True)
class Provenance:
    """Where a model comes from, beyond what its network tells.

    Attributes:
        calibration: of an int8 network; None where it is not known.
        notes: further keys and texts (run, pair, hashes).
    """

    calibration: CalibrationData | None = None
    notes: Mapping[str, str] = field(default_factory=dict)


def preprocessing(input_shape: tuple[int, int, int]) -> dict[str, Any]:
    """How an image becomes the input ``image``, for users and programs."""
    height, width, channels = input_shape
    colours = {1: "grey", 3: "RGB"}.get(channels, f"{channels} channels")
    return {
        "input": "uint8, batch 1, height, width, channels",
        "height": height,
        "width": width,
        "channels": colours,
        "resize": "antialiased bilinear, rounded to whole grey levels",
        "normalise": "none: (level - 127.5) / 127.5 is inside the graph",
    }


def describe(model: onnx.ModelProto, properties: Mapping[str, Any]) -> None:
    """Set producer, opset and the given properties (texts as they are, anything else as JSON)."""
    model.producer_name, model.producer_version = "hybrid-nas", __version__
    everything = {"opset": OPSET, **properties}
    for key in sorted(everything):
        value = everything[key]
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        model.metadata_props.add(key=f"{PREFIX}{key}", value=text)


def properties_of(model: onnx.ModelProto) -> dict[str, str]:
    """What `describe` wrote, without the prefix."""
    return {
        entry.key.removeprefix(PREFIX): entry.value
        for entry in model.metadata_props
        if entry.key.startswith(PREFIX)
    }
