"""What TensorFlow Lite for Microcontrollers keeps for itself, and where it copies.

Counted from the sources of tflite-micro (commit 8f6596d, October 2026; micro_allocator.cc,
micro_interpreter.cc, kernels/*.h) for files that `hybrid_nas.export.tflite_file` writes. Its
structures hold pointers, so they are larger on a 64-bit computer than on a microcontroller.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.typing import BoolArray, IntArray

ALIGNMENT = 16
"""Bytes that tensors and what kernels keep start at a multiple of."""


@dataclass(frozen=True)
class Structures:
    """Sizes of the interpreter's structures, bytes.

    Attributes:
        tensor: TfLiteEvalTensor, of every tensor.
        node: NodeAndRegistration, of every operator.
        conv, add, pool, pad: what a kernel keeps, and the operator's options.
    """

    tensor: int
    node: int
    conv: int
    add: int
    pool: int
    pad: int


STRUCTURES = {
    8: Structures(tensor=24, node=64, conv=80 + 28, add=64 + 8, pool=32 + 40, pad=64),
    4: Structures(tensor=12, node=32, conv=64 + 28, add=64 + 8, pool=32 + 40, pad=64),
}
"""By bytes of a pointer: of a 64-bit computer, of a microcontroller."""


def persistent_bytes(arrays: OpArrays, pointer_bytes: int) -> IntArray:
    """What the interpreter keeps for each operator, bytes, int64 (n,).

    Convolutions have three tensors of their own (weight, bias, output) and a multiplier and a shift
    per channel. An operator whose border may need a PAD is counted with it.

    >>> from hybrid_nas.spaces.opspec import OpSpec
    >>> persistent_bytes(OpArrays.of([OpSpec("conv", 8, 8, 16, 16)]), 8).tolist()
    [372]
    """
    size, classes = STRUCTURES[pointer_bytes], arrays.classes
    weighted = arrays.weights > 0
    channels = 2 * _aligned(4 * arrays.cout)
    pooled = classes["avgpool"] | classes["maxpool"]
    own = np.where(weighted, 2 * size.tensor + size.conv + channels, 0)
    own += np.where(pooled, size.pool, 0) + np.where(classes["add"] | classes["mul"], size.add, 0)
    own += np.where(may_pad(arrays), 2 * size.tensor + size.node + size.pad, 0)
    own += np.where(may_pad(arrays) & pooled, size.tensor, 0)  # the value of the border
    return np.asarray(own + size.tensor + size.node)


def may_pad(arrays: OpArrays) -> BoolArray:
    """Operators whose windows TFLite's own padding does not give: a PAD, or zeros in the kernel."""
    return np.asarray((arrays.padding > 0) & ~_same(arrays, arrays.kernel))


def copied_bytes(arrays: OpArrays) -> IntArray:
    """Copies of inputs with a border that cannot be avoided, bytes, int64 (n,)."""
    weighted = arrays.weights > 0
    copied = may_pad(arrays) & ~(weighted & _same(arrays, arrays.kernel + 1))
    height, width = (
        arrays.padding
        + np.maximum(size, (out - 1) * arrays.stride + arrays.kernel - arrays.padding)
        for size, out in ((arrays.h, arrays.out_h), (arrays.w, arrays.out_w))
    )
    return np.where(copied, _aligned(height * width * arrays.cin), 0)


def _same(arrays: OpArrays, kernel: IntArray) -> BoolArray:
    """Whether SAME with such a kernel starts its windows where the operator's padding does."""
    agrees = np.ones(len(arrays), bool)
    for size, out in ((arrays.h, arrays.out_h), (arrays.w, arrays.out_w)):
        windows = -(-size // arrays.stride)
        total = np.maximum(0, (windows - 1) * arrays.stride + kernel - size)
        agrees &= (out == windows) & (total // 2 == arrays.padding)
    return agrees


def _aligned(sizes: IntArray) -> IntArray:
    return np.asarray(-(-sizes // ALIGNMENT) * ALIGNMENT)
