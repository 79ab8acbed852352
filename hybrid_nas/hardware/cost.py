"""Costs of thousands of architectures of a space in one call.

A network is a chain of blocks, and nothing but the image held for the uplink outlives a block. So
what a block costs is worked out once (by the same functions as for a single network) and looked up
by its number ever after; a network's cost is the maximum or the sum over its slots. Blocks are
worked out when they are first met, many at a time: those that are wired alike go through the
planner together.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from hybrid_nas.hardware.boards import Board
from hybrid_nas.hardware.latency import LatencyModel
from hybrid_nas.hardware.latency_table import LatencyTable
from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.hardware.patch_costs import Chosen, PatchCosts, Whole, later
from hybrid_nas.hardware.runtimes import Runtime, evaluate
from hybrid_nas.hardware.sram import INPUT, Wiring, block_live_bytes
from hybrid_nas.hardware.uplink import NO_UPLINK, UplinkImage
from hybrid_nas.spaces.blocks import Block
from hybrid_nas.spaces.cuts import cut_slots
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.spaces.space import SearchSpace
from hybrid_nas.typing import BoolArray, FloatArray, IntArray

_SUMS = ("persistent", "flash", "macs", "params", "n_ops", "unmeasured")


@dataclass(frozen=True)
class Costs:
    """Costs of n architectures; each attribute has shape (n,).

    Attributes:
        sram_bytes: peak, with the held image, the router, buffers and the reserve.
        flash_bytes: weights, code, router and reserve.
        latency_ms: on the device, router included; NaN without a latency table.
        router_ms: the router's part of it, the pooling of an early router's features included.
        saved_ms: what an image takes less when it is sent: the part of the base after the cut
            where its router decides; 0 for routers that decide once the base has answered.
        saved_macs: the multiply-accumulates of that part.
        macs, params: of the base network alone, what patches compute twice included.
        measured: whether every operator's latency is a measured row of the table.
        patched_blocks: how many blocks run patch by patch; 0 for networks that run whole.
        patch_grid: index into `hardware.patches.GRIDS`, -1 for networks that run whole.
    """

    sram_bytes: IntArray
    flash_bytes: IntArray
    latency_ms: FloatArray
    router_ms: FloatArray
    saved_ms: FloatArray
    saved_macs: IntArray
    macs: IntArray
    params: IntArray
    measured: BoolArray
    patched_blocks: IntArray
    patch_grid: IntArray

    def __len__(self) -> int:
        """Number of architectures."""
        return len(self.sram_bytes)


class CostModel:
    """Costs of a space's architectures on one board under one runtime.

    Args:
        space: the search space, laid out for the data.
        board: what the table must be for.
        runtime: its memory models.
        table: latencies; without one, latencies are NaN.
        uplink: the image that is held until the router has decided.
        reserve_sram_bytes, reserve_flash_bytes: for the radio and the application.
        patches: run first blocks patch by patch where that helps, see `patches.choose_patches`.
        patch_limit_bytes: networks that need no more SRAM stay whole.

    Raises:
        InputError: the table is for another board or runtime, or the runtime runs no patches.

    Example:
        >>> from hybrid_nas.hardware.boards import load_board
        >>> from hybrid_nas.hardware.runtimes import load_runtime
        >>> from hybrid_nas.spaces.loader import load_space
        >>> space = load_space("mcunet", classes=10)
        >>> model = CostModel(space, load_board("stm32f746"), load_runtime("tinyengine"))
        >>> model.evaluate(space.extremes()).flash_bytes.tolist()
        [118828, 3616596]
    """

    def __init__(
        self,
        space: SearchSpace,
        board: Board,
        runtime: Runtime,
        table: LatencyTable | None = None,
        uplink: UplinkImage = NO_UPLINK,
        reserve_sram_bytes: int = 0,
        reserve_flash_bytes: int = 0,
        *,
        patches: bool = False,
        patch_limit_bytes: int | None = None,
    ) -> None:
        self.space, self.board, self.runtime, self.uplink = space, board, runtime, uplink
        self.reserve_sram_bytes, self.reserve_flash_bytes = reserve_sram_bytes, reserve_flash_bytes
        self.latency = None if table is None else LatencyModel(table.require(board.id, runtime.id))
        self._patches = (
            PatchCosts(space, runtime, self.latency, patch_limit_bytes) if patches else None
        )
        shared: dict[Hashable, _BlockCosts] = {}
        self._slots: list[_BlockCosts] = []
        for number in range(len(space.slots)):
            hold = frozenset({INPUT}) if number == 0 and uplink.holds_input else frozenset()
            pools = number in cut_slots(space)
            key = (_build_key(space, number), hold, pools)
            if key not in shared:
                shared[key] = _BlockCosts(space, number, runtime, self.latency, hold, pools)
            self._slots.append(shared[key])

    def evaluate(
        self,
        rows: IntArray,
        router_flash_bytes: IntArray | int = 0,
        router_sram_bytes: IntArray | int = 0,
        router_macs: IntArray | int = 0,
        router_cut: IntArray | int = 0,
    ) -> Costs:
        """Costs of `rows`, int64 (n, genes); router costs are one number or (n,).

        ``router_sram_bytes`` are the router's tensors and the signals that it reads: they are live,
        with the held image, after the base has run; those of an early router, which decides at
        ``router_cut`` (`spaces.cuts`, from 1), with the held image and what the base goes on from.
        The image counts as held to the end all the same.
        """
        cut = np.broadcast_to(np.asarray(router_cut, np.int64), len(rows))
        codes = self.space.block_codes(rows)
        n_buffers = len(self.runtime.sram.network_buffers)
        live = np.zeros(len(rows), np.int64)
        buffers = np.zeros((len(rows), n_buffers), np.int64)
        sums = np.zeros((len(rows), len(_SUMS)), np.int64)
        ms = np.zeros(len(rows))
        held = np.zeros(len(rows), np.int64)
        early = _Early(cut)
        slots_live: list[IntArray] = []
        slots_buffers: list[IntArray] = []
        for number, costs in enumerate(self._slots):
            at = costs.rows_of(codes[:, number])
            slots_live.append(costs.live[at] + held)
            slots_buffers.append(costs.buffers[at])
            if costs.pools:
                early.pass_cut(ms, sums, costs, at)
            np.maximum(live, slots_live[-1], out=live)
            np.maximum(buffers, slots_buffers[-1], out=buffers)
            sums += costs.sums[at]
            ms += costs.ms[at]
            if number == 0 and self.uplink.holds_input:
                held = costs.input_bytes[at]  # the first block's own plan holds it already
        total = dict(zip(_SUMS, sums.T, strict=True))
        router = held + early.tensor_bytes + np.asarray(router_sram_bytes, np.int64)
        peak = np.maximum(live, router) + self.uplink.extra_bytes + buffers.sum(1)
        sram = peak + total["persistent"] + self.runtime.sram.fixed_bytes + self.reserve_sram_bytes
        flash = total["flash"] + self.runtime.flash.fixed_bytes + self.reserve_flash_bytes
        flash += np.where(
            np.asarray(router_flash_bytes) > 0, self.runtime.flash.router_code_bytes, 0
        )
        chosen = Chosen.none(sram)
        if self._patches is not None:
            whole = Whole(
                sram=sram,
                floor=router + self.uplink.extra_bytes,
                live=later(np.stack(slots_live, axis=1)),
                buffers=later(np.stack(slots_buffers, axis=1)),
                beside=sram - peak,
                last_slot=self._last_before(cut),
            )
            chosen = self._patches.choose(codes, whole, self.uplink.extra_bytes)
        flash += chosen.flash
        base_ms = self._network_ms(ms + chosen.ms, total["n_ops"] + chosen.calls)
        whole_ms = self._network_ms(ms, total["n_ops"])
        router_ms = self._router_ms(np.asarray(router_macs), early)
        return Costs(
            sram_bytes=chosen.sram,
            flash_bytes=flash + np.asarray(router_flash_bytes, np.int64),
            latency_ms=base_ms + router_ms,
            router_ms=router_ms,
            saved_ms=np.where(
                cut > 0, whole_ms - self._network_ms(early.ms, early.sum("n_ops")), 0.0
            ),
            saved_macs=np.where(cut > 0, total["macs"] - early.sum("macs"), 0),
            macs=total["macs"] + chosen.macs,
            params=total["params"],
            measured=(total["unmeasured"] == 0) & (self.latency is not None) & (chosen.grid < 0),
            patched_blocks=chosen.blocks,
            patch_grid=chosen.grid,
        )

    def _last_before(self, cut: IntArray) -> IntArray:
        """The last slot that a stage may end at: a router that decides early reads after it."""
        ends = np.array([len(self._slots) - 1, *(slot - 1 for slot in cut_slots(self.space))])
        return np.asarray(ends[cut])

    def _network_ms(self, ms: FloatArray, n_ops: IntArray) -> FloatArray:
        if self.latency is None:
            return np.full(len(ms), np.nan)
        return self.latency.network_ms(ms, n_ops.astype(float))

    def _router_ms(self, router_macs: IntArray, early: _Early) -> FloatArray:
        pooling = self._network_ms(early.pool_ms, (early.cut > 0).astype(np.int64))
        if self.latency is None or not np.any(router_macs):
            return pooling
        return pooling + self.latency.ms_per_router_mac * router_macs


class _Early:
    """What n bases have cost when they reach the cut where their router decides; 0 where none."""

    def __init__(self, cut: IntArray) -> None:
        self.cut, self._passed = cut, 0
        self.ms, self.pool_ms = np.zeros(len(cut)), np.zeros(len(cut))
        self.tensor_bytes = np.zeros_like(cut)
        self._sums = np.zeros((len(cut), len(_SUMS)), np.int64)

    def sum(self, name: str) -> IntArray:
        """One of `_SUMS` up to the cut."""
        return self._sums[:, _SUMS.index(name)]

    def pass_cut(self, ms: FloatArray, sums: IntArray, after: _BlockCosts, at: IntArray) -> None:
        """Note the sums so far; `after` are the blocks that read what is pooled."""
        self._passed += 1
        here = self.cut == self._passed
        self.ms[here], self._sums[here] = ms[here], sums[here]
        self.pool_ms[here] = after.pool_ms[at][here]
        self.tensor_bytes[here] = after.input_bytes[at][here]


def pooling_op(block: Block) -> OpSpec:
    """The operator by which an early router pools what a block reads."""
    return OpSpec("avgpool", block.h, block.w, block.cin, block.cin, kernel=0, bias=False)


def _build_key(space: SearchSpace, number: int) -> Hashable:
    """Equal for slots whose block of the same number is the same block."""
    slot = space.slots[number]
    choices = tuple(space.genes[gene].choices for gene in slot.genes)
    build = slot.build
    if isinstance(build, partial) and not build.keywords:
        return build.func, build.args, choices
    return number


class _BlockCosts:
    """Costs of one slot's blocks, by row; row 0 is a slot that is not used, and costs nothing."""

    def __init__(
        self,
        space: SearchSpace,
        slot: int,
        runtime: Runtime,
        latency: LatencyModel | None,
        hold: frozenset[int],
        pools: bool,
    ) -> None:
        self._space, self._slot = space, slot
        self._runtime, self._latency, self._hold = runtime, latency, hold
        self.pools = pools  # whether an early router may pool what the blocks read
        n_codes = int(np.prod(space.sizes[list(space.slots[slot].genes)]))
        self._row = np.full(n_codes + 1, -1)  # by code; -1 where not worked out yet
        self._row[-1] = 0  # code -1, "not used", indexes the last entry
        self.live = np.zeros(1, np.int64)
        self.buffers = np.zeros((1, len(runtime.sram.network_buffers)), np.int64)
        self.sums = np.zeros((1, len(_SUMS)), np.int64)
        self.ms = np.zeros(1)
        self.pool_ms = np.zeros(1)
        self.input_bytes = np.zeros(1, np.int64)

    def rows_of(self, codes: IntArray) -> IntArray:
        """Rows of the blocks with these codes; new ones are worked out first."""
        rows = self._row[codes]
        if (rows < 0).any():
            self._add(np.unique(codes[rows < 0]))
            rows = self._row[codes]
        return rows

    def _add(self, codes: IntArray) -> None:
        groups: dict[Wiring, tuple[list[int], list[Block], list[OpSpec]]] = {}
        for code in codes.tolist():
            block = self._space.block(self._slot, code)
            ops = block.lower()
            wiring = tuple((op.source, op.residual) for op in ops)
            numbers, blocks, all_ops = groups.setdefault(wiring, ([], [], []))
            numbers.append(code)
            blocks.append(block)
            all_ops.extend(ops)
        for wiring, (numbers, blocks, all_ops) in groups.items():
            self._row[numbers] = len(self.live) + np.arange(len(numbers))
            self._append(wiring, blocks, all_ops)

    def _append(self, wiring: Wiring, blocks: Sequence[Block], ops: Sequence[OpSpec]) -> None:
        n, model, arrays = len(blocks), self._runtime.sram, OpArrays.of(ops)

        def total(values: IntArray | BoolArray) -> IntArray:
            return np.asarray(values.reshape(n, -1).sum(1))

        live = block_live_bytes(model, arrays, wiring, self._hold).max(1)
        buffers = [
            evaluate(formula, arrays).reshape(n, -1).max(1)
            for formula in model.network_buffers.values()
        ]
        if self._latency is None:
            ms, unmeasured = np.zeros(n), np.zeros(n, np.int64)
        else:
            latencies = self._latency.ops(ops, arrays)
            ms, unmeasured = latencies.ms.reshape(n, -1).sum(1), total(~latencies.measured)
        sums = {
            "persistent": total(model.persistent_bytes(arrays)),
            "flash": total(self._runtime.flash.op_bytes(arrays)),
            "macs": total(arrays.macs),
            "params": np.array([block.params for block in blocks]),
            "n_ops": np.full(n, len(wiring)),
            "unmeasured": unmeasured,
        }
        pooling = np.zeros(n)
        if self.pools and self._latency is not None:
            pooling = self._latency.ops([pooling_op(block) for block in blocks]).ms
        inputs = model.align(arrays.in_bytes).reshape(n, -1)[:, 0]
        self.live = np.concatenate([self.live, live])
        by_buffer = np.array(buffers, np.int64).reshape(len(buffers), n)  # there may be none
        self.buffers = np.concatenate([self.buffers, by_buffer.T])
        self.sums = np.concatenate([self.sums, np.stack([sums[name] for name in _SUMS], 1)])
        self.ms = np.concatenate([self.ms, ms])
        self.pool_ms = np.concatenate([self.pool_ms, pooling])
        self.input_bytes = np.concatenate([self.input_bytes, inputs])
