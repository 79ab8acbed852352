"""Flash: int8 weights, what comes with them, the runtime's code, and the router."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.hardware.runtimes import Runtime
from hybrid_nas.spaces.opspec import OpSpec


def flash_bytes(
    ops: Sequence[OpSpec], runtime: Runtime, router_bytes: int = 0, reserve_bytes: int = 0
) -> int:
    """Bytes in flash of a network under `runtime`.

    Args:
        ops: the network.
        runtime: how it stores weights, biases and scales, and how much code it has.
        router_bytes: the router's constants; 0 for a network without one.
        reserve_bytes: for the radio and the application.

    Example:
        >>> from hybrid_nas.hardware.runtimes import load_runtime
        >>> runtime = load_runtime("tinyengine")
        >>> flash_bytes([OpSpec("conv", 8, 8, 3, 4)], runtime) - runtime.flash.fixed_bytes
        44
    """
    own = int(runtime.flash.op_bytes(OpArrays.of(ops)).sum()) + runtime.flash.fixed_bytes
    code = runtime.flash.router_code_bytes if router_bytes else 0
    return own + router_bytes + code + reserve_bytes
