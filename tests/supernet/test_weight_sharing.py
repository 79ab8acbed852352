"""Activating a subnet, and taking it out: the same numbers to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hybrid_nas.errors import InputError
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.spaces.space import SearchSpace
from hybrid_nas.supernet.network import Supernet
from tests.supernet.conftest import scramble

SPACES = {
    "mcunet-digits": {"input_shape": (48, 48, 3), "choices": {"resolution": [32, 48]}},
    "mcunet": {
        "input_shape": (49, 10, 1),
        "choices": {"resolution": [40, 49], "width": [0.5, 1.0]},
    },
    "ofa-mbv3-w1.0": {"choices": {"resolution": [32, 48]}},
    "ofa-proxyless-w1.3": {"choices": {"resolution": [32, 48]}},
    "ofa-resnet50": {"choices": {"resolution": [32, 64]}},
}


@pytest.fixture(scope="module", params=SPACES)
def supernet(request: pytest.FixtureRequest) -> Supernet:
    torch.manual_seed(0)
    return scramble(Supernet(load_space(request.param, classes=7, **SPACES[request.param])))


def architectures(space: SearchSpace, n: int, seed: int = 0) -> list[tuple[int, ...]]:
    rows = [*space.extremes(), *space.sample(n, np.random.default_rng(seed))]
    return [tuple(row.tolist()) for row in rows]


def images_for(supernet: Supernet, n: int = 2) -> torch.Tensor:
    channels = supernet.space.input_shape[2]
    return torch.randn(n, channels, *supernet.input_size, generator=torch.manual_seed(1))


def test_an_extracted_subnet_computes_what_the_supernet_computes(supernet: Supernet) -> None:
    for genes in architectures(supernet.space, 4):
        supernet.activate(genes)
        images = images_for(supernet)
        with torch.no_grad():
            features, logits = supernet.run(images)
            own_features, own_logits = supernet.extract().run(images)
        assert torch.equal(features, own_features)
        assert torch.equal(logits, own_logits)
        assert logits.shape == (2, 7)
        assert features.shape[1] == supernet.space.architecture(genes).blocks[-1].cin


def test_an_extracted_subnet_has_the_parameters_that_the_space_counts(supernet: Supernet) -> None:
    for genes in architectures(supernet.space, 4, seed=1):
        supernet.activate(genes)
        network = supernet.extract()
        assert sum(p.numel() for p in network.parameters()) == network.architecture.params


def test_extraction_copies(tiny_supernet: Supernet) -> None:
    network = tiny_supernet.extract()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for parameter in tiny_supernet.parameters():
        parameter.data.zero_()
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())


def test_activation_forgets_what_was_active_before(tiny_supernet: Supernet) -> None:
    first, second = architectures(tiny_supernet.space, 0)
    images = torch.randn(2, 3, 12, 12)
    tiny_supernet.activate(first)
    expected = tiny_supernet(images)
    tiny_supernet.activate(second)
    assert not torch.equal(tiny_supernet(torch.randn(2, 3, 16, 16)), expected)
    tiny_supernet.activate(first)
    assert torch.equal(tiny_supernet(images), expected)


def test_inactive_genes_change_nothing(tiny_supernet: Supernet) -> None:
    space = tiny_supernet.space
    shallow = space.from_dict({**space.to_dict(architectures(space, 0)[1]), "d1": 1})
    noisy = [0 if gene < 0 else gene for gene in shallow]
    images = torch.randn(2, 3, 16, 16)
    tiny_supernet.activate(shallow)
    expected = tiny_supernet(images)
    tiny_supernet.activate(tuple(noisy))
    assert torch.equal(tiny_supernet(images), expected)


def test_a_dimension_that_does_not_share_weights_needs_a_supernet_for_each_choice(
    tmp_path, tiny_file
) -> None:
    path = tmp_path / "apart.yaml"
    path.write_text(tiny_file.read_text() + "shares_weights: [resolution, depth, kernel, expand]\n")
    with pytest.raises(InputError, match=r"width.*--widths chooses one of 0\.2, 0\.3"):
        Supernet(load_space(str(path)))
    Supernet(load_space(str(path), choices={"width": [0.3]}))
