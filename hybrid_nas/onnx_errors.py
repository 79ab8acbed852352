"""What onnxruntime raises: classes of its own that share no base class."""

from __future__ import annotations

from onnxruntime.capi import onnxruntime_pybind11_state as runtime_state

RUNTIME_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,  # names in the file that are not UTF-8
    runtime_state.Fail,
    runtime_state.InvalidArgument,
    runtime_state.InvalidGraph,
    runtime_state.InvalidProtobuf,
    runtime_state.NoModel,
    runtime_state.NoSuchFile,
    runtime_state.NotImplemented,
    runtime_state.RuntimeException,
)
"""Of a file that cannot be read, is no model, or cannot be run."""
