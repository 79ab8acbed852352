"""Places where a network can be cut in two: behind a block, where a single tensor passes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hybrid_nas.hardware.latency import LatencyModel
from hybrid_nas.spaces.architecture import Architecture
from hybrid_nas.spaces.blocks import block_ops
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.supernet.preprocess import to_tensor
from hybrid_nas.training.int8_base import Int8Base
from hybrid_nas.typing import ByteArray, Float32Array, FloatArray

_BATCH = 64


@dataclass(frozen=True)
class Cut:
    """A cut behind one operator.

    Attributes:
        op: the last operator on this side.
        block: the block that it ends.
        shape: (height, width, channels) of the tensor that passes.
        tensor_bytes: its int8 bytes.
        macs: multiply-accumulates up to there.
    """

    op: int
    block: int
    shape: tuple[int, int, int]
    tensor_bytes: int
    macs: int

    def window(self, grid: int) -> int:
        """Side of the square window that averages the tensor to about `grid` x `grid` places."""
        return max(1, -(-min(self.shape[:2]) // grid))


def cuts(architecture: Architecture) -> tuple[Cut, ...]:
    """All cuts behind a block but the last one, in order.

    A cut that a residual crosses, so that two tensors would have to pass, is left out.
    """
    ops = architecture.ops
    ends = np.cumsum([len(block_ops(block)) for block in architecture.blocks]) - 1
    found = []
    for block, op in enumerate(ends[:-1].tolist()):
        if crossing(ops, op) != {op}:
            continue
        spec = ops[op]
        shape = (spec.out_h, spec.out_w, spec.cout)
        macs = sum(one.macs for one in ops[: op + 1])
        found.append(Cut(op, block, shape, spec.out_bytes, macs))
    return tuple(found)


def crossing(ops: Sequence[OpSpec], op: int) -> set[int]:
    """Producers up to `op` (-1 is the image) that operators behind it read."""
    read = set()
    for index in range(op + 1, len(ops)):
        read.add(index - ops[index].source)
        if ops[index].residual:
            read.add(index - ops[index].residual)
    return {producer for producer in read if producer <= op}


def milliseconds(ops: Sequence[OpSpec], model: LatencyModel) -> FloatArray:
    """Time on the device of each operator (n,), with its part of the whole-network correction."""
    correction = model.table.correction
    corrected: FloatArray = correction.scale * model.ops(ops).ms + correction.per_op_ms
    return corrected


def pooled_features(
    base: Int8Base, images: ByteArray, places: Sequence[Cut], grid: int
) -> list[Float32Array]:
    """The tensors at cuts as int8 computes them, averaged over windows (`Cut.window`): (n, f)."""
    network, taps = base.network, [cut.op for cut in places]
    means: list[list[Tensor]] = [[] for _ in places]
    with torch.inference_mode():
        for start in range(0, len(images), _BATCH):
            stored = to_tensor(images[start : start + _BATCH]).to(network.ranges.device)
            found = network.run(base.pixels(stored), taps)
            for cut, tensor, parts in zip(places, found.tapped, means, strict=True):
                pooled = functional.avg_pool2d(tensor, cut.window(grid))
                parts.append(network.affine(cut.op).fake(pooled).flatten(1).cpu())
    return [torch.cat(parts).numpy() for parts in means]
