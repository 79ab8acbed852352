"""Names of what stands in the arena."""

from __future__ import annotations

from hybrid_nas.spaces.opspec import OpSpec

IMAGE, ROUTER = "image", "router"


def op_name(index: int, spec: OpSpec) -> str:
    """Of an operator and its output, such as ``3:conv``; as in `hardware.sram.plan`."""
    return f"{index}:{spec.op}"


def scratch_name(index: int, spec: OpSpec) -> str:
    """Of an operator's scratch memory."""
    return f"{op_name(index, spec)}.scratch"


def copy_name(index: int, spec: OpSpec) -> str:
    """Of the copy of the part of its operand that an operator reads for a patch."""
    return f"{op_name(index, spec)}.copy"


def patch_name(index: int, spec: OpSpec) -> str:
    """Of one patch of an output that is also in memory as a whole."""
    return f"{op_name(index, spec)}.patch"
