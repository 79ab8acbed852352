"""Which of a network's operators the exported C code runs patch by patch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.export.c_code.network import CNetwork
from hybrid_nas.export.c_code.plan import ArenaPlan
from hybrid_nas.hardware.patch_planning import choose_patches, plan_patches
from hybrid_nas.hardware.patches import block_ends, parse_patches
from hybrid_nas.hardware.runtimes import load_runtime
from hybrid_nas.hardware.sram import plan
from hybrid_nas.hardware.uplink import UplinkImage
from hybrid_nas.spaces.architecture import Architecture
from hybrid_nas.units import format_bytes

_RUNTIME = "hnas-c"


def with_patches(
    network: CNetwork, architecture: Architecture, wanted: str, limit_bytes: int | None = None
) -> CNetwork:
    """The network with the patches of the smallest peak.

    Args:
        network: to write as C.
        architecture: whose block ends are tried as ends of the stage.
        wanted: ``off``, ``auto`` (stays whole where patches save nothing), or a grid.
        limit_bytes: as for `choose_patches`.

    Raises:
        InputError: no such grid, or it makes the peak larger wherever the stage ends.
    """
    grids = parse_patches(wanted)
    if not grids:
        return network
    specs, shape = network.graph.specs, network.graph.input_shape
    held = UplinkImage.parse("input" if network.holds_image else "none")
    ends = [
        end for end in block_ends(architecture) if network.stage is None or end <= network.stage + 1
    ]
    runtime, hold = load_runtime(_RUNTIME), network.kept_for_router
    router_bytes = network.deciding_bytes
    found = choose_patches(
        specs,
        shape,
        runtime,
        ends,
        held,
        grids=grids,
        limit_bytes=limit_bytes,
        hold=hold,
        router_bytes=router_bytes,
    )
    if found is not None:
        return replace(network, patches=found.patches)
    if wanted.strip().lower() == "auto":
        return network
    whole = plan(specs, shape, runtime, held, hold=hold, router_bytes=router_bytes)
    raise InputError(
        f"--patches {wanted}: with these patches {network.name} needs no less than the "
        f"{format_bytes(whole.peak_bytes)} of SRAM that it needs without: give auto or off"
    )


def patches_document(network: CNetwork, arena: ArenaPlan) -> dict[str, Any] | None:
    """What ``pair.yaml`` says of the patches; None without."""
    if network.patches is None:
        return None
    specs, shape = network.graph.specs, network.graph.input_shape
    found = plan_patches(specs, shape, load_runtime(_RUNTIME), network.patches)
    return {
        "operators": network.patches.n_ops,
        "grid": str(network.patches.grid),
        "extra_macs": found.extra_macs,
        "arena_bytes_without": replace(network, patches=None).plan().arena_bytes,
        "arena_bytes": arena.arena_bytes,
    }
