"""Search spaces: genes in canonical form, counting, and the networks they stand for."""

from __future__ import annotations

import ast
import csv
import itertools
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hybrid_nas.errors import InputError
from hybrid_nas.spaces.loader import load_space, read_space_file, space_names
from hybrid_nas.spaces.ofa_genes import genes_from_ofa
from hybrid_nas.spaces.space import SearchSpace
from tests.conftest import shared_data

SPACES = {name: load_space(name) for name in space_names()}
some_space = st.sampled_from(sorted(SPACES)).map(SPACES.__getitem__)
seeds = st.integers(0, 2**32 - 1)


def rows_of(space: SearchSpace, seed: int, n: int = 8) -> np.ndarray:
    return space.sample(n, np.random.default_rng(seed))


def is_canonical(space: SearchSpace, rows: np.ndarray) -> bool:
    within = ((rows >= -1) & (rows < space.sizes)).all()
    return bool(within and (space.canonical(rows) == rows).all())


@given(some_space, seeds)
def test_canonical_form_is_a_fixed_point(space: SearchSpace, seed: int) -> None:
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, space.sizes, (8, len(space.genes)))
    rows = space.canonical(raw)
    assert (space.canonical(rows) == rows).all()
    assert is_canonical(space, space.sample(8, rng))


@given(some_space, seeds)
def test_genes_that_differ_only_where_inactive_are_the_same_network(
    space: SearchSpace, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rows = space.sample(4, rng)
    noise = np.where(rows < 0, rng.integers(0, space.sizes, rows.shape), rows)
    assert (space.canonical(noise) == rows).all()
    assert space.architecture(noise[0]).blocks == space.architecture(rows[0]).blocks


@given(some_space, seeds)
def test_genes_survive_the_way_through_a_dictionary(space: SearchSpace, seed: int) -> None:
    for row in rows_of(space, seed, 4):
        values = space.to_dict(row)
        assert len(values) == (row >= 0).sum()
        assert space.from_dict(values) == tuple(row.tolist())


@given(some_space, seeds, st.floats(0, 1))
def test_mutation_and_crossover_stay_canonical(space: SearchSpace, seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    a, b = space.sample(8, rng), space.sample(8, rng)
    assert is_canonical(space, space.mutate(a, rate, rng))
    child = space.cross_over(a, b, rng)
    assert is_canonical(space, child)
    inherited = (child == a) | (child == b) | (child < 0)
    both_active = (a >= 0) & (b >= 0)
    assert inherited[both_active].all()


def test_mutation_at_rate_zero_changes_nothing() -> None:
    space = SPACES["mcunet"]
    rows = rows_of(space, 1, 50)
    assert (space.mutate(rows, 0.0, np.random.default_rng(0)) == rows).all()


@given(some_space, seeds)
def test_block_codes_and_blocks_are_inverse(space: SearchSpace, seed: int) -> None:
    rows = rows_of(space, seed, 2)
    for row, codes in zip(rows, space.block_codes(rows), strict=True):
        blocks = [space.block(slot, code) for slot, code in enumerate(codes) if code >= 0]
        assert tuple(blocks) == space.architecture(row).blocks
        for slot, code in enumerate(codes.tolist()):
            if code >= 0:
                genes = space.slots[slot].genes
                digits = np.unravel_index(code, tuple(space.sizes[list(genes)]))
                assert [int(d) for d in digits] == row[list(genes)].tolist()


@given(some_space, seeds)
def test_encoding_is_one_hot_of_the_active_genes(space: SearchSpace, seed: int) -> None:
    rows = rows_of(space, seed)
    features = space.encode(rows)
    assert features.shape == (len(rows), int(space.sizes.sum()))
    assert (features.sum(1) == (rows >= 0).sum(1)).all()
    genes = np.split(features, np.cumsum(space.sizes)[:-1].tolist(), axis=1)
    decoded = [np.where(part.any(1), part.argmax(1), -1) for part in genes]
    assert (np.stack(decoded, 1) == rows).all()


def test_smallest_and_largest_networks_bound_random_ones() -> None:
    for space in SPACES.values():
        small, large = (space.architecture(row) for row in space.extremes())
        for row in rows_of(space, 3, 20):
            arch = space.architecture(row)
            assert small.macs <= arch.macs <= large.macs
            assert small.params <= arch.params <= large.params


# -- counting


def narrowed(tmp_path: Path, name: str, **changes: object) -> SearchSpace:
    """A shipped space with other choices, written to a file of the user's."""
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump({**read_space_file(name), "name": "small", **changes}))
    return load_space(str(path), classes=10)


def stage(depth: list[int], kernel: list[int], expand: list[int], stride: int = 1) -> dict:
    return {
        "channels": 16, "stride": stride, "depth": depth, "kernel": kernel, "expand": expand,
        "activation": "relu6", "se": False,
    }  # fmt: skip


SMALL_STAGES = [
    [stage([1, 2], [3], [3, 6], 2)],
    [stage([1, 2, 3], [3, 5], [3]), stage([1], [3, 5, 7], [4])],
    [stage([2], [3, 7], [3, 4]), stage([1, 3], [3], [3, 6], 2)],
]


@pytest.mark.parametrize("stages", SMALL_STAGES)
def test_count_enumerate_and_brute_force_agree_on_mobile_spaces(
    tmp_path: Path, stages: list[dict]
) -> None:
    space = narrowed(tmp_path, "mcunet", stages=stages, resolution=[32, 48], width=[0.5])
    check_counts(space)


def test_count_enumerate_and_brute_force_agree_on_resnet_spaces(tmp_path: Path) -> None:
    stages = [
        {"channels": 64, "blocks": 1, "stride": 1},
        {"channels": 64, "blocks": 1, "stride": 2},
    ]
    space = narrowed(
        tmp_path, "ofa-resnet50", stages=stages, resolution=[32], width=[0.65, 1.0],
        expand=[0.2, 0.35], depth=[0, 1],
    )  # fmt: skip
    check_counts(space)


def check_counts(space: SearchSpace) -> None:
    every = np.array(list(itertools.product(*(range(size) for size in space.sizes))))
    brute_force = {tuple(row) for row in space.canonical(every).tolist()}
    listed = [tuple(row) for row in space.enumerate().tolist()]
    assert space.count() == len(listed) == len(brute_force)
    assert set(listed) == brute_force


def test_enumerating_a_large_space_is_refused() -> None:
    with pytest.raises(InputError, match="takes at most"):
        SPACES["mcunet"].enumerate()


def test_the_published_count_of_once_for_all_is_reproduced() -> None:
    """7371 networks per stage (Cai et al., 2020: about 2 x 10^19 per resolution)."""
    assert SPACES["ofa-mbv3-w1.0"].count() == 5 * 7371**5


# -- errors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"d9": 2}, "no gene 'd9'"),
        ({"d1": 7}, "gene d1 .* must be one of 2, 3, 4"),
        ({"resolution": None}, "gene resolution"),
    ],
)
def test_wrong_genes_are_named(change: dict, message: str) -> None:
    space = SPACES["mcunet"]
    values = {**space.to_dict(space.extremes()[0]), **change}
    with pytest.raises(InputError, match=message):
        space.from_dict(values)


def test_a_missing_active_gene_is_named() -> None:
    space = SPACES["mcunet"]
    values = space.to_dict(space.extremes()[1])
    del values["k2.4"]
    with pytest.raises(InputError, match=r"k2\.4 .* is missing"):
        space.from_dict(values)


# -- against published tables and the networks of `ofa`


def test_macs_and_parameters_equal_the_dynast_table() -> None:
    """All 2,373 measured subnets of OFA MobileNetV3 w1.0 (IntelLabs/DyNAS-T)."""
    space = load_space("ofa-mbv3-w1.0", choices={"resolution": [224]})
    seen = 0
    for path in sorted(shared_data("nas/dynast_ofa_mbv3").glob("*.csv")):
        for line in csv.DictReader(path.open()):
            genes = genes_from_ofa(ast.literal_eval(line["Sub-network"]), space)
            arch = space.architecture(genes)
            assert (arch.macs, arch.params) == (int(line["MACs"]), int(line["Model Parameters"]))
            seen += 1
    assert seen == 2373


def count_with_hooks(net: object, shape: tuple[int, int, int]) -> tuple[int, int]:
    """(MACs, parameters) of a torch module, counted while it runs."""
    import torch

    total = 0

    def count(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(module, torch.nn.Conv2d):
            per_output = module.weight[0].numel()
            total += output.numel() * per_output
        else:
            total += module.weight.numel()

    assert isinstance(net, torch.nn.Module)
    handles = [
        module.register_forward_hook(count)
        for module in net.modules()
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear)
    ]
    h, w, c = shape
    with torch.inference_mode():
        net.eval()(torch.zeros(1, c, h, w))
    for handle in handles:
        handle.remove()
    return total, sum(p.numel() for p in net.parameters())


def test_resnet_subnets_cost_what_ofa_builds() -> None:
    import hybrid_nas.supernet.ofa_import  # noqa: F401

    # isort: split
    from ofa.imagenet_classification.elastic_nn.networks import OFAResNets

    space = load_space("ofa-resnet50", classes=10)
    supernet = OFAResNets(
        n_classes=10, depth_list=[0, 1, 2], expand_ratio_list=[0.2, 0.25, 0.35],
        width_mult_list=[0.65, 0.8, 1.0],
    )  # fmt: skip
    rng = np.random.default_rng(0)
    for resolution in (128, 144):  # 144 halves to an odd image, which the shortcut pads
        genes = {
            "d": [int(rng.choice([0, 2])), *rng.integers(0, 3, 4).tolist()],
            "e": rng.choice([0.2, 0.25, 0.35], 18).tolist(),
            "w": rng.integers(0, 3, 6).tolist(),
        }
        supernet.set_active_subnet(**genes)
        arch = space.architecture(genes_from_ofa({**genes, "r": resolution}, space))
        built = supernet.get_active_subnet(preserve_weight=False)
        assert (arch.macs, arch.params) == count_with_hooks(built, arch.input_shape)


def test_proxyless_subnets_cost_what_ofa_builds() -> None:
    import hybrid_nas.supernet.ofa_import  # noqa: F401

    # isort: split
    from ofa.imagenet_classification.elastic_nn.networks import OFAProxylessNASNets

    space = load_space("ofa-proxyless-w1.3", classes=10)
    supernet = OFAProxylessNASNets(
        n_classes=10, width_mult=1.3, ks_list=[3, 5, 7], expand_ratio_list=[3, 4, 6],
        depth_list=[2, 3, 4],
    )  # fmt: skip
    rng = np.random.default_rng(0)
    for _ in range(2):
        genes = {
            "ks": rng.choice([3, 5, 7], 21).tolist(),
            "e": rng.choice([3, 4, 6], 21).tolist(),
            "d": [*rng.integers(2, 5, 5).tolist(), 1],
        }
        supernet.set_active_subnet(**genes)
        arch = space.architecture(genes_from_ofa({**genes, "r": 128}, space))
        built = supernet.get_active_subnet(preserve_weight=False)
        assert (arch.macs, arch.params) == count_with_hooks(built, arch.input_shape)
