"""Router designs, their cost, and the arithmetic of a fitted network."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hybrid_nas.errors import InputError
from hybrid_nas.routing import DEFAULT_DESIGN, DESIGNS, design
from hybrid_nas.routing.designs import MAX_DEFAULT_BYTES, small_design
from hybrid_nas.routing.network import Layer, RouterNetwork
from hybrid_nas.spaces.loader import load_space


def make_network(hidden: int, seed: int = 0) -> RouterNetwork:
    random = np.random.default_rng(seed)
    first = Layer(random.normal(size=(4, hidden)), random.normal(size=hidden)) if hidden else None
    out = Layer(random.normal(size=(hidden or 4, 2)), random.normal(size=2))
    mean, scale = random.normal(size=4), random.uniform(0.5, 2.0, size=4)
    return RouterNetwork(mean, scale, first, out, ("only-cloud", "only-base"))


@pytest.mark.parametrize("kind", DESIGNS)
def test_parameters_are_counted_as_a_loop_over_layers_counts_them(kind: str) -> None:
    shape = DESIGNS[kind]
    signals = shape.n_signals(n_classes=10, n_features=160)
    layers = [(signals, shape.hidden), (shape.hidden, 2)] if shape.hidden else [(signals, 2)]
    weights = sum(inputs * outputs for inputs, outputs in layers)
    biases = sum(outputs for _, outputs in layers) if shape.blocks else 0
    assert shape.params(10, 160) == weights + biases
    assert shape.macs(10, 160) == weights
    assert shape.flash_bytes(10, 160) >= weights + 4 * biases


def test_known_costs() -> None:
    assert design("confidence").params(10, 160) == 0
    assert design("confidence").flash_bytes(10, 160) == 60
    assert design("confidence").sram_bytes(10, 160) == 12
    assert design("linear-features").flash_bytes(10, 160) == 60 + 2 * 170 + 4 * 2 * (1 + 9 + 2)
    assert design("linear-features").sram_bytes(10, 160) == 12 + 160 + 4 * 9
    mlp = 60 + 8 * 170 + 4 * 8 * (1 + 9 + 2) + 4 * 2 * (1 + 8)
    assert design("mlp8-features").flash_bytes(10, 160) == mlp
    assert design("mlp8-features").sram_bytes(2, 3) == 4 + 4 + 4 * (8 + 8)
    assert design("linear-stats").n_signals(10, 160) == 9
    assert design("mlp8-features").n_signals(10, 160) == 9 + 10 + 160
    assert design("mlp8-features").params(10, 160) == 179 * 8 + 8 + 8 * 2 + 2


@pytest.mark.parametrize("classes", [10, 100])
def test_the_default_takes_at_most_2_kb_beside_any_base(classes: int) -> None:
    """Of the default spaces; the widest pooled features of a slot's blocks are the worst."""
    for name in ("mcunet", "mcunet-digits"):
        space = load_space(name, classes=classes)
        last = len(space.slots) - 1
        combinations = int(np.prod(space.sizes[list(space.slots[last].genes)]))
        widths = {space.block(last, code).cin for code in range(combinations)}
        assert max(widths) >= 160
        for width in widths:
            assert design(DEFAULT_DESIGN).flash_bytes(classes, width) <= MAX_DEFAULT_BYTES == 2048


@pytest.mark.parametrize("features", [0, 320, 5000])
@pytest.mark.parametrize("classes", [2, 10, 100, 1000, 21841])
def test_what_is_small_enough_is_the_default_for_any_base(classes: int, features: int) -> None:
    chosen = small_design(classes, features)
    assert chosen.flash_bytes(classes, features) <= MAX_DEFAULT_BYTES
    assert not chosen.needs_features or features
    if (classes, features) == (10, 320):
        assert chosen.kind == DEFAULT_DESIGN


def test_an_unknown_design_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="linear-stats"):
        design("transformer")


@pytest.mark.parametrize("hidden", [0, 3])
def test_a_network_computes_what_its_formula_says(hidden: int) -> None:
    network = make_network(hidden)
    x = np.random.default_rng(1).normal(size=(6, 4))
    for row, outputs in zip(x, network(x), strict=True):
        z = [(row[i] - network.mean[i]) / network.scale[i] for i in range(4)]
        if network.hidden is not None:
            w, b = network.hidden.weights, network.hidden.bias
            z = [max(0.0, b[j] + sum(z[i] * w[i, j] for i in range(4))) for j in range(hidden)]
        w, b = network.out.weights, network.out.bias
        expected = [b[j] + sum(z[i] * w[i, j] for i in range(len(z))) for j in range(2)]
        np.testing.assert_allclose(outputs, expected)


def test_heads_can_be_kept_by_name() -> None:
    network = make_network(3)
    x = np.random.default_rng(1).normal(size=(20, 4))
    np.testing.assert_allclose(network.keep(["only-base"])(x)[:, 0], network(x)[:, 1], rtol=1e-12)


@pytest.mark.parametrize("hidden", [0, 3])
def test_a_network_survives_json_exactly(hidden: int) -> None:
    network = make_network(hidden)
    again = RouterNetwork.from_dict(json.loads(json.dumps(network.to_dict())))
    x = np.random.default_rng(1).normal(size=(20, 4))
    np.testing.assert_allclose(again(x), network(x), rtol=1e-12)
    assert again.heads == network.heads


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mean", [0.0]),
        ("scale", [1.0, 1.0, 1.0, float("nan")]),
        ("out", {"weights": [[1.0]], "bias": [0.0]}),
        ("hidden", {"weights": [[1.0, 2.0]], "bias": [0.0]}),
        ("heads", ["only-cloud"]),
        ("mean", None),
    ],
)
def test_a_damaged_network_is_refused(key: str, value: object) -> None:
    plain = make_network(3).to_dict()
    plain[key] = value
    with pytest.raises(InputError):
        RouterNetwork.from_dict(plain)
    del plain[key]
    if key != "hidden":
        with pytest.raises(InputError):
            RouterNetwork.from_dict(plain)
