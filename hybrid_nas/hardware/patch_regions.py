"""Which part of every tensor a patch of a later tensor needs: receptive fields, axis by axis.

Patch-based inference (Lin et al., "MCUNetV2: Memory-Efficient Patch-based Inference for Tiny Deep
Learning", NeurIPS 2021) computes the first operators of a network, its *stage*, for one patch of
the stage's last tensor after the other. A patch is a product of a span of rows and a span of
columns, and so is what it needs of any tensor before it, the smallest rectangle that holds all that
is read. Rows and columns can therefore be worked out apart. Spans are cut off at the borders of the
image: padding is there, and nowhere else, so that a patch has the values of the whole to the bit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.hardware.sram import Wiring, last_uses
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.typing import BoolArray, IntArray

_GRID = re.compile(r"([1-9]\d?)(?:x([1-9]\d?))?")


@dataclass(frozen=True, order=True)
class Grid:
    """A stage's last tensor is cut into so many rows and columns of patches."""

    rows: int
    columns: int

    @classmethod
    def parse(cls, text: str) -> Grid:
        """``2`` for two by two, ``4x1`` for four strips.

        Raises:
            InputError: anything else, or a grid of a single patch.
        """
        match = _GRID.fullmatch(text.strip().lower())
        grid = cls(int(match[1]), int(match[2] or match[1])) if match else cls(1, 1)
        if grid == cls(1, 1):
            raise InputError(
                f"no grid of patches {text!r}: give 2 for 2x2 patches, 4x1 for four strips"
            )
        return grid

    def __str__(self) -> str:
        """As `parse` reads it."""
        return f"{self.rows}x{self.columns}"


@dataclass(frozen=True, order=True)
class Patches:
    """The first `n_ops` operators run patch by patch, the others once."""

    n_ops: int
    grid: Grid

    @property
    def last_op(self) -> int:
        """The stage's last operator: the first whose whole output is ever in memory."""
        return self.n_ops - 1


def first_whole(patches: Patches | None) -> int:
    """The first operator whose whole output is ever in memory; 0 without patches."""
    return 0 if patches is None else patches.last_op


@dataclass(frozen=True, eq=False)
class AxisSpans:
    """Spans along one axis, of n networks whose stage has k operators, cut into p parts.

    Attributes:
        start, count: of what is in memory of each tensor, int64 (k + 1, n, p); tensor 0 is the
            image, which is all there, t + 1 the output of operator t.
        read_start, read_count: what each operator reads of its operand, int64 (k, n, p).
        pad: how much of the operator's padding lies before that, int64 (k, n, p).
    """

    start: IntArray
    count: IntArray
    read_start: IntArray
    read_count: IntArray
    pad: IntArray

    def reads_all(self, wiring: Wiring) -> BoolArray:
        """Whether operators read all that is there of their operand, bool (k, n, p)."""
        stored = [self.count[t + 1 - source] for t, (source, _) in enumerate(wiring)]
        return np.asarray(self.read_count == np.stack(stored))


def axis_spans(
    sizes: IntArray, kernel: IntArray, stride: IntArray, padding: IntArray, wiring: Wiring, p: int
) -> AxisSpans:
    """Work back from p parts of the last output, as equal as they can be, along one axis.

    Args:
        sizes: of the k operators' operands, then of the last output, (n, k + 1).
        kernel, stride, padding: of the k operators along that axis, (n, k); an addition is a window
            of one.
        wiring: of the k operators.
        p: parts; at most the size of the last output.

    >>> one = np.array([[1]])
    >>> spans = axis_spans(np.array([[8, 8]]), 3 * one, one, one, ((1, 0),), 2)
    >>> spans.read_start[0].tolist(), spans.read_count[0].tolist(), spans.pad[0].tolist()
    ([[0, 3]], [[5, 5]], [[1, 0]])
    """
    k, n = len(wiring), len(sizes)
    far = np.iinfo(np.int32).max
    start = np.full((k + 1, n, p), far, np.int64)
    stop = np.zeros((k + 1, n, p), np.int64)
    bounds = np.arange(p + 1) * sizes[:, k, None] // p
    start[k], stop[k] = bounds[:, :-1], bounds[:, 1:]
    read_start, read_stop, pad = (np.empty((k, n, p), np.int64) for _ in range(3))
    for t in range(k - 1, -1, -1):
        source, residual = wiring[t]
        first = start[t + 1] * stride[:, t, None] - padding[:, t, None]
        after = (stop[t + 1] - 1) * stride[:, t, None] - padding[:, t, None] + kernel[:, t, None]
        pad[t] = np.maximum(-first, 0)
        read_start[t] = np.maximum(first, 0)
        read_stop[t] = np.minimum(after, sizes[:, t, None])
        if p == 1:  # what strided windows leave out at the end is no reason for a copy
            read_stop[t] = sizes[:, t, None]
        for distance in (source, residual) if residual else (source,):
            operand = t + 1 - distance
            np.minimum(start[operand], read_start[t], out=start[operand])
            np.maximum(stop[operand], read_stop[t], out=stop[operand])
    start[0], stop[0] = 0, sizes[:, :1]
    return AxisSpans(start, stop - start, read_start, read_stop - read_start, pad)


@dataclass(frozen=True, eq=False)
class StageSpans:
    """`AxisSpans` of both axes, for n stages of k operators that are wired alike."""

    wiring: Wiring
    rows: AxisSpans
    columns: AxisSpans

    @classmethod
    def of(cls, arrays: OpArrays, wiring: Wiring, grid: Grid) -> StageSpans:
        """Of n * k operators, the stages one after the other."""
        return next(cls.of_grids(arrays, wiring, [grid]))

    @classmethod
    def of_grids(
        cls, arrays: OpArrays, wiring: Wiring, grids: Iterable[Grid]
    ) -> Iterator[StageSpans]:
        """The same stages cut by one grid after the other."""
        k = len(wiring)
        kernel, stride, padding = (
            each.reshape(-1, k) for each in (arrays.kernel, arrays.stride, arrays.padding)
        )
        high, wide = (
            np.concatenate([size.reshape(-1, k), out.reshape(-1, k)[:, -1:]], axis=1)
            for size, out in ((arrays.h, arrays.out_h), (arrays.w, arrays.out_w))
        )

        @cache
        def along(columns: bool, p: int) -> AxisSpans:
            return axis_spans(wide if columns else high, kernel, stride, padding, wiring, p)

        square = np.array_equal(high, wide)
        for grid in grids:
            yield cls(wiring, along(False, grid.rows), along(not square, grid.columns))

    @property
    def grid(self) -> Grid:
        """How many patches there are."""
        return Grid(self.rows.start.shape[2], self.columns.start.shape[2])

    @property
    def copies(self) -> BoolArray:
        """Which operators read a part of their operand that is not in one piece, bool (n, k).

        Parts of all columns are in one piece. Additions go row by row and need no copy.
        """
        part = ~self.columns.reads_all(self.wiring).all(axis=2).T
        adds = np.array([residual > 0 for _, residual in self.wiring])
        return np.asarray(part & ~adds)

    @property
    def pixels(self) -> IntArray:
        """Output pixels that each operator computes, all patches together, (n, k)."""
        return np.asarray(self.rows.count[1:].sum(2) * self.columns.count[1:].sum(2)).T


def is_stage(ops: Sequence[OpSpec], n_ops: int, hold: frozenset[int] = frozenset()) -> bool:
    """Whether the first `n_ops` operators can run patch by patch.

    They are convolutions, windowed pools and additions, every output is read among them, and what
    comes after reads the last output alone. `hold`: operators whose outputs are needed to the end.
    """
    if not 0 < n_ops < len(ops):
        return False
    shapes = [(ops[0].h, ops[0].w, ops[0].cin)]
    for t, op in enumerate(ops[:n_ops]):
        operands = [t + 1 - op.source, *([t + 1 - op.residual] if op.residual else [])]
        if op.op not in ("conv", "dwconv", "add", "avgpool", "maxpool") or op.kernel == 0:
            return False
        if any(shapes[operand] != (op.h, op.w, op.cin) for operand in operands):
            return False  # pools of rounded-up sizes read beyond their operand
        if op.padding >= op.kernel:
            return False  # windows that touch nothing
        shapes.append((op.out_h, op.out_w, op.cout))
    after = [index - d for index, op in enumerate(ops) if index >= n_ops for d in _reads(op)]
    if any(tensor < n_ops - 1 for tensor in after):
        return False
    inside = last_uses(tuple((op.source, op.residual) for op in ops[:n_ops]))
    read = all(last >= t for t, last in enumerate(inside[:n_ops]))
    return read and not any(0 <= held < n_ops - 1 for held in hold)


def pixels_suffice(last: OpSpec, grid: Grid) -> bool:
    """Whether a stage's last output has a row and a column for each of the grid's."""
    return grid.rows <= last.out_h and grid.columns <= last.out_w


def _reads(op: OpSpec) -> tuple[int, ...]:
    return (op.source, op.residual) if op.residual else (op.source,)


def check_stage(
    ops: Sequence[OpSpec], patches: Patches, hold: frozenset[int] = frozenset()
) -> None:
    """Refuse a stage that cannot run patch by patch.

    Raises:
        InputError: saying why.
    """
    if not is_stage(ops, patches.n_ops, hold):
        raise InputError(
            f"the first {patches.n_ops} of {len(ops)} operators cannot run in patches: they must "
            "be convolutions, pools with a window, and additions, and what comes after them (a "
            "router too) may read the last one's output alone"
        )
    last = ops[patches.n_ops - 1]
    if not pixels_suffice(last, patches.grid):
        raise InputError(
            f"{patches.grid} patches of an output of {last.out_h}x{last.out_w}: expected at most "
            "one for each pixel"
        )
