"""Which subnets are evaluated, and what is said about them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hybrid_nas.errors import InputError
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.spaces.space import SearchSpace
from hybrid_nas.supernet.checkpoint import SupernetInfo
from hybrid_nas.supernet.evaluation import (
    check_data_fits,
    choose_subnets,
    classify,
    evaluate_subnets,
    stderr_by_group,
)
from hybrid_nas.supernet.network import Supernet
from hybrid_nas.supernet.preprocess import prepare
from tests.supernet.conftest import QuadrantData


def test_the_extremes_come_first_and_nothing_twice(tiny_space: SearchSpace) -> None:
    chosen = choose_subnets(tiny_space, 50, np.random.default_rng(0))
    assert [role for role, _ in chosen[:3]] == ["largest", "smallest", "random"]
    assert len({genes for _, genes in chosen}) == len(chosen) == 52
    smallest, largest = tiny_space.extremes()
    assert chosen[0][1] == tuple(largest) and chosen[1][1] == tuple(smallest)


def test_a_small_space_is_exhausted(tiny_file: Path) -> None:
    space = load_space(str(tiny_file), choices={"width": [0.2], "resolution": [16]})
    chosen = choose_subnets(space, 10**6, np.random.default_rng(0))
    assert sorted(genes for _, genes in chosen) == sorted(map(tuple, space.enumerate().tolist()))


def test_a_space_of_one_network_has_only_a_largest() -> None:
    space = load_space("mcunet-digits-cloud", input_shape=(64, 64, 3), classes=10)
    assert [role for role, _ in choose_subnets(space, 8, np.random.default_rng(0))] == ["largest"]


def test_the_standard_error_of_single_images_is_the_binomial_one() -> None:
    correct = np.random.default_rng(0).random(500) < 0.7
    p, n = correct.mean(), len(correct)
    expected = np.sqrt(p * (1 - p) / (n - 1))
    assert stderr_by_group(correct, np.arange(n)) == pytest.approx(expected)


def test_copies_of_an_image_in_one_group_add_nothing_to_the_certainty() -> None:
    correct = np.random.default_rng(1).random(200) < 0.6
    groups = np.arange(200)
    alone = stderr_by_group(correct, groups)
    assert stderr_by_group(np.repeat(correct, 5), np.repeat(groups, 5)) == pytest.approx(alone)
    assert stderr_by_group(np.tile(correct, 5), np.arange(1000)) < alone / 2


def test_the_standard_error_is_that_of_resampled_groups() -> None:
    """Against the bootstrap over groups, with groups of unequal size."""
    rng = np.random.default_rng(2)
    groups = rng.integers(0, 80, 600)
    correct = rng.random(600) < rng.uniform(0.3, 1.0, 80)[groups]
    members = [np.flatnonzero(groups == g) for g in range(80)]
    means = [
        correct[np.concatenate([members[g] for g in rng.integers(0, 80, 80)])].mean()
        for _ in range(4000)
    ]
    assert stderr_by_group(correct, groups) == pytest.approx(np.std(means), rel=0.05)


def test_one_group_has_no_standard_error() -> None:
    assert np.isnan(stderr_by_group(np.array([True, False]), np.zeros(2, np.int64)))


def test_classes_are_those_of_the_largest_logit(tiny_supernet: Supernet) -> None:
    images = QuadrantData().split("score").images
    network = tiny_supernet.extract().eval()
    expected = network(prepare(images, (16, 16))).argmax(1)
    assert np.array_equal(classify(network, images), expected)


def test_evaluation_changes_no_weight_and_no_statistic(tiny_supernet: Supernet) -> None:
    before = {name: tensor.clone() for name, tensor in tiny_supernet.state_dict().items()}
    found = list(evaluate_subnets(tiny_supernet, QuadrantData(), random_subnets=1, images=50))
    assert all(torch.equal(before[k], t) for k, t in tiny_supernet.state_dict().items())
    for subnet in found:
        genes = tiny_supernet.space.from_dict(subnet.genes)
        network = tiny_supernet.space.architecture(genes)
        assert (subnet.macs, subnet.params) == (network.macs, network.params)
        assert subnet.images == 50


def test_the_seed_decides_what_is_evaluated(tiny_supernet: Supernet) -> None:
    runs = [
        list(evaluate_subnets(tiny_supernet, QuadrantData(), random_subnets=2, images=40, seed=s))
        for s in (0, 0, 1)
    ]
    assert runs[0] == runs[1]
    assert [x.genes for x in runs[0]] != [x.genes for x in runs[2]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ("a", "b")}, "tells 2 classes apart, quadrants has 4"),
        (
            {"classes": ("x", "y", "z", "w")},
            "class 'x' of the supernet is 'quadrant 0' in quadrants",
        ),
        ({"input_shape": (16, 16, 1)}, "1 channels, quadrants has 3"),
        ({"input_shape": (16, 24, 3)}, "--image-size 16x24"),
    ],
)
def test_data_that_the_supernet_was_not_made_for_is_refused(
    changes: dict[str, object], message: str
) -> None:
    data = QuadrantData()
    described = {"classes": data.classes, "input_shape": data.image_shape, **changes}
    info = SupernetInfo(space="tiny", choices={}, data="x", data_fingerprint="", **described)
    with pytest.raises(InputError, match=message):
        check_data_fits(info, data)


def test_numbered_classes_and_other_sizes_of_one_shape_fit() -> None:
    info = SupernetInfo("tiny", {}, (32, 32, 3), ("0", "1", "2", "3"), "x", "")
    check_data_fits(info, QuadrantData())


def test_numbers_must_be_in_the_order_of_the_data_s_numbers() -> None:
    """Folders 0 .. 10 are read as 0, 1, 10, 2; labels 0 .. 10 of an array as 0, 1, 2."""
    listed = [str(k) for k in range(11)]
    for names in (listed, [f"{k:02}" for k in range(11)], [str(k + 90) for k in range(11)]):
        data = QuadrantData(11)
        data.classes = tuple(sorted(listed))
        by_folder = tuple(sorted(names, key=lambda name: str(int(name) - int(names[0]))))
        for classes, fits in ((by_folder, True), (tuple(names), False)):
            info = SupernetInfo("tiny", {}, (16, 16, 3), classes, "x", "")
            if fits:
                check_data_fits(info, data)
                continue
            with pytest.raises(InputError, match=r"is '10' in quadrants.*another order"):
                check_data_fits(info, data)
