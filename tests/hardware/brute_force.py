"""A second SRAM planner, independent of `hybrid_nas.hardware.sram`: sets of live tensors.

It shares no code with the program but the data of `runtimes.yaml`, and is as slow and plain as it
can be: every tensor is a number in a set; at every step the set is rebuilt from scratch by asking,
for every tensor, whether anything still needs it.
"""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_nas.hardware.runtimes import Runtime, load_runtime, runtime_ids
from hybrid_nas.spaces.opspec import OpSpec

PLANNED = tuple(
    name
    for name in runtime_ids()
    if not (load_runtime(name).sram.own_kernels or load_runtime(name).sram.pointer_bytes)
)
"""Runtimes that are all data. The others count what code takes, and that code is their judge: the
exporter's plan and the device for ``hnas-c``, the interpreter for ``tflm-export``."""


def peak_sram_bytes(
    ops: Sequence[OpSpec],
    runtime: Runtime,
    *,
    hold_input: bool = False,
    extra_bytes: int = 0,
    router_bytes: int = 0,
    reserve_bytes: int = 0,
) -> int:
    """Peak SRAM of a network, the image held for the uplink and the router included."""
    model = runtime.sram
    peak = 0
    for step in range(len(ops)):
        for moment in _moments(ops, step, model, hold_input):
            peak = max(peak, moment + extra_bytes)
    if router_bytes:
        held = _round_up(_elements(ops, -1), model.align_bytes) if hold_input else 0
        peak = max(peak, held + extra_bytes + router_bytes)
    for formula in model.network_buffers.values():
        peak += max(_bytes_of(formula, op) for op in ops)
    for op in ops:
        channels = op.cout if op.op in ("conv", "dwconv", "dense") else 0
        steps = 2 if model.explicit_padding and _has_border(op) else 1
        peak += channels * model.bytes_per_channel + steps * model.bytes_per_step
    return peak + model.fixed_bytes + reserve_bytes


def _moments(ops, step, model, hold_input):  # type: ignore[no-untyped-def]
    """Bytes in memory while the border is copied (where it is), and while the operator runs."""
    op = ops[step]
    size = {t: _round_up(_elements(ops, t), model.align_bytes) for t in range(-1, len(ops))}
    written = set(range(-1, step))
    before = {t for t in written if _needed(ops, t, step, hold_input)}
    after = {t for t in written if _needed(ops, t, step + 1, hold_input)}
    source = step - op.source
    scratch = _bytes_of(model.op_buffers, op)
    reads, live = size[source], set(before)
    border = 0
    if model.explicit_padding and _has_border(op):
        h, w = op.h + 2 * op.padding, op.w + 2 * op.padding
        border = _round_up(h * w * op.cin * op.itemsize, model.align_bytes)
        yield sum(size[t] for t in before) + border
        reads = border
        if source not in after:  # copied: the original is not needed any more
            live.discard(source)
    dies = bool(border) or source not in after
    saved = int(_share(model.reuse_input, op) * min(reads, size[step])) if dies else 0
    yield sum(size[t] for t in live) + border + size[step] - saved + scratch


def _needed(ops: Sequence[OpSpec], tensor: int, step: int, hold_input: bool) -> bool:
    """Does the operator at `step`, or a later one, read the tensor (or is it held)?"""
    if tensor == -1 and hold_input:
        return True
    return any(
        tensor == later - op.source or (op.residual > 0 and tensor == later - op.residual)
        for later, op in enumerate(ops)
        if later >= step
    )


def _elements(ops: Sequence[OpSpec], tensor: int) -> int:
    op = ops[max(tensor, 0)]
    if tensor < 0:
        return op.h * op.w * op.cin * op.itemsize
    return op.out_h * op.out_w * op.cout * op.itemsize


def _round_up(size: int, to: int) -> int:
    return size if size % to == 0 else size + to - size % to


def _has_border(op: OpSpec) -> bool:
    return op.op in ("conv", "dwconv") and op.padding > 0


def _class(op: OpSpec) -> str:
    if op.op == "conv" and op.kernel == 1:
        return "pointwise"
    if op.op == "dwconv" and op.stride > 1:
        return "dwconv_strided"
    return op.op


def _share(reuse, op):  # type: ignore[no-untyped-def]
    return reuse.get(_class(op), 0)


def _bytes_of(formula, op):  # type: ignore[no-untyped-def]
    quantity = {
        "k2_cin": op.kernel * op.kernel * op.cin,
        "cin": op.cin,
        "cout": op.cout,
        "weights": op.weights,
        "padded_plane": (op.h + 2 * op.padding) * (op.w + 2 * op.padding),
        "one": 1,
    }
    return sum(factor * quantity[name] for name, factor in formula.get(_class(op), {}).items())
