"""A model file as a list of operators: what logs without shapes are matched with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hybrid_nas.errors import InputError
from hybrid_nas.profiling.models.windows import Shape
from hybrid_nas.spaces.opspec import OpKind, OpSpec


@dataclass(frozen=True)
class ModelOp:
    """One operator of a model.

    Attributes:
        index: place in execution order, from 0.
        type: what the format calls it: ``CONV_2D``, ``QLinearConv``.
        name: of its output tensor, or of the node.
        kind: which kind of `OpSpec` it is; None for reshapes, padding and whatever has none.
        spec: the operator, if an `OpSpec` can say what it is.
        reason: why not, where ``kind`` is set and ``spec`` is None.
        after_pad: for a convolution behind a padding operator: both as one operator, for runtimes
            that fuse them. None where there is no padding operator, or nothing to express.
        out_shape: dimensions of the output without the batch.
        inputs, outputs: names of the activations read and written, for the wiring.
    """

    index: int
    type: str
    name: str
    kind: OpKind | None
    spec: OpSpec | None = None
    reason: str = ""
    after_pad: OpSpec | None = None
    out_shape: tuple[int, ...] = ()
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    def __str__(self) -> str:
        """For messages: ``operator 3 (DEPTHWISE_CONV_2D, 'block/depthwise')``."""
        # TFLite joins the names of all that was fused; the first one says enough.
        name = self.name.split(";")[0]
        return f"operator {self.index} ({self.type}{f', {name!r}' if name else ''})"


@dataclass(frozen=True)
class Model:
    """Operators in execution order, and the input: its shape where it is an image or a vector."""

    name: str
    ops: tuple[ModelOp, ...]
    input_name: str = ""
    input_shape: Shape | None = None
    format: Literal["tflite", "onnx"] = "tflite"


def load_model(path: Path) -> Model:
    """The model in a TFLite or ONNX file; which of the two it is, its bytes say.

    Raises:
        InputError: it cannot be read, or is neither.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"no model file {path}") from None
    except OSError as error:
        raise InputError(f"cannot read the model {path}: {error.strerror or error}") from error
    if data[4:8] == b"TFL3":
        from hybrid_nas.profiling.models.tflite_model import read_tflite

        return read_tflite(data, path.name)
    if path.suffix.lower() == ".onnx":
        from hybrid_nas.profiling.models.onnx_model import read_onnx

        return read_onnx(data, path.name)
    raise InputError(
        f"{path} is no TFLite model (bytes 4 to 8 are {data[4:8]!r}, not TFL3), and its name does "
        "not end in .onnx: give the TFLite or ONNX file that was profiled"
    )
