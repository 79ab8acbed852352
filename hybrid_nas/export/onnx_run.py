"""Running exported ONNX files in onnxruntime, one image at a time, as they are meant to be run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from hybrid_nas.errors import HybridNasError
from hybrid_nas.onnx_errors import RUNTIME_ERRORS

Array = npt.NDArray[Any]

INTEGER_KERNELS = {"session.qdqisint8allowed": "1"}
"""Without this, onnxruntime on x86 computes in float whatever it cannot turn into uint8."""


class OnnxFile:
    """A model in onnxruntime on the CPU.

    Args:
        content: the file's bytes.
        threads: cores to use.
        integer_kernels: run what is quantised in integers, and not in float.

    Raises:
        HybridNasError: onnxruntime cannot load it.
    """

    def __init__(self, content: bytes, *, threads: int = 1, integer_kernels: bool = True) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        for key, value in INTEGER_KERNELS.items() if integer_kernels else ():
            options.add_session_config_entry(key, value)
        try:
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except RUNTIME_ERRORS as error:
            raise HybridNasError(f"onnxruntime: {str(error).splitlines()[0]}") from error
        self.inputs = tuple(argument.name for argument in self._session.get_inputs())
        self.outputs = tuple(argument.name for argument in self._session.get_outputs())

    def __call__(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs of one run, by name."""
        return dict(zip(self.outputs, self._session.run(None, dict(feed)), strict=True))

    def each(self, **inputs: Array) -> dict[str, Array]:
        """All outputs of n runs side by side, (n, ...); inputs are (n, ...), a row for each run."""
        contiguous = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
        rows = range(len(next(iter(contiguous.values()))))
        runs = [
            self._session.run(None, {name: array[k : k + 1] for name, array in contiguous.items()})
            for k in rows
        ]
        columns = zip(*runs, strict=True)
        return {
            name: np.concatenate(column) for name, column in zip(self.outputs, columns, strict=True)
        }
