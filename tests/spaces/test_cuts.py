"""Where bases may be left early."""

from __future__ import annotations

import numpy as np
import pytest

from hybrid_nas.spaces.cuts import blocks_in, cut_blocks, cut_slots
from hybrid_nas.spaces.loader import load_space, space_names


@pytest.mark.parametrize("name", space_names())
def test_cuts_are_at_ends_of_stages_for_every_network(name: str) -> None:
    space = load_space(name, classes=10)
    slots = cut_slots(space)
    assert list(slots) == sorted(set(slots))
    assert 1 <= len(slots) <= 2
    rows = space.sample(20, np.random.default_rng(0))
    used = space.slots_used(rows)
    for cut, slot in enumerate(slots):
        assert used[:, slot].all()
        assert space.slots[slot].stage == space.slots[slot - 1].stage + 1
        blocks, number = blocks_in(space, rows, slot)
        for row, which in zip(rows, number, strict=True):
            chain = space.architecture(row).blocks
            assert chain[cut_blocks(space, tuple(row.tolist()))[cut]] == blocks[which]


@pytest.mark.parametrize("name", ["mcunet", "mcunet-digits", "ofa-mbv3-w1.0", "ofa-resnet50"])
def test_about_a_third_and_two_thirds_of_the_work_are_done_there(name: str) -> None:
    space = load_space(name, classes=10)
    genes = tuple(space.extremes()[1].tolist())
    blocks = space.architecture(genes).blocks
    macs = [sum(op.macs for op in block.lower()) for block in blocks]
    done = [sum(macs[:cut]) / sum(macs) for cut in cut_blocks(space, genes)]
    assert done == pytest.approx([1 / 3, 2 / 3], abs=0.13)
