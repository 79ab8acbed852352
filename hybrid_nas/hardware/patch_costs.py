"""Patches for thousands of architectures of a space in one call.

What patches cost depends on several blocks together: those of the stage decide how much of each
other's tensors a patch needs. Architectures whose first blocks are the same are worked out once,
those whose first blocks are wired alike together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybrid_nas.hardware.latency import LatencyModel
from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.hardware.patch_memory import enough_pixels, extra_macs, stage_memory
from hybrid_nas.hardware.patch_regions import StageSpans, is_stage
from hybrid_nas.hardware.patches import (
    CODE_BYTES,
    GRIDS,
    MAX_BLOCKS,
    check_runtime,
    stack_bytes,
    table_bytes,
)
from hybrid_nas.hardware.runtimes import Runtime
from hybrid_nas.hardware.sram import Wiring
from hybrid_nas.spaces.blocks import block_ops
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.spaces.space import SearchSpace
from hybrid_nas.typing import BoolArray, FloatArray, IntArray

_NONE = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class Whole:
    """What n architectures need without patches, and their parts after each slot.

    Attributes:
        sram: peak of all, (n,).
        floor: peak of what runs whole wherever the stage ends: the router's step, (n,).
        live: live bytes of the slots after slot s, at most, (n, slots).
        buffers: shared buffers of the slots after slot s, at most, (n, slots, buffers).
        beside: what comes on top of tensors and buffers, (n,).
        last_slot: the last slot that may run in patches, (n,).
    """

    sram: IntArray
    floor: IntArray
    live: IntArray
    buffers: IntArray
    beside: IntArray
    last_slot: IntArray


@dataclass(frozen=True, eq=False)
class Chosen:
    """The best patches of n architectures; all (n,), zeros where an architecture runs whole.

    Attributes:
        sram: peak, patches or not.
        macs, ms, calls, flash: what patches add: multiply-accumulates, time of operators (an
            estimate: each operator's time grows as the pixels that it computes), calls of
            operators, bytes of flash.
        blocks: of the stage.
        grid: index into `hardware.patches.GRIDS`, -1 without patches.
    """

    sram: IntArray
    macs: IntArray
    ms: FloatArray
    calls: IntArray
    flash: IntArray
    blocks: IntArray
    grid: IntArray

    @classmethod
    def none(cls, sram: IntArray) -> Chosen:
        """No patches: `sram` is what the architectures need without."""
        macs, calls, flash, blocks = (np.zeros_like(sram) for _ in range(4))
        grid = np.full_like(sram, -1)
        return cls(sram.copy(), macs, np.zeros(len(sram)), calls, flash, blocks, grid)


def _additions(wiring: Wiring) -> int:
    return sum(residual > 0 for _, residual in wiring)


def later(values: IntArray) -> IntArray:
    """For each slot, the largest of the values of slots after it; axis 1 are the slots.

    >>> later(np.array([[3, 1, 2]])).tolist()
    [[2, 2, 0]]
    """
    backwards = np.maximum.accumulate(values[:, ::-1], axis=1)[:, ::-1]
    return np.concatenate([backwards[:, 1:], np.zeros_like(values[:, :1])], axis=1)


class PatchCosts:
    """Patches of a space's architectures under one runtime; choices as `choose_patches` makes them.

    Args:
        space: the search space.
        runtime: one that runs patches.
        latency: of operators, if known.
        limit_bytes: see `choose_patches`.

    Raises:
        InputError: the runtime runs no patches.
    """

    def __init__(
        self,
        space: SearchSpace,
        runtime: Runtime,
        latency: LatencyModel | None,
        limit_bytes: int | None,
    ) -> None:
        check_runtime(runtime)
        self._space, self._runtime, self._latency = space, runtime, latency
        self._limit = limit_bytes
        self._blocks: list[_Block] = []
        self._numbers: dict[tuple[int, int], int] = {}
        self._rows: dict[bytes, int] = {}
        self._stages = _Stages.empty(0, len(runtime.sram.network_buffers))

    def choose(self, codes: IntArray, whole: Whole, extra_bytes: int) -> Chosen:
        """Best patches of n architectures.

        Args:
            codes: of their blocks, (n, slots), -1 for slots that are not used.
            whole: what they need without patches.
            extra_bytes: held beside all tensors.
        """
        found = Chosen.none(whole.sram)
        todo = np.flatnonzero(whole.sram > (-1 if self._limit is None else self._limit))
        if not len(todo):
            return found
        first, slots = self._first_blocks(codes[todo])
        at = self._rows_of(first)
        stages = self._stages
        peaks = self._peaks(stages, at, slots, whole, todo, extra_bytes)
        best = self._best(peaks, stages.macs[at], whole.sram[todo])
        chosen = best >= 0
        rows, pick = todo[chosen], best[chosen]
        of = at[chosen]
        found.sram[rows] = peaks[chosen, pick]
        found.macs[rows] = stages.macs[of, pick]
        found.ms[rows] = stages.ms[of, pick]
        found.calls[rows] = stages.calls[of, pick]
        found.flash[rows] = stages.flash[of, pick]
        found.blocks[rows] = pick // len(GRIDS) + 1
        found.grid[rows] = pick % len(GRIDS)
        return found

    def _first_blocks(self, codes: IntArray) -> tuple[IntArray, IntArray]:
        """Numbers and slots of the first blocks of each architecture, (n, MAX_BLOCKS), -1: none."""
        missing = np.full((len(codes), max(0, MAX_BLOCKS - codes.shape[1])), -1)
        codes = np.concatenate([codes, missing], axis=1)
        order = np.argsort(codes < 0, axis=1, kind="stable")[:, :MAX_BLOCKS]
        picked = np.take_along_axis(codes, order, axis=1)
        pairs, inverse = np.unique(
            np.stack([order.ravel(), picked.ravel()], axis=1), axis=0, return_inverse=True
        )
        numbers = np.array([self._number(slot, code) for slot, code in pairs.tolist()])
        return numbers[inverse.reshape(-1)].reshape(picked.shape), np.where(picked < 0, -1, order)

    def _number(self, slot: int, code: int) -> int:
        if code < 0:
            return -1
        number = self._numbers.setdefault((slot, code), len(self._blocks))
        if number == len(self._blocks):
            self._blocks.append(_Block.of(block_ops(self._space.block(slot, code)), self._latency))
        return number

    def _rows_of(self, first: IntArray) -> IntArray:
        """Rows in `_stages` of architectures with these first blocks; new ones are worked out."""
        unique, at = np.unique(first, axis=0, return_inverse=True)
        keys = [row.tobytes() for row in unique]
        new = [number for number, key in enumerate(keys) if key not in self._rows]
        if new:
            self._rows |= {keys[number]: len(self._rows) + k for k, number in enumerate(new)}
            self._stages = self._stages.followed_by(self._work_out(unique[new]))
        return np.array([self._rows[key] for key in keys])[at.reshape(-1)]

    def _work_out(self, first: IntArray) -> _Stages:
        """What all stages and grids cost of architectures with these first blocks."""
        stages = _Stages.empty(len(first), len(self._runtime.sram.network_buffers))
        groups: dict[tuple[Wiring, ...], list[int]] = {}
        for row, numbers in enumerate(first.tolist()):
            wirings = []
            for number in numbers:
                if number < 0 or not self._blocks[number].runs:
                    break
                wirings.append(self._blocks[number].wiring)
            groups.setdefault(tuple(wirings), []).append(row)
        for group, members in groups.items():
            for length in range(1, len(group) + 1):
                self._fill(stages, np.array(members), first[members, :length], group[:length])
        return stages

    def _fill(
        self, stages: _Stages, rows: IntArray, numbers: IntArray, wirings: tuple[Wiring, ...]
    ) -> None:
        numbers, shared = np.unique(numbers, axis=0, return_inverse=True)
        shared = shared.reshape(-1)
        parts, times = [], []
        for column in range(len(wirings)):
            unique, at = np.unique(numbers[:, column], return_inverse=True)
            blocks = [self._blocks[number] for number in unique.tolist()]
            parts.append(np.stack([block.table for block in blocks])[at.reshape(-1)])
            times.append(np.stack([block.ms for block in blocks])[at.reshape(-1)])
        table, ms = np.concatenate(parts, axis=1), np.concatenate(times, axis=1)
        wiring = tuple(one for block in wirings for one in block)
        k = len(wiring)
        arrays, adds = OpArrays(*table.reshape(-1, table.shape[2]).T), _additions(wiring)
        for number, spans in enumerate(StageSpans.of_grids(arrays, wiring, GRIDS)):
            grid, place = GRIDS[number], (len(wirings) - 1) * len(GRIDS) + number
            memory = stage_memory(self._runtime.sram, arrays, spans)
            live = np.where(enough_pixels(arrays, k, grid), memory.live.max(1), _NONE)
            stages.live[rows, place] = live[shared]
            stages.buffers[rows, place] = memory.buffers[shared]
            stages.macs[rows, place] = extra_macs(arrays, memory, k)[shared]
            stages.ms[rows, place] = (ms * (memory.pixels - 1)).sum(1)[shared]
            stages.calls[rows, place] = k * (grid.rows * grid.columns - 1)
            if self._runtime.sram.own_kernels:
                stages.flash[rows, place] = table_bytes(k, adds, grid) + CODE_BYTES

    def _peaks(
        self,
        stages: _Stages,
        at: IntArray,
        slots: IntArray,
        whole: Whole,
        todo: IntArray,
        extra_bytes: int,
    ) -> IntArray:
        """SRAM of every choice, (n, choices); `_NONE` where there is no such choice."""
        ends = np.repeat(slots, len(GRIDS), axis=1)
        live = stages.live[at]
        there = (live < _NONE) & (ends >= 0) & (ends <= whole.last_slot[todo, None])
        after = np.take_along_axis(whole.live[todo], np.maximum(ends, 0), axis=1)
        peak = np.maximum(np.where(there, live, 0), after)
        peak = np.maximum(peak + extra_bytes, whole.floor[todo, None])
        for number in range(stages.buffers.shape[2]):
            rest = np.take_along_axis(whole.buffers[todo, :, number], np.maximum(ends, 0), axis=1)
            peak += np.maximum(stages.buffers[at, :, number], rest)
        peak += stack_bytes(self._runtime)
        return np.where(there, peak + whole.beside[todo, None], _NONE)

    def _best(self, peaks: IntArray, macs: IntArray, whole: IntArray) -> IntArray:
        """Index of the best choice of each architecture, -1 for none."""
        smaller = peaks < whole[:, None]
        best = _least(smaller, peaks, macs)
        if self._limit is None:
            return best
        fitting = _least(smaller & (peaks <= self._limit), macs, peaks)
        return np.where(fitting >= 0, fitting, best)


def _least(allowed: BoolArray, first: IntArray, second: IntArray) -> IntArray:
    """In each row the index of the least `first`, of these the least `second`; -1 where none is."""
    least = np.where(allowed, first, _NONE).min(axis=1, keepdims=True)
    ties = allowed & (first == least)
    return np.where(ties.any(axis=1), np.where(ties, second, _NONE).argmin(axis=1), -1)


@dataclass(frozen=True, eq=False)
class _Block:
    """A block's operators as columns of `OpArrays`, (k, fields), their times, and their wiring."""

    wiring: Wiring
    table: IntArray
    ms: FloatArray
    runs: bool  # whether it can be part of a stage

    @classmethod
    def of(cls, ops: tuple[OpSpec, ...], latency: LatencyModel | None) -> _Block:
        arrays = OpArrays.of(ops)
        columns = [getattr(arrays, name) for name in OpArrays.__dataclass_fields__]
        ms = np.zeros(len(ops)) if latency is None else latency.ops(ops, arrays).ms
        wiring = tuple((op.source, op.residual) for op in ops)
        last = ops[-1]
        after = OpSpec("conv", last.out_h, last.out_w, last.cout, 1)
        return cls(wiring, np.stack(columns, axis=1), ms, is_stage((*ops, after), len(ops)))


@dataclass(frozen=True, eq=False)
class _Stages:
    """Costs of all choices, stages first, then grids: (n, choices), buffers one axis more."""

    live: IntArray
    buffers: IntArray
    macs: IntArray
    ms: FloatArray
    calls: IntArray
    flash: IntArray

    @classmethod
    def empty(cls, n: int, n_buffers: int) -> _Stages:
        choices = MAX_BLOCKS * len(GRIDS)

        def zeros() -> IntArray:
            return np.zeros((n, choices), np.int64)

        return cls(
            live=np.full((n, choices), _NONE),
            buffers=np.zeros((n, choices, n_buffers), np.int64),
            macs=zeros(),
            ms=np.zeros((n, choices)),
            calls=zeros(),
            flash=zeros(),
        )

    def followed_by(self, other: _Stages) -> _Stages:
        """These architectures, then others."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__)
        return _Stages(*(np.concatenate(pair) for pair in pairs))
