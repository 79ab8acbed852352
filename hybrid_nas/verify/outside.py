"""What other runtimes say of the same images, those that are installed.

onnxruntime and LiteRT compute as the device does. TensorFlow Lite for Microcontrollers rounds twice
on the way from a sum to int8, so that its scores differ by a few steps.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from hybrid_nas.export.network import ExportedNetwork
from hybrid_nas.export.onnx_base import int8_of
from hybrid_nas.export.onnx_models import base_model, to_bytes
from hybrid_nas.export.onnx_run import OnnxFile
from hybrid_nas.export.tflite_file import tflite_bytes
from hybrid_nas.export.tflite_judges import LiteRt, Tflm
from hybrid_nas.quantise.int8_kernels import Int8Array
from hybrid_nas.quantise.int8_reference import int8_image
from hybrid_nas.typing import ByteArray

LITERT, TFLM = "LiteRT", "TensorFlow Lite for Microcontrollers"

_JUDGES: tuple[tuple[str, str, type[LiteRt] | type[Tflm]], ...] = (
    (LITERT, "ai_edge_litert", LiteRt),
    (TFLM, "tflite_micro", Tflm),
)

Outside = tuple[tuple[str, Int8Array], ...]
"""Names of runtimes, and their int8 scores (n, classes)."""


def outside_scores(network: ExportedNetwork, images: ByteArray, threads: int = 1) -> Outside:
    """Run the files that `hybrid-nas export` writes.

    Args:
        network: with an int8 version.
        images: uint8 (n, h, w, c), as the network reads them.
        threads: of onnxruntime.

    Raises:
        InputError: the network has no int8 version.
        HybridNasError: a runtime refuses its file.
    """
    found = [("onnxruntime", onnxruntime_scores(network, images, threads))]
    for who, package, judge in _JUDGES:
        if find_spec(package) is not None:
            file = judge(tflite_bytes(network))
            found.append((who, np.stack([file.scores(image) for image in int8_image(images)])))
    return tuple(found)


def onnxruntime_scores(network: ExportedNetwork, images: ByteArray, threads: int = 1) -> Int8Array:
    """Of the QDQ file alone; arguments and errors as in `outside_scores`."""
    output = int8_of(network).ops[-1].output
    content = to_bytes(base_model(network, "int8"))
    scores = OnnxFile(content, threads=threads).each(image=images)["scores"]
    steps: Int8Array = (np.rint(scores / np.float32(output.scale)) + output.zero).astype(np.int8)
    return steps
