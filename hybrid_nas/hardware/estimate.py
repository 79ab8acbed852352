"""One architecture's costs, op by op: what ``hybrid-nas estimate`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hybrid_nas.hardware.boards import Board
from hybrid_nas.hardware.flash import flash_bytes
from hybrid_nas.hardware.latency import LatencyModel
from hybrid_nas.hardware.latency_table import Energy, LatencyKind, LatencyTable, Validation
from hybrid_nas.hardware.limits import Limits
from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.hardware.patch_planning import PatchedPlan, choose_patches, patched_latencies
from hybrid_nas.hardware.patch_regions import Grid
from hybrid_nas.hardware.patches import CODE_BYTES, block_ends, stage_bytes
from hybrid_nas.hardware.runtimes import Runtime
from hybrid_nas.hardware.sram import ROUTER, SramPlan, plan
from hybrid_nas.hardware.uplink import NO_UPLINK, UplinkImage
from hybrid_nas.spaces.architecture import Architecture
from hybrid_nas.spaces.opspec import OpSpec

SCHEMA = "hybrid-nas/estimate/1"


@dataclass(frozen=True)
class OpEstimate:
    """One operator: its shape, and what it costs.

    ``live_bytes`` are the tensors and scratch in memory at its busiest moment; ``latency_ms`` is
    None without a latency table; ``extrapolated`` marks a latency predicted outside what was
    measured.
    """

    name: str
    block: int
    spec: OpSpec
    live_bytes: int
    flash_bytes: int
    latency_ms: float | None
    latency_sd_ms: float | None
    latency_is: LatencyKind | None
    extrapolated: bool

    def document(self) -> dict[str, Any]:
        """The operator's entry in the JSON document."""
        spec = self.spec
        return {
            "name": self.name,
            "block": self.block,
            "op": spec.op,
            "input": [spec.h, spec.w, spec.cin],
            "output": [spec.out_h, spec.out_w, spec.cout],
            "kernel": spec.kernel,
            "stride": spec.stride,
            "activation": spec.activation,
            "macs": spec.macs,
            "weights": spec.weights,
            "live_bytes": self.live_bytes,
            "flash_bytes": self.flash_bytes,
            "latency_ms": self.latency_ms,
            "latency_sd_ms": self.latency_sd_ms,
            "latency_is": self.latency_is,
            "extrapolated": self.extrapolated,
        }


@dataclass(frozen=True)
class Estimate:
    """What one architecture costs on one board under one runtime.

    ``latency_ms`` and ``latency_is`` are None where latency is unknown, and ``no_latency`` says
    why; ``energy_mj`` is None where the table has no power. Where patches were asked for,
    ``whole_bytes`` is the SRAM without them, and ``patched`` the choice, None where the network is
    better off whole; operators that run in patches then have the work and the time of all patches
    together.
    """

    architecture: Architecture
    board: Board
    runtime: Runtime
    table: LatencyTable | None
    uplink: UplinkImage
    plan: SramPlan
    sram_bytes: int
    flash_bytes: int
    reserve_flash_bytes: int
    latency_ms: float | None
    latency_is: LatencyKind | None
    energy_mj: float | None
    ops: tuple[OpEstimate, ...]
    patched: PatchedPlan | None = None
    whole_bytes: int | None = None
    no_latency: str = ""

    @property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and linear layers, as often as they are done."""
        return self.architecture.macs + (self.patched.extra_macs if self.patched else 0)

    @property
    def params(self) -> int:
        """Trainable parameters."""
        return self.architecture.params

    @property
    def peak_name(self) -> str:
        """Name of the operator at which the SRAM peak is."""
        index = self.plan.peak_index
        return self.ops[index].name if index < len(self.ops) else ROUTER

    @property
    def limits(self) -> Limits:
        """The board's own limits."""
        return Limits.of_board(self.board)

    def document(self) -> dict[str, Any]:
        """The document ``hybrid-nas/estimate/1``."""
        peak = self.plan.peak_index
        steps = [*self.plan.live_bytes, self.plan.router_bytes]
        return {
            "schema": SCHEMA,
            "network": self.architecture.name,
            "input_shape": list(self.architecture.input_shape),
            "classes": self.architecture.classes,
            "board": self.board.id,
            "runtime": self.runtime.id,
            "runtime_version": self.runtime.version,
            "sram_bytes": self.sram_bytes,
            "flash_bytes": self.flash_bytes,
            "latency_ms": self.latency_ms,
            "latency_is": self.latency_is,
            "no_latency": self.no_latency or None,
            "latency_table": self.table and self.table.name,
            "latency_error": _error_of(self.table.validation if self.table else None),
            "energy_mj": self.energy_mj,
            "energy_error": _error_of(self.table.energy if self.table else None),
            "macs": self.macs,
            "params": self.params,
            "sram_peak": {"op": self.peak_name, "bytes": self.sram_bytes},
            "sram": {
                "live_bytes": steps[peak],
                "buffer_bytes": self.plan.buffer_bytes,
                "persistent_bytes": self.plan.persistent_bytes,
                "reserve_bytes": self.plan.reserve_bytes,
            },
            "reserve_flash_bytes": self.reserve_flash_bytes,
            "uplink_image": str(self.uplink),
            "model_error": {what: asdict(error) for what, error in self.runtime.fit.items()},
            "limits": {
                "sram_bytes": self.limits.sram_bytes,
                "flash_bytes": self.limits.flash_bytes,
            },
            "fits": self.sram_bytes <= self.limits.sram_bytes
            and self.flash_bytes <= self.limits.flash_bytes,
            "patches": self._patches(),
            "ops": [op.document() for op in self.ops],
        }

    def _patches(self) -> dict[str, Any] | None:
        if self.whole_bytes is None:
            return None
        document: dict[str, Any] = {"whole_sram_bytes": self.whole_bytes, "operators": 0}
        if self.patched is not None:
            patches = self.patched.patches
            document |= {
                "operators": patches.n_ops,
                "blocks": 1 + self.ops[patches.n_ops - 1].block,
                "grid": str(patches.grid),
                "extra_macs": self.patched.extra_macs,
            }
        return document


def _error_of(known: Validation | Energy | None) -> dict[str, Any] | None:
    return None if known is None else asdict(known)


def estimate(
    architecture: Architecture,
    board: Board,
    runtime: Runtime,
    table: LatencyTable | None = None,
    uplink: UplinkImage = NO_UPLINK,
    *,
    reserve_sram_bytes: int = 0,
    reserve_flash_bytes: int = 0,
    grids: Sequence[Grid] = (),
    need_latency: bool = True,
) -> Estimate:
    """SRAM, flash and latency of one architecture.

    Args:
        architecture: any, of whatever space or file.
        board: whose limits are reported.
        runtime: whose memory models are used.
        table: latencies for that board and runtime; none gives no latency.
        uplink: the image held until a router has decided.
        reserve_sram_bytes, reserve_flash_bytes: for the radio and the application.
        grids: of patches to try for the first blocks; the one of the smallest peak is taken, if
            that is smaller than without.
        need_latency: whether a table that lacks a class of operators is an error; otherwise
            latency is unknown then.

    Raises:
        InputError: the table is for another board or runtime, or lacks a class of operators, or the
            runtime runs no patches.
    """
    ops, shape = architecture.ops, architecture.input_shape
    memory = plan(ops, shape, runtime, uplink, reserve_bytes=reserve_sram_bytes)
    whole_bytes, patched = None, None
    if grids:
        whole_bytes, ends = memory.peak_bytes, block_ends(architecture)
        patched = choose_patches(
            ops, shape, runtime, ends, uplink, grids=grids, reserve_bytes=reserve_sram_bytes
        )
        memory = memory if patched is None else patched.plan
    model = None if table is None else LatencyModel(table.require(board.id, runtime.id))
    no_latency = "" if model else f"no latency table for {board.id} with {runtime.id}"
    if model is not None and not need_latency:
        no_latency = model.lack(OpArrays.of(ops))
        model = None if no_latency else model
    latency_ms, latency_is, energy_mj = None, None, None
    per_op: list[tuple[float | None, float | None, LatencyKind | None, bool]]
    if model is None:
        per_op = [(None, None, None, False)] * len(ops)
    else:
        found = model.ops(ops)
        calls = len(ops)
        if patched is not None:
            found, calls = patched_latencies(found, patched), calls + patched.extra_calls
        total = model.network_ms(np.array([found.ms.sum()]), np.array([float(calls)]))
        latency_ms, latency_is = float(total[0]), model.kind_of(found.measured)
        energy_mj = model.energy_mj(latency_ms)
        kinds = [model.kind_of(np.array([one])) for one in found.measured]
        per_op = list(
            zip(
                found.ms.tolist(),
                found.sd_ms.tolist(),
                kinds,
                found.extrapolated.tolist(),
                strict=True,
            )
        )
    flash = runtime.flash.op_bytes(OpArrays.of(ops)).tolist()
    flash_total = flash_bytes(ops, runtime, reserve_bytes=reserve_flash_bytes)
    if patched is not None and runtime.sram.own_kernels:
        flash_total += stage_bytes(ops, patched.patches) + CODE_BYTES
    blocks = [n for n, block in enumerate(architecture.blocks) for _ in block.lower()]
    rows = tuple(
        OpEstimate(f"{n}:{op.op}", blocks[n], op, memory.live_bytes[n], flash[n], *per_op[n])
        for n, op in enumerate(ops)
    )
    return Estimate(
        architecture=architecture,
        board=board,
        runtime=runtime,
        table=table,
        uplink=uplink,
        plan=memory,
        sram_bytes=memory.peak_bytes,
        flash_bytes=flash_total,
        reserve_flash_bytes=reserve_flash_bytes,
        latency_ms=latency_ms,
        latency_is=latency_is,
        energy_mj=energy_mj,
        ops=rows,
        patched=patched,
        whole_bytes=whole_bytes,
        no_latency=no_latency,
    )
