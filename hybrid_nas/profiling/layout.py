"""Where a network's tensors stand in a board's arena."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.arena import extent, place
from hybrid_nas.hardware.sram import Tensor
from hybrid_nas.profiling.protocol import NO_OFFSET, Place
from hybrid_nas.spaces.opspec import OpSpec


def tensors(ops: Sequence[OpSpec]) -> list[Tensor]:
    """The network's input, then the output of every operator.

    An operator's operands and its output are alive together: kernels do not work in place. The
    network's output stays to the end.

    Raises:
        InputError: an operator reads from one that does not come before it.
    """
    if not ops:
        raise InputError("a network of no operators cannot be placed: give at least one")
    sizes = [ops[0].in_bytes, *(op.out_bytes for op in ops)]
    last = [0, *range(len(ops))]  # at least the operator that writes it
    for index, op in enumerate(ops):
        for distance in _reads(op):
            if not 1 <= distance <= index + 1:
                raise InputError(
                    f"operator {index} ({op.op}) reads the output of operator {index - distance}: "
                    "operands come from earlier operators, or from the input (-1)"
                )
            operand = index + 1 - distance
            last[operand] = index
            sizes[operand] = max(sizes[operand], op.in_bytes)
    last[-1] = len(ops) - 1
    first = [0, *range(len(ops))]
    names = ["input", *(f"{index}:{op.op}" for index, op in enumerate(ops))]
    return [Tensor(*values) for values in zip(names, sizes, first, last, strict=True)]


def network_places(ops: Sequence[OpSpec], arena_bytes: int) -> list[Place]:
    """The ``NOP`` requests that put a network on a board.

    Raises:
        InputError: it needs more than the arena; or as in `tensors`.
    """
    wanted = tensors(ops)
    offsets = place(wanted)
    needed = extent(wanted, offsets)
    if needed > arena_bytes:
        raise InputError(
            f"the network's tensors need {needed} bytes of arena, the board has {arena_bytes}: "
            "take a smaller network or resolution, or a board with more memory"
        )
    return [
        Place(
            index,
            source=offsets[index + 1 - op.source],
            target=offsets[index + 1],
            second=offsets[index + 1 - op.residual] if op.op == "add" else NO_OFFSET,
            op=op,
        )
        for index, op in enumerate(ops)
    ]


def _reads(op: OpSpec) -> tuple[int, ...]:
    return (op.source, op.residual) if op.op == "add" else (op.source,)
