"""Many operators at once: their shapes as columns, and what cost models are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter

import numpy as np

from hybrid_nas.spaces.opspec import OP_KINDS, OpSpec
from hybrid_nas.typing import BoolArray, IntArray

OP_CLASSES = ("pointwise", "conv", "dwconv", "dense", "add", "mul", "avgpool", "maxpool")
"""Kinds of operators as cost models tell them apart: a 1x1 convolution is a class of its own."""

_KIND = {kind: number for number, kind in enumerate(OP_KINDS)}
_ITEMSIZE = {"int8": 1, "float32": 4}
_FIELDS = attrgetter(
    "op", "h", "w", "cin", "cout", "kernel", "stride", "padding", "dtype", "source", "residual"
)


@dataclass(frozen=True, eq=False)
class OpArrays:
    """Shapes of n operators; every attribute is int64 of shape (n,).

    ``kind`` indexes `OP_KINDS`. Derived quantities have the names and meanings of `OpSpec`'s
    properties; they are computed here once for all operators.

    Example:
        >>> arrays = OpArrays.of([OpSpec("conv", 8, 8, 3, 16, kernel=3, stride=2, padding=1)])
        >>> arrays.macs.tolist(), arrays.out_bytes.tolist()
        ([6912], [256])
    """

    kind: IntArray
    h: IntArray
    w: IntArray
    cin: IntArray
    cout: IntArray
    kernel: IntArray
    stride: IntArray
    padding: IntArray
    itemsize: IntArray
    source: IntArray
    residual: IntArray

    @classmethod
    def of(cls, ops: Iterable[OpSpec]) -> OpArrays:
        """Columns of `ops`, in their order."""
        rows = [
            (_KIND[kind], *shape, _ITEMSIZE[dtype], source, residual)
            for kind, *shape, dtype, source, residual in map(_FIELDS, ops)
        ]
        table = np.array(rows, dtype=np.int64).reshape(len(rows), 11)
        return cls(*np.ascontiguousarray(table.T))

    def __len__(self) -> int:
        """Number of operators."""
        return len(self.kind)

    def _is(self, *kinds: str) -> BoolArray:
        return np.isin(self.kind, [_KIND[kind] for kind in OP_KINDS if kind in kinds])

    @cached_property
    def classes(self) -> Mapping[str, BoolArray]:
        """Mask of each of `OP_CLASSES`."""
        masks = {kind: self._is(kind) for kind in OP_KINDS}
        pointwise = masks["conv"] & (self.kernel == 1)
        return masks | {"pointwise": pointwise, "conv": masks["conv"] & ~pointwise}

    @cached_property
    def out_h(self) -> IntArray:
        """Output heights."""
        return self._out(self.h)

    @cached_property
    def out_w(self) -> IntArray:
        """Output widths."""
        return self._out(self.w)

    def _out(self, size: IntArray) -> IntArray:
        out = (size + 2 * self.padding - self.kernel) // self.stride + 1
        return np.where(self.kernel == 0, 1, out)

    @cached_property
    def out_elements(self) -> IntArray:
        """Elements of the output tensors."""
        return self.out_h * self.out_w * self.cout

    @cached_property
    def in_bytes(self) -> IntArray:
        """Bytes of the input tensors."""
        return self.h * self.w * self.cin * self.itemsize

    @cached_property
    def out_bytes(self) -> IntArray:
        """Bytes of the output tensors."""
        return self.out_elements * self.itemsize

    @cached_property
    def weights(self) -> IntArray:
        """Weight elements, biases not counted."""
        taps = self.kernel**2 * self.cout
        weights = np.where(self._is("conv"), taps * self.cin, 0)
        weights = np.where(self._is("dwconv"), taps, weights)
        return np.where(self._is("dense"), self.cin * self.cout, weights)

    @cached_property
    def macs(self) -> IntArray:
        """Multiply-accumulates of convolutions and linear layers."""
        return self.weights * np.where(self._is("dense"), 1, self.out_h * self.out_w)

    @cached_property
    def padded_elements(self) -> IntArray:
        """Elements of the input with its zero border, where a convolution has one; else 0."""
        border = self._is("conv", "dwconv") & (self.padding > 0)
        padded = (self.h + 2 * self.padding) * (self.w + 2 * self.padding) * self.cin
        return np.where(border, padded, 0)

    @cached_property
    def steps(self) -> IntArray:
        """Operators that run where padding is an operator of its own: 2 with a border, else 1."""
        return 1 + (self.padded_elements > 0).astype(np.int64)

    @cached_property
    def quantities(self) -> Mapping[str, IntArray]:
        """What buffer sizes are linear in, by the names that `runtimes.yaml` uses."""
        taps = self.kernel**2
        return {
            "k2_cin": taps * self.cin,
            "cin": self.cin,
            "cout": self.cout,
            "weights": self.weights,
            "padded_plane": (self.h + 2 * self.padding) * (self.w + 2 * self.padding),
            "one": np.ones(len(self), np.int64),
        }
