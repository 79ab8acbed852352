"""ONNX files of a base, its router, and both as one graph. Batch size one.

All read the image as uint8 (1, h, w, c), resized; what else a network needs is inside the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto

from hybrid_nas.errors import HybridNasError, InputError
from hybrid_nas.export.network import ExportedNetwork, Precision
from hybrid_nas.export.onnx_base import BaseNodes
from hybrid_nas.export.onnx_metadata import Provenance, describe, preprocessing
from hybrid_nas.export.onnx_router import Decision, signals_read, write_router
from hybrid_nas.files import atomic_write
from hybrid_nas.onnx_writer import OnnxWriter
from hybrid_nas.routing.fitted import FittedRouter


def base_model(
    network: ExportedNetwork,
    precision: Precision,
    *,
    cuts: Sequence[int] = (),
    provenance: Provenance | None = None,
) -> onnx.ModelProto:
    """A classifier: ``image`` in, ``scores`` (1, classes) and ``features`` (1, f) out, float32.

    Args:
        network: what to write.
        precision: of its operators; int8 is written in QDQ form.
        cuts: operators whose pooled outputs are given too, as ``stage1`` and so on (1, channels).
        provenance: for the metadata.

    Raises:
        InputError: the network has no int8 version and that is asked for.
    """
    writer = OnnxWriter()
    base = BaseNodes(writer, network, precision, cuts)
    for name, width in base.outputs.items():
        writer.output(base.output(name), TensorProto.FLOAT, [1, width])
    model = writer.model(network.name)
    describe(model, _about_network(network, precision, provenance) | {"part": "base"})
    return model


def router_model(router: FittedRouter, coverage: float, *, name: str = "router") -> onnx.ModelProto:
    """A router: ``send_score`` float32 (1,) and ``send`` bool (1,) out.

    It has the inputs that its design reads, named as the base's outputs: ``scores`` (1, classes),
    ``features`` (1, f), ``stage1`` or ``stage2`` (1, channels).

    Raises:
        InputError: it has no threshold for that coverage.
    """
    writer = OnnxWriter()
    widths = {"scores": router.n_classes}
    signals = {
        signal: writer.input(signal, TensorProto.FLOAT, [1, widths.get(signal, router.n_features)])
        for signal in signals_read(router)
    }
    threshold = _threshold(router, coverage)
    _declare(writer, write_router(writer, router, signals, threshold))
    model = writer.model(name)
    describe(model, _about_router(router, coverage) | {"part": "router"})
    return model


def pair_model(
    network: ExportedNetwork,
    precision: Precision,
    router: FittedRouter,
    coverage: float,
    *,
    cuts: Sequence[int] = (),
    provenance: Provenance | None = None,
) -> onnx.ModelProto:
    """Base and router as one graph.

    ``image`` in; ``class`` int64 (1,), ``scores`` float32 (1, classes), ``send`` bool (1,) and
    ``send_score`` float32 (1,) out. The router is in float32 behind either base. A graph runs as a
    whole: behind an early router, the rest of the base is computed although the image is sent.

    Raises:
        InputError: the network has no int8 version and that is asked for, the router is of another
            base, or it has no threshold for that coverage.
    """
    threshold = _threshold(router, coverage)
    writer = OnnxWriter()
    base = BaseNodes(writer, network, precision, cuts)
    widths, scores = base.outputs, base.output("scores")
    signals = {}
    for name in signals_read(router):
        wanted = router.n_classes if name == "scores" else router.n_features
        if widths.get(name) != wanted:
            raise InputError(
                f"the router reads {wanted} {name} and {network.name} has "
                f"{widths.get(name, 'none')}: use the router that was fitted to it"
            )
        signals[name] = scores if name == "scores" else base.output(name)
    writer.node("ArgMax", scores, name="class", axis=1, keepdims=0)
    decision = write_router(writer, router, signals, threshold)
    writer.output("class", TensorProto.INT64, [1])
    writer.output(scores, TensorProto.FLOAT, [1, widths["scores"]])
    _declare(writer, decision)
    model = writer.model(network.name)
    about = _about_network(network, precision, provenance) | _about_router(router, coverage)
    describe(model, about | {"part": "pair"})
    return model


def to_bytes(model: onnx.ModelProto) -> bytes:
    """The file's content, the same for the same model.

    Raises:
        HybridNasError: it is no valid ONNX.
    """
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise HybridNasError(
            f"the ONNX graph is not valid: {str(error).splitlines()[0]}"
        ) from error
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def write_onnx(model: onnx.ModelProto, path: Path) -> None:
    """Check a model and write it.

    Raises:
        HybridNasError: it is no valid ONNX.
    """
    atomic_write(path, to_bytes(model))


def _threshold(router: FittedRouter, coverage: float) -> float:
    if coverage not in router.thresholds:
        known = ", ".join(format(c, "g") for c in router.thresholds) or "none"
        raise InputError(f"the router has no threshold for coverage {coverage:g}, only {known}")
    return router.thresholds[coverage]


def _declare(writer: OnnxWriter, decision: Decision) -> None:
    writer.output(decision.send, TensorProto.BOOL, [1])
    writer.output(decision.send_score, TensorProto.FLOAT, [1])


def _about_network(
    network: ExportedNetwork, precision: Precision, provenance: Provenance | None
) -> dict[str, Any]:
    found = provenance or Provenance()
    about: dict[str, Any] = {
        **found.notes,
        "network": network.name,
        "architecture": network.architecture.name or network.name,
        "precision": precision,
        "classes": list(network.classes),
        "preprocessing": preprocessing(network.architecture.input_shape),
    }
    if precision == "int8":
        about["quantisation"] = "QDQ: int8, weights per output channel, int32 biases"
        if found.calibration is not None:
            about["calibration"] = found.calibration.document()
    return about


def _about_router(router: FittedRouter, coverage: float) -> dict[str, Any]:
    return {
        "router": router.deployed_design.kind,
        "router_method": router.method,
        "coverage": format(coverage, "g"),
        "thresholds": {format(c, "g"): t for c, t in router.thresholds.items()},
    }
