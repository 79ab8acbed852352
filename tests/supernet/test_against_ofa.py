"""Our supernets against the networks of the `ofa` package: the same tensors, numbers and files."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hybrid_nas.errors import InputError
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.spaces.space import Genes, SearchSpace
from hybrid_nas.supernet.checkpoint import load_ofa_checkpoint
from hybrid_nas.supernet.network import Supernet
from hybrid_nas.supernet.preprocess import normalise
from hybrid_nas.supernet.sources import IMAGENET, open_supernet
from tests.supernet.conftest import scramble

CLASSES = 11


def their_network(name: str, classes: int = CLASSES) -> Any:
    # our own import of `ofa` comes first: it puts the stand-in for torchvision in place
    from ofa.imagenet_classification.elastic_nn import networks

    elastic = {
        "n_classes": classes,
        "dropout_rate": 0,
        "ks_list": [3, 5, 7],
        "expand_ratio_list": [3, 4, 6],
        "depth_list": [2, 3, 4],
    }
    torch.manual_seed(0)
    match name:
        case "ofa-mbv3-w1.0" | "ofa-mbv3-w1.2":
            network = networks.OFAMobileNetV3(width_mult=float(name[-3:]), **elastic)
        case "ofa-proxyless-w1.3":
            network = networks.OFAProxylessNASNets(width_mult=1.3, **elastic)
        case _:
            network = networks.OFAResNets(
                n_classes=classes,
                depth_list=[0, 1, 2],
                expand_ratio_list=[0.2, 0.25, 0.35],
                width_mult_list=[0.65, 0.8, 1.0],
            )
    return scramble(network)


def activate_theirs(network: Any, space: SearchSpace, genes: Genes) -> None:
    """`genes` in the lists of `ofa`; inactive entries get any valid choice."""
    named = space.to_dict(genes)

    def listed(letter: str) -> list[Any]:
        return [
            named.get(gene.name, gene.choices[0])
            for gene in space.genes
            if re.fullmatch(rf"{letter}\d+(\.\d+)?", gene.name)
        ]

    if space.family == "resnet":
        widths = [space.genes[space.column["w0"]].choices.index(w) for w in listed("w")]
        network.set_active_subnet(d=listed("d"), e=listed("e"), w=widths)
    else:
        depths = listed("d") + [1] * (len(network.block_group_info) - len(listed("d")))
        network.set_active_subnet(ks=listed("k"), e=listed("e"), d=depths)


@pytest.fixture(
    scope="module", params=["ofa-mbv3-w1.0", "ofa-mbv3-w1.2", "ofa-proxyless-w1.3", "ofa-resnet50"]
)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Supernet, Any]:
    space = load_space(request.param, classes=CLASSES, choices={"resolution": [32, 64]})
    theirs = their_network(request.param)
    path = tmp_path_factory.mktemp("ofa") / "published.pth"
    torch.save({"state_dict": theirs.state_dict()}, path)
    return load_ofa_checkpoint(path, space), theirs


def test_tensors_have_the_same_names_and_shapes(pair: tuple[Supernet, Any]) -> None:
    ours, theirs = ({k: v.shape for k, v in net.state_dict().items()} for net in pair)
    assert ours == theirs


def test_subnets_compute_the_same(pair: tuple[Supernet, Any]) -> None:
    ours, theirs = pair
    rng = np.random.default_rng(3)
    for row in [*ours.space.extremes(), *ours.space.sample(4, rng)]:
        genes = tuple(row.tolist())
        ours.activate(genes)
        activate_theirs(theirs, ours.space, genes)
        images = torch.randn(2, 3, *ours.input_size)
        with torch.no_grad():
            expected = theirs(images)
            assert torch.allclose(ours(images), expected, rtol=1e-6, atol=1e-6 * expected.std())


def test_subnets_have_as_many_parameters_as_theirs(pair: tuple[Supernet, Any]) -> None:
    ours, theirs = pair
    for row in [*ours.space.extremes(), *ours.space.sample(2, np.random.default_rng(4))]:
        genes = tuple(row.tolist())
        activate_theirs(theirs, ours.space, genes)
        subnet = theirs.get_active_subnet(preserve_weight=False)
        expected = sum(p.numel() for p in subnet.parameters())
        assert ours.space.architecture(genes).params == expected


def old_block(name: str) -> str:
    """A tensor's name before the blocks' convolutions were renamed."""
    return re.sub(r"^(blocks\.\d+)\.conv\.(?=inv|depth|point)", r"\1.mobile_inverted_conv.", name)


def old_name(name: str) -> str:
    """A tensor's name as still older versions of `ofa` wrote it: without the wrapped level."""
    name = name.replace(".bn.bn.", ".bn.").replace(".conv.conv.weight", ".conv.weight")
    name = name.replace(".linear.linear.", ".linear.")
    return old_block(name)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_checkpoint_with_old_names_loads(
    pair: tuple[Supernet, Any], tmp_path: Path, wrapped: bool
) -> None:
    """`wrapped`: only the blocks have other names."""
    ours, theirs = pair
    state = theirs.state_dict()
    if wrapped:
        renamed = {old_block(name): tensor for name, tensor in state.items()}
    else:
        renamed = {old_name(name): tensor for name, tensor in state.items()}
    assert len(renamed) == len(state)
    assert wrapped or renamed.keys() != state.keys()
    path = tmp_path / "old.pth"
    torch.save({"state_dict": renamed}, path)
    loaded = load_ofa_checkpoint(path, ours.space).state_dict()
    assert all(torch.equal(loaded[name], state[name]) for name in state)


def test_a_checkpoint_of_another_space_is_refused_by_key(tmp_path: Path) -> None:
    path = tmp_path / "mbv3.pth"
    torch.save({"state_dict": their_network("ofa-mbv3-w1.0").state_dict()}, path)
    with pytest.raises(InputError, match=r"does not fit space ofa-mbv3-w1.2: .*expected.*more\)"):
        load_ofa_checkpoint(path, load_space("ofa-mbv3-w1.2", classes=CLASSES))


@pytest.mark.parametrize("name", ["ofa-mbv3-w1.0", "ofa-resnet50"])
def test_an_opened_ofa_checkpoint_reads_images_in_our_normalisation(
    name: str, tmp_path: Path
) -> None:
    """The first layer's output is theirs, but at the border, where padding means another grey."""
    theirs = their_network(name, classes=1000)
    first = theirs.input_stem[0] if name == "ofa-resnet50" else theirs.first_conv
    path = tmp_path / "ofa.pth"
    torch.save({"state_dict": theirs.state_dict()}, path)
    opened = open_supernet(str(path), space=name)
    assert opened.info.data == IMAGENET and len(opened.info.classes) == 1000
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    with torch.no_grad():
        expected = first((pixels / 255 - mean) / std)
        block, layer = opened.supernet.parts[0]
        got = layer(normalise(pixels))
    assert block.stride == 2
    assert torch.allclose(got[:, :, 1:-1, 1:-1], expected[:, :, 1:-1, 1:-1], atol=2e-5)
    assert not torch.equal(got, copy.deepcopy(first)(normalise(pixels)))
