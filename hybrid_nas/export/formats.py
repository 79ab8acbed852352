"""Which files an export writes, and which of them a network can have."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_nas.errors import InputError
from hybrid_nas.export.network import ExportedNetwork

FORMATS = ("onnx", "tflite", "c")


def check_formats(network: ExportedNetwork, formats: Sequence[str], *, plan: bool = False) -> None:
    """Refuse an export of which nothing would be written.

    A network without an int8 version is written as ONNX in float, whatever else was asked for.

    Args:
        network: what to write.
        formats: some of `FORMATS`.
        plan: whether the arena's plan was asked for.

    Raises:
        InputError: it has no int8 version, and what was asked for needs one.
    """
    if network.graph is not None:
        return
    why = f"{network.name} has operators without an int8 kernel (squeeze-and-excitation, h-swish)"
    if plan:
        raise InputError(f"--plan: {why}, so no arena to plan: leave --plan out")
    if "onnx" not in formats:
        raise InputError(f"{why}: only --formats onnx can hold it, in float")
