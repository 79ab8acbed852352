"""One onnxruntime session on fixed inputs: run again and again, profiled if wanted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from hybrid_nas.errors import HybridNasError
from hybrid_nas.onnx_errors import RUNTIME_ERRORS
from hybrid_nas.typing import FloatArray

PROVIDER = "CPUExecutionProvider"
_BORDERS = frozenset({"Transpose", "ReorderInput", "ReorderOutput"})
"""Nodes that change the layout where a small model begins and ends; a network has none inside."""
_KERNEL = "_kernel_time"
_RUN = "model_run"


@dataclass(frozen=True)
class Profile:
    """What the profiler says.

    Attributes:
        us: microseconds that the kernels of each run took, layout changes left out, (runs,).
        nodes: kernels in a run.
    """

    us: FloatArray
    nodes: int


class HostSession:
    """A model ready to run, on one thread, inputs and outputs in place.

    Args:
        model: inputs are uint8 or float32, of fixed shapes.
        profile: beginning of the path of the profiler's file; None to run without.

    Raises:
        HybridNasError: onnxruntime cannot run the model.
    """

    def __init__(self, model: onnx.ModelProto, profile: Path | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        if profile is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(profile)
        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=[PROVIDER]
            )
            self._binding = self._session.io_binding()
            self._bind()
            self.run()
        except RUNTIME_ERRORS as error:
            raise HybridNasError(f"onnxruntime: {str(error).splitlines()[0]}") from error

    def _bind(self) -> None:
        rng = np.random.default_rng(0)
        self._values = []  # the binding does not keep them alive
        for argument in self._session.get_inputs():
            values = rng.integers(0, 256, argument.shape, np.uint8)
            data = values if argument.type == "tensor(uint8)" else (values / 32 - 4).astype("f4")
            self._values.append(onnxruntime.OrtValue.ortvalue_from_numpy(data))
            self._binding.bind_ortvalue_input(argument.name, self._values[-1])
        for result in self._session.get_outputs():
            dtype = np.uint8 if result.type == "tensor(uint8)" else np.float32
            space = onnxruntime.OrtValue.ortvalue_from_shape_and_type(result.shape, dtype)
            self._values.append(space)
            self._binding.bind_ortvalue_output(result.name, space)

    def run(self) -> None:
        """Run it once."""
        self._session.run_with_iobinding(self._binding)

    def end_profile(self) -> Profile:
        """What the profiler has seen since the session was opened, the first run left out.

        The file is removed. Only for sessions that are profiled, and only once.
        """
        path = Path(self._session.end_profiling())
        events = json.loads(path.read_text(encoding="utf-8"))
        path.unlink()
        us: list[float] = []
        nodes, total = 0, 0.0
        for event in events:  # the events of a run come before that of the run itself
            name = event["name"]
            if name == _RUN:
                us.append(total)
                total = 0.0
            elif name.endswith(_KERNEL) and event["args"]["op_name"] not in _BORDERS:
                total += event["dur"]
                nodes += 1
        return Profile(np.array(us[1:]), nodes // max(len(us), 1))
