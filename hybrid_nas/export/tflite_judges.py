"""Outside judges of TFLite files: LiteRT, and TensorFlow Lite for Microcontrollers (TFLM).

Both are optional (``pip install ai-edge-litert tflite-micro``).
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from dataclasses import dataclass
from typing import Any

import numpy as np

from hybrid_nas.errors import HybridNasError, InputError
from hybrid_nas.quantise.int8_kernels import Int8Array

_ARENA_BYTES = 1 << 25
_TOTAL = re.compile(r"Arena allocation (total|head|tail) (\d+) bytes")


class LiteRt:
    """A file in LiteRT's interpreter, with the kernels that it uses unasked (XNNPACK).

    Args:
        data: the file.

    Raises:
        InputError: LiteRT is not installed.
        HybridNasError: it refuses the file.
    """

    def __init__(self, data: bytes) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise InputError("LiteRT is not installed: pip install ai-edge-litert") from error
        try:
            self._interpreter: Any = Interpreter(model_content=data, num_threads=1)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise HybridNasError(f"LiteRT refuses the TFLite file: {error}") from error
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]

    def scores(self, image: Int8Array) -> Int8Array:
        """Scores (classes,) of an image (h, w, c)."""
        self._interpreter.set_tensor(self._input, image[None])
        self._interpreter.invoke()
        scores: Int8Array = self._interpreter.get_tensor(self._output)
        return scores.reshape(-1)


@dataclass(frozen=True)
class TflmArena:
    """What the interpreter takes of its arena, bytes.

    Attributes:
        head: tensors and scratch, by the memory plan.
        tail: its own structures, for as long as it lives.
    """

    head: int
    tail: int

    @property
    def used(self) -> int:
        """What ``arena_used_bytes`` says."""
        return self.head + self.tail


class Tflm:
    """A file in the interpreter of TensorFlow Lite for Microcontrollers, built for this computer.

    Args:
        data: the file.

    Raises:
        InputError: it is not installed.
        HybridNasError: it refuses the file.
    """

    def __init__(self, data: bytes) -> None:
        try:
            from tflite_micro.python.tflite_micro import (
                runtime,
            )
        except ImportError as error:
            raise InputError("TFLM is not installed: pip install tflite-micro") from error
        try:
            self._interpreter: Any = runtime.Interpreter.from_bytes(data, arena_size=_ARENA_BYTES)
        except (RuntimeError, ValueError) as error:
            raise HybridNasError(
                f"TensorFlow Lite for Microcontrollers refuses the TFLite file: {error}"
            ) from error

    def scores(self, image: Int8Array) -> Int8Array:
        """Scores (classes,) of an image (h, w, c)."""
        self._interpreter.set_input(image[None], 0)
        self._interpreter.invoke()
        scores: Int8Array = np.array(self._interpreter.get_output(0), np.int8)
        return scores.reshape(-1)

    def arena(self) -> TflmArena:
        """What it takes of its arena.

        Raises:
            HybridNasError: its words are not understood.
        """
        found = dict(_TOTAL.findall(_said(self._interpreter.print_allocations)))
        if set(found) != {"total", "head", "tail"}:
            raise HybridNasError(
                "TensorFlow Lite for Microcontrollers did not say its arena's size"
            )
        return TflmArena(int(found["head"]), int(found["tail"]))


def _said(speak: Any) -> str:
    """What native code writes to standard error meanwhile."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            speak()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        file.seek(0)
        return file.read().decode(errors="replace")
