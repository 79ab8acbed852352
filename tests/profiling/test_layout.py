"""Placement of a network's tensors: no overlap by brute force, as tight as can be, refusals."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.arena import ALIGNMENT, extent, place
from hybrid_nas.hardware.sram import Tensor
from hybrid_nas.profiling.layout import network_places, tensors
from hybrid_nas.profiling.protocol import Place
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.spaces.opspec import OpSpec

HUGE = 1 << 40


def chain(seed: int) -> list[OpSpec]:
    """A random network of 1x1 convolutions and additions of earlier outputs of the same size."""
    rng = random.Random(seed)
    channels = [rng.randint(1, 9)]
    ops: list[OpSpec] = []
    for index in range(rng.randint(1, 20)):
        source = rng.randint(1, min(3, index + 1))
        cin = channels[index + 1 - source]
        same = [d for d in range(1, index + 2) if channels[index + 1 - d] == cin and d != source]
        if same and rng.random() < 0.5:
            ops.append(OpSpec("add", 5, 3, cin, cin, source=source, residual=rng.choice(same)))
        else:
            ops.append(OpSpec("conv", 5, 3, cin, rng.randint(1, 9), source=source))
        channels.append(ops[-1].cout)
    return ops


def simulate(ops: list[OpSpec], places: list[Place]) -> None:
    """Run the network with a name per tensor in every byte; a wrong placement reads other names."""
    memory: dict[int, int] = {places[0].source + i: -1 for i in range(ops[0].in_bytes)}
    for index, (op, where) in enumerate(zip(ops, places, strict=True)):
        reads = [(where.source, index - op.source)]
        if op.op == "add":
            reads.append((where.second, index - op.residual))
        target = range(where.target, where.target + op.out_bytes)
        for start, producer in reads:
            span = range(start, start + op.in_bytes)
            assert all(memory.get(byte) == producer for byte in span)
            assert not set(span) & set(target)  # the kernel reads while it writes
        memory.update(dict.fromkeys(target, index))


@given(st.integers(0, 10**6))
def test_every_operand_is_intact_when_it_is_read(seed: int) -> None:
    ops = chain(seed)
    places = network_places(ops, HUGE)
    assert [where.index for where in places] == list(range(len(ops)))
    assert all(where.source % ALIGNMENT == where.target % ALIGNMENT == 0 for where in places)
    simulate(ops, places)


LIVES = st.builds(
    lambda size, first, length: Tensor("", size, first, first + length),
    st.integers(1, 100),
    st.integers(0, 10),
    st.integers(0, 5),
)


@given(st.lists(LIVES, min_size=1, max_size=12))
def test_tensors_alive_together_do_not_overlap(wanted: list[Tensor]) -> None:
    offsets = place(wanted)
    for step in range(20):
        alive = [i for i, t in enumerate(wanted) if t.first <= step <= t.last]
        taken = [b for i in alive for b in range(offsets[i], offsets[i] + wanted[i].bytes)]
        assert len(taken) == len(set(taken))


@pytest.mark.parametrize("name", ["mcunet", "ofa-mbv3-w1.0"])
def test_whole_networks_take_no_more_than_their_largest_moment(name: str) -> None:
    space = load_space(name)
    for genes in space.sample(10, np.random.default_rng(3)):
        ops = space.architecture(tuple(genes)).ops
        wanted = tensors(ops)
        bound = max(
            sum(math.ceil(t.bytes / 4) * 4 for t in wanted if t.first <= step <= t.last)
            for step in range(len(ops))
        )
        assert bound - 3 <= extent(wanted, place(wanted)) <= bound


def test_a_small_gap_is_filled() -> None:
    wanted = [
        Tensor("", 100, 0, 3),
        Tensor("", 40, 0, 1),
        Tensor("", 80, 1, 3),
        Tensor("", 40, 2, 3),
    ]
    assert extent(wanted, place(wanted)) == 220


def test_a_second_operand_is_only_an_additions() -> None:
    ops = [
        OpSpec("conv", 4, 4, 4, 4),
        OpSpec("conv", 4, 4, 4, 4, residual=1),
        OpSpec("add", 4, 4, 4, 4, residual=2),
    ]
    places = network_places(ops, HUGE)
    assert [where.second for where in places[:2]] == [-1, -1]
    assert places[2].second == places[0].target


def test_too_large_a_network_says_needed_and_there() -> None:
    ops = [OpSpec("conv", 10, 10, 3, 8), OpSpec("conv", 10, 10, 8, 2)]
    network_places(ops, 1100)
    with pytest.raises(InputError, match="1100 bytes of arena, the board has 1099"):
        network_places(ops, 1099)


@pytest.mark.parametrize("source", [0, 3])
def test_operands_must_exist(source: int) -> None:
    with pytest.raises(InputError, match="operator 1"):
        network_places([OpSpec("conv", 4, 4, 4, 4), OpSpec("conv", 4, 4, 4, 4, source=source)], 999)


def test_an_empty_network_is_refused() -> None:
    with pytest.raises(InputError, match="at least one"):
        network_places([], 999)
