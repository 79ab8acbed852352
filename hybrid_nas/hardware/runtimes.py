"""Runtimes: named memory models with their constants, and how well they describe reality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.hardware import hnas_c, tflm
from hybrid_nas.hardware.data_files import package_yaml
from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.typing import BoolArray, FloatArray, IntArray

SCHEMA = "hybrid-nas/runtimes/1"
DEFAULT_RUNTIME = "tinyengine"

Formula = Mapping[str, Mapping[str, int]]
"""Bytes by operator class, linear in `OpArrays.quantities`."""


def class_mask(arrays: OpArrays, name: str) -> BoolArray:
    """Which operators belong to a class of ``runtimes.yaml``."""
    if name == "dwconv_strided":
        return arrays.classes["dwconv"] & (arrays.stride > 1)
    mask = arrays.classes[name]
    return mask & (arrays.stride == 1) if name == "dwconv" else mask


def evaluate(formula: Formula, arrays: OpArrays) -> IntArray:
    """Bytes of each operator, int64 (n,); 0 for classes that the formula does not name."""
    total = np.zeros(len(arrays), np.int64)
    for name, terms in formula.items():
        size = sum(factor * arrays.quantities[quantity] for quantity, factor in terms.items())
        total += np.where(class_mask(arrays, name), size, 0)
    return total


@dataclass(frozen=True)
class SramModel:
    """How a runtime lays out memory; the attributes are explained in ``runtimes.yaml``."""

    align_bytes: int
    explicit_padding: bool
    reuse_input: Mapping[str, float]
    op_buffers: Formula
    network_buffers: Mapping[str, Formula]
    bytes_per_channel: int
    bytes_per_step: int
    fixed_bytes: int
    own_kernels: bool = False
    pointer_bytes: int = 0

    def align(self, sizes: IntArray) -> IntArray:
        """`sizes` rounded up to multiples of ``align_bytes``."""
        return np.asarray(-(-sizes // self.align_bytes) * self.align_bytes)

    def reuse(self, arrays: OpArrays) -> FloatArray:
        """Share of the smaller tensor that each operator saves, float64 (n,)."""
        if self.own_kernels:
            return hnas_c.runs_in_place(arrays).astype(float)
        share = np.zeros(len(arrays))
        for name, value in self.reuse_input.items():
            share[class_mask(arrays, name)] = value
        return share

    def scratch_bytes(self, arrays: OpArrays) -> IntArray:
        """Scratch that lives while each operator runs, int64 (n,)."""
        if self.own_kernels:
            return hnas_c.scratch_bytes(arrays)
        return evaluate(self.op_buffers, arrays)

    def padded_bytes(self, arrays: OpArrays) -> IntArray:
        """The copy of each operator's input with its border, 0 where there is none."""
        if self.pointer_bytes:
            return tflm.copied_bytes(arrays)
        if not self.explicit_padding:
            return np.zeros(len(arrays), np.int64)
        return self.align(arrays.padded_elements * arrays.itemsize)

    def persistent_bytes(self, arrays: OpArrays) -> IntArray:
        """What the runtime keeps for each operator from start to end, int64 (n,)."""
        if self.pointer_bytes:
            return tflm.persistent_bytes(arrays, self.pointer_bytes)
        return _overhead(arrays, self.bytes_per_channel, self.bytes_per_step, self.explicit_padding)


@dataclass(frozen=True)
class FlashModel:
    """What a network takes in flash; the attributes are explained in ``runtimes.yaml``."""

    bytes_per_channel: int
    bytes_per_step: int
    fixed_bytes: int
    explicit_padding: bool = False
    own_kernels: bool = False
    router_code_bytes: int = 0

    def op_bytes(self, arrays: OpArrays) -> IntArray:
        """Weights, and what comes with them, of each operator, int64 (n,)."""
        if self.own_kernels:
            return hnas_c.constant_bytes(arrays) + self.bytes_per_step
        overhead = _overhead(
            arrays, self.bytes_per_channel, self.bytes_per_step, self.explicit_padding
        )
        return arrays.weights * arrays.itemsize + overhead


def _overhead(arrays: OpArrays, per_channel: int, per_step: int, padding: bool) -> IntArray:
    steps = arrays.steps if padding else np.ones(len(arrays), np.int64)
    channels: IntArray = np.where(arrays.weights > 0, arrays.cout, 0)
    return channels * per_channel + steps * per_step


@dataclass(frozen=True)
class FitError:
    """Relative errors of a model against published figures, as fractions."""

    mean: float
    worst: float
    bias: float
    networks: int


@dataclass(frozen=True)
class Runtime:
    """A runtime's memory models; its latencies are in the latency tables."""

    id: str
    name: str
    version: str
    source: str
    sram: SramModel
    flash: FlashModel
    fit: Mapping[str, FitError]


def runtime_ids() -> tuple[str, ...]:
    """Ids of all runtimes, in the order of the file."""
    return tuple(_runtimes())


def load_runtime(runtime_id: str) -> Runtime:
    """The runtime of that id, in any case.

    Raises:
        InputError: there is none; the message lists them.
    """
    runtime = _runtimes().get(runtime_id.strip().lower())
    if runtime is None:
        raise InputError(f"no runtime {runtime_id!r}: give one of {', '.join(_runtimes())}")
    return runtime


@cache
def _runtimes() -> dict[str, Runtime]:
    document = package_yaml("runtimes.yaml", SCHEMA)
    return {name: parse_runtime(name, entry) for name, entry in document["runtimes"].items()}


def parse_runtime(runtime_id: str, entry: Mapping[str, Any]) -> Runtime:
    """A runtime from its entry in the file."""
    sram = SramModel(**entry["sram"])
    return Runtime(
        id=runtime_id,
        name=entry["name"],
        version=str(entry["version"]),
        source=entry["source"],
        sram=sram,
        flash=FlashModel(
            **entry["flash"],
            explicit_padding=sram.explicit_padding,
            own_kernels=sram.own_kernels,
        ),
        fit={what: FitError(**error) for what, error in entry.get("fit", {}).items()},
    )
