"""What cost models say of an exported pair: runtime ``hnas-c``, the board's latency table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hybrid_nas.export.c_code.network import CNetwork
from hybrid_nas.hardware.flash import flash_bytes
from hybrid_nas.hardware.latency import LatencyModel
from hybrid_nas.hardware.latency_table import LatencyTable
from hybrid_nas.hardware.patch_planning import patched_latencies, plan_patches
from hybrid_nas.hardware.patch_regions import first_whole
from hybrid_nas.hardware.patches import CODE_BYTES, stage_bytes
from hybrid_nas.hardware.runtimes import load_runtime
from hybrid_nas.hardware.sram import plan
from hybrid_nas.hardware.uplink import UplinkImage

RUNTIME = "hnas-c"


@dataclass(frozen=True)
class Prediction:
    """Costs of a pair.

    Attributes:
        arena_bytes: tensors and scratch.
        sram_bytes: with variables and stack.
        flash_bytes: constants and code.
        total: time of an inference, in the unit of the device's; None without a latency table.
        ops: of each operator, in that unit; of a stage that runs in patches, together.
    """

    arena_bytes: int
    sram_bytes: int
    flash_bytes: int
    total: float | None
    ops: tuple[float | None, ...]


def predict(network: CNetwork, table: LatencyTable | None, unit: str) -> Prediction:
    """Predict a pair.

    Args:
        network: the pair.
        table: of the board, under ``hnas-c``.
        unit: ``instructions``, as the table counts, or ``ms``.
    """
    runtime = load_runtime(RUNTIME)
    specs, router = network.graph.specs, network.router
    held = UplinkImage.parse("input" if network.holds_image else "none")
    shape, patches = network.graph.input_shape, network.patches
    hold, deciding = network.kept_for_router, network.deciding_bytes
    patched, tables = None, 0
    if patches is None:
        memory = plan(specs, shape, runtime, held, hold=hold, router_bytes=deciding)
    else:
        patched = plan_patches(
            specs, shape, runtime, patches, held, hold=hold, router_bytes=deciding
        )
        memory, tables = patched.plan, stage_bytes(specs, patches) + CODE_BYTES
    constants = 0 if router is None else router.flash_bytes
    total: float | None = None
    first = first_whole(patches)
    ops: tuple[float | None, ...] = (None,) * (len(specs) - first)
    if table is not None:
        model = LatencyModel(table)
        in_unit = 1.0 if unit == "ms" else 1.0 / table.identity.unit_ms
        found, calls = model.ops(specs), len(specs)
        if patched is not None:
            found, calls = patched_latencies(found, patched), calls + patched.extra_calls
        each = found.ms
        whole = model.network_ms(np.array([each.sum()]), np.array([float(calls)]))[0]
        if router is not None:
            whole += model.ms_per_router_mac * _router_macs(network)
        total = float(whole) * in_unit
        times = (each * in_unit).tolist()
        ops = (sum(times[: first + 1]), *times[first + 1 :])
    return Prediction(
        arena_bytes=memory.peak_bytes - memory.persistent_bytes,
        sram_bytes=memory.peak_bytes,
        flash_bytes=flash_bytes(specs, runtime, router_bytes=constants) + tables,
        total=total,
        ops=ops,
    )


def _router_macs(network: CNetwork) -> int:
    """As the search counts them."""
    router = network.router
    assert router is not None
    return router.design.macs(router.reading.classes, router.reading.width)
