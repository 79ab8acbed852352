"""Subnets made of kept blocks against subnets copied out whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hybrid_nas.spaces.loader import load_space
from hybrid_nas.supernet.block_cache import BlockCache
from hybrid_nas.supernet.calibrate import recalibrate
from hybrid_nas.supernet.device import place
from hybrid_nas.supernet.network import Supernet

SPACES = [
    ("mcunet", {"resolution": [32, 40], "width": [0.3, 0.5]}),
    ("ofa-mbv3-w1.0", {"resolution": [48]}),
    ("ofa-resnet50", {"resolution": [48]}),
]


@pytest.mark.parametrize("max_bytes", [0, 1_000_000, 1 << 30])
@pytest.mark.parametrize(("name", "choices"), SPACES)
def test_a_network_says_what_the_one_copied_out_whole_says(
    name: str, choices: dict[str, list[float]], max_bytes: int
) -> None:
    """Again and again, with statistics of other networks left in the blocks between."""
    torch.manual_seed(0)
    space = load_space(name, input_shape=(48, 48, 3), classes=5, choices=choices)
    supernet = Supernet(space).eval()
    cache = BlockCache(supernet, max_bytes)
    rows = space.sample(3, np.random.default_rng(0)).tolist()
    for genes in map(tuple, [*rows, rows[0]]):
        ours = cache.network(genes)
        supernet.activate(genes)
        whole = place(supernet.extract(), "cpu")
        images = torch.randn(4, 3, *supernet.input_size)
        for network in (ours, whole):
            recalibrate(network, [images])
        assert ours.architecture == whole.architecture
        assert ours.state_dict().keys() == whole.state_dict().keys()
        with torch.inference_mode():
            assert torch.equal(ours(images), whole(images))


def test_blocks_are_kept_up_to_a_size() -> None:
    space = load_space("mcunet", input_shape=(32, 32, 3), classes=5, choices={"width": [0.3]})
    supernet = Supernet(space).eval()
    small, large = (tuple(row) for row in space.extremes().tolist())
    n_bytes = {
        genes: sum(p.nbytes for p in BlockCache(supernet).network(genes).parameters())
        for genes in (small, large)
    }
    cache = BlockCache(supernet, n_bytes[large])
    first = cache.network(large)
    again = cache.network(large)
    assert [id(part) for _, part in again.parts] == [id(part) for _, part in first.parts]
    cache.network(small)
    later = cache.network(large)
    kept = {id(part) for _, part in first.parts} & {id(part) for _, part in later.parts}
    assert len(kept) < len({id(part) for _, part in first.parts})
