"""The tensors of an arena in which the first operators run patch by patch.

Their steps run once for each patch. The image and the whole of the last output are there all that
time; of what is between, one patch, in places that all patches use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hybrid_nas.export.c_code.names import copy_name, patch_name, scratch_name
from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.hardware.patch_memory import stage_memory
from hybrid_nas.hardware.patch_regions import Patches, StageSpans
from hybrid_nas.hardware.runtimes import load_runtime
from hybrid_nas.hardware.sram import Tensor
from hybrid_nas.spaces.opspec import OpSpec


@dataclass(frozen=True)
class Overwrite:
    """An output that may be written over any of some operands that die there; all are indices."""

    output: int
    operands: tuple[int, ...]


def in_patches(
    ops: Sequence[OpSpec],
    patches: Patches,
    tensors: Sequence[Tensor],
    overwrites: Sequence[Overwrite],
) -> tuple[list[Tensor], list[Overwrite]]:
    """What is in memory with patches, from what is without.

    Args:
        ops: the network.
        patches: a stage of it that can run so.
        tensors: the image, the outputs, then any others.
        overwrites: which outputs may share an operand's place.
    """
    k = patches.n_ops
    stage = ops[:k]
    wiring = tuple((op.source, op.residual) for op in stage)
    model = load_runtime("hnas-c").sram
    arrays = OpArrays.of(stage)
    memory = stage_memory(model, arrays, StageSpans.of(arrays, wiring, patches.grid))
    sizes, copies, scratch = (
        each[0].tolist() for each in (memory.tensors, memory.copies, memory.scratch)
    )

    own = {scratch_name(index, op) for index, op in enumerate(stage)}
    found = [each for each in tensors if each.name not in own]
    found[0] = replace(found[0], last=max(found[0].last, found[k].first))
    for index in range(1, k):
        found[index] = replace(found[index], bytes=sizes[index])
    last_step = found[k].first
    steps = [each.first for each in found[1 : k + 1]]
    found[k] = replace(found[k], first=steps[0])
    for index, op in enumerate(stage):
        if kernels := scratch[index] - copies[index]:
            found.append(Tensor(scratch_name(index, op), kernels, steps[index], steps[index]))
        if copies[index]:
            found.append(Tensor(copy_name(index, op), copies[index], steps[index], steps[index]))
    outputs = list(range(1, k + 1))
    if patches.grid.columns > 1:
        outputs[-1] = len(found)
        found.append(Tensor(patch_name(k - 1, stage[-1]), sizes[k], last_step, last_step))
    shared = [
        Overwrite(outputs[index], (index + 1 - op.source,))
        for index, op in enumerate(stage)
        if memory.in_place[0, index]
    ]
    return found, shared + [each for each in overwrites if each.output > k]
