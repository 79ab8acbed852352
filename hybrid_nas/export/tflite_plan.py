"""The memory plan that a TFLite file brings along for TensorFlow Lite for Microcontrollers.

Left to itself the interpreter places the largest tensor first, each in the first gap. On one in
six networks of the mcunet space that takes more than what is alive at the worst moment. A file may
say the offsets instead (metadata ``OfflineMemoryAllocation``, tflite-micro's
docs/memory_management.md); other runtimes pass over it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hybrid_nas.export.tflite_borders import aligned
from hybrid_nas.export.tflite_graph import TfliteGraph
from hybrid_nas.hardware.arena import extent, place
from hybrid_nas.hardware.sram import Tensor

METADATA_NAME = "OfflineMemoryAllocation"
_VERSION, _SUBGRAPH = 1, 0
_UNPLANNED = -1


def lifetimes(graph: TfliteGraph) -> dict[int, Tensor]:
    """Size (as the arena has it) and life of every tensor that the network computes."""
    first, last = {graph.entry: -1}, {graph.entry: -1}
    for number, op in enumerate(graph.ops):
        first[op.output] = last[op.output] = number
        for tensor in op.inputs:
            if tensor in first:
                last[tensor] = number
    last[graph.result] = len(graph.ops)
    return {
        index: Tensor(
            graph.tensors[index].name, aligned(graph.tensors[index].elements), begin, last[index]
        )
        for index, begin in first.items()
    }


def offsets(graph: TfliteGraph) -> dict[int, int]:
    """Where in the arena every computed tensor stands, in bytes."""
    alive = lifetimes(graph)
    return dict(zip(alive, place(list(alive.values())), strict=True))


def arena_bytes(graph: TfliteGraph) -> int:
    """Bytes of arena that the plan needs for tensors."""
    alive, places = lifetimes(graph), offsets(graph)
    return extent(list(alive.values()), [places[index] for index in alive])


def plan_metadata(graph: TfliteGraph) -> bytes:
    """The plan as the interpreter reads it: int32 words."""
    places = offsets(graph)
    words: Sequence[int] = [places.get(index, _UNPLANNED) for index in range(len(graph.tensors))]
    return np.array([_VERSION, _SUBGRAPH, len(words), *words], "<i4").tobytes()
