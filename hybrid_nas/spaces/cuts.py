"""Where a base may be left early: after two of its stages, the same ones in all of a space.

A cut is after the stage at whose end the largest network has done closest to a third, and to two
thirds, of its multiply-accumulates. Cuts are numbered from 1, as in the names of router designs.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from hybrid_nas.spaces.blocks import Block, block_ops
from hybrid_nas.spaces.space import Genes, SearchSpace
from hybrid_nas.typing import IntArray

_SHARES = (1 / 3, 2 / 3)


@lru_cache(maxsize=64)
def cut_slots(space: SearchSpace) -> tuple[int, ...]:
    """For each cut, the slot after it: its block, which every network has, reads what is there.

    A space of one stage has no cut, one of two stages has one.

    >>> from hybrid_nas.spaces.loader import load_space
    >>> space = load_space("mcunet")
    >>> [space.slots[slot].stage for slot in cut_slots(space)]
    [2, 4]
    """
    largest = space.block_codes(space.extremes()[1:])[0]
    macs = [
        sum(op.macs for op in block_ops(space.block(slot, int(code)))) if code >= 0 else 0
        for slot, code in enumerate(largest)
    ]
    done = np.cumsum(macs) / sum(macs)
    stages = [slot.stage for slot in space.slots]
    ends = [
        after
        for after in range(1, len(stages))
        if stages[after] > stages[after - 1] > 0 and space.slots[after].depth is None
    ]
    if not ends:
        return ()
    nearest = [min(ends, key=lambda after: abs(done[after - 1] - share)) for share in _SHARES]
    return tuple(sorted(set(nearest)))


def cut_blocks(space: SearchSpace, genes: Genes) -> tuple[int, ...]:
    """For each cut, how many blocks of an architecture come before it."""
    used = space.slots_used(space.canonical(np.array([genes], dtype=np.int64)))[0]
    return tuple(int(used[:slot].sum()) for slot in cut_slots(space))


def blocks_in(space: SearchSpace, rows: IntArray, slot: int) -> tuple[list[Block], IntArray]:
    """The different blocks that architectures have in a slot, and the number of each row's."""
    codes = space.block_codes(rows)[:, slot]
    unique, number = np.unique(codes, return_inverse=True)
    return [space.block(slot, int(code)) for code in unique], number
