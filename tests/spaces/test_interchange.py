"""Architecture JSON of MCUNet and Once-for-All, and documents of genes."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_nas.errors import InputError
from hybrid_nas.spaces.architecture import Architecture
from hybrid_nas.spaces.blocks import ConvBlock, DenseBlock, MBConvBlock, PoolBlock
from hybrid_nas.spaces.interchange import (
    architecture_from_json,
    architecture_to_json,
    genes_from_ofa,
    genes_to_json,
    read_architecture,
)
from hybrid_nas.spaces.loader import load_space, space_names
from tests.conftest import shared_data

SPACES = {name: load_space(name, classes=10) for name in space_names()}
ZOO = ("mcunet-in1", "mcunet-in2", "mcunet-in3", "mcunet-vww1", "proxyless-w0.3", "mbv2-w0.35")


def sample(name: str, seed: int = 0) -> Architecture:
    space = SPACES[name]
    return space.architecture(space.sample(1, np.random.default_rng(seed))[0])


@given(st.sampled_from(sorted(SPACES)), st.integers(0, 2**32 - 1))
def test_writing_and_reading_gives_the_same_network(name: str, seed: int) -> None:
    arch = sample(name, seed)
    document = json.loads(json.dumps(architecture_to_json(arch)))
    again = architecture_from_json(document)
    assert (again.input_shape, again.blocks) == (arch.input_shape, arch.blocks)
    assert json.loads(json.dumps(architecture_to_json(again))) == document


@given(
    st.tuples(st.integers(8, 60), st.integers(8, 60), st.integers(1, 4)),
    st.integers(0, 2**32 - 1),
)
def test_any_image_shape_survives(shape: tuple[int, int, int], seed: int) -> None:
    """Audio features such as 49x10x1 too."""
    space = load_space(
        "mcunet", input_shape=shape, classes=3, choices={"resolution": [max(shape[:2])]}
    )
    arch = space.architecture(space.sample(1, np.random.default_rng(seed))[0])
    assert arch.input_shape == shape
    again = architecture_from_json(architecture_to_json(arch))
    assert (again.input_shape, again.blocks) == (arch.input_shape, arch.blocks)


@pytest.mark.parametrize("name", ZOO)
def test_published_files_survive_the_round_trip(name: str) -> None:
    document = json.loads((shared_data("mcunet") / f"{name}.json").read_text())
    before = copy.deepcopy(document)
    arch = architecture_from_json(document)
    assert document == before, "the caller's document is never changed"
    written = architecture_to_json(arch)
    for key in ("first_conv", "feature_mix_layer", "resolution"):
        assert written[key] == document[key]
    assert written["bn"]["eps"] == document["bn"]["eps"] == arch.bn_eps
    real = [b for b in document["blocks"] if b["mobile_inverted_conv"]["name"] != "ZeroLayer"]
    for ours, theirs in zip(written["blocks"], real, strict=True):
        assert (ours["shortcut"] is None) == (theirs["shortcut"] is None)
        mine, other = ours["mobile_inverted_conv"], theirs["mobile_inverted_conv"]
        for key in ("in_channels", "out_channels", "kernel_size", "stride", "use_se", "act_func"):
            assert mine[key] == other[key]


@pytest.mark.parametrize("name", ["mcunet", "ofa-mbv3-w1.0", "ofa-proxyless-w1.3", "ofa-resnet50"])
def test_the_ofa_package_builds_the_same_network_from_our_files(name: str) -> None:
    import hybrid_nas.supernet.ofa_import  # noqa: F401

    # isort: split
    from ofa.imagenet_classification.networks import MobileNetV3, ProxylessNASNets, ResNets

    arch = sample(name, 5)
    document = json.loads(json.dumps(architecture_to_json(arch)))
    builders = {"MobileNetV3": MobileNetV3, "ProxylessNASNets": ProxylessNASNets}
    net = {**builders, "ResNets": ResNets}[document["name"]].build_from_config(document)
    assert sum(p.numel() for p in net.parameters()) == arch.params


@pytest.mark.parametrize("bn", [{"momentum": 0.1, "eps": 0.02}, None])
@pytest.mark.parametrize("name", ["mcunet", "ofa-mbv3-w1.0", "ofa-resnet50"])
def test_batch_norm_adds_what_the_ofa_package_adds(name: str, bn: dict[str, float] | None) -> None:
    """Without a word on it in the file, too."""
    import hybrid_nas.supernet.ofa_import  # noqa: F401

    # isort: split
    from ofa.imagenet_classification.networks import MobileNetV3, ProxylessNASNets, ResNets

    document = json.loads(json.dumps(architecture_to_json(sample(name))))
    del document["bn"]
    if bn is not None:
        document["bn"] = bn
    arch = architecture_from_json(document)
    builders = {"MobileNetV3": MobileNetV3, "ProxylessNASNets": ProxylessNASNets}
    net = {**builders, "ResNets": ResNets}[document["name"]].build_from_config(document)
    assert arch.bn_eps == net.get_bn_param()["eps"]


def test_a_shortcut_on_one_pixel_is_an_addition() -> None:
    """As on any other image; only the convolution is a dense layer there."""
    for side, op in ((1, "dense"), (4, "conv")):
        ops = ConvBlock(side, side, 8, 8, skip=True).lower()
        assert [spec.op for spec in ops] == [op, "add"]
        assert (ops[1].source, ops[1].residual, ops[1].out_bytes) == (1, 2, 8 * side**2)


def test_a_resolution_replaces_the_one_in_the_file() -> None:
    document = architecture_to_json(sample("mcunet"))
    assert architecture_from_json(document, 80).input_shape == (80, 80, 3)
    document["input_shape"] = [40, 20, 3]
    assert architecture_from_json(document).input_shape == (40, 20, 3)
    assert architecture_from_json(document, 80).input_shape == (80, 40, 3)


def test_static_layers_without_mid_channels_round_the_expansion() -> None:
    document = architecture_to_json(sample("mcunet"))
    layer = document["blocks"][1]["mobile_inverted_conv"]
    layer.update(mid_channels=None, expand_ratio=2.9)
    document["blocks"] = document["blocks"][:2]
    document["classifier"]["in_features"] = layer["out_channels"]
    block = architecture_from_json(document).blocks[2]
    assert isinstance(block, MBConvBlock)
    assert block.mid == round(layer["in_channels"] * 2.9)


def test_a_block_that_is_only_its_shortcut_is_left_out() -> None:
    """ProxylessNAS writes a skipped block as a ZeroLayer beside an identity."""
    document = architecture_to_json(sample("mcunet"))
    inner = {"name": "ZeroLayer", "stride": 1}
    shortcut = {"name": "IdentityLayer", "in_channels": [16], "out_channels": [16]}
    entry = {"mobile_inverted_conv": inner, "shortcut": shortcut}
    longer = {**document, "blocks": [*document["blocks"], entry]}
    assert architecture_from_json(longer).blocks == architecture_from_json(document).blocks


def broken(change: str) -> dict[str, Any]:
    """A good document with one thing wrong."""
    document: dict[str, Any] = architecture_to_json(sample("mcunet"))
    layer = document["blocks"][2]["mobile_inverted_conv"]
    match change:
        case "channels":
            layer["in_channels"] += 8
        case "kernel":
            layer["kernel_size"] = 4
        case "activation":
            layer["act_func"] = "swish"
        case "stride":
            layer["stride"] = 0
        case "groups":
            layer["groups"] = 2
        case "mid":
            layer["mid_channels"] = -3
        case "shortcut":
            document["blocks"][1]["shortcut"] = {"name": "IdentityLayer"}
        case "conv shortcut":
            document["blocks"][1]["shortcut"] = {"name": "ConvLayer"}
        case "block":
            document["blocks"][3] = "block"
        case "blocks":
            document["blocks"] = None
        case "stem":
            document["first_conv"] = None
        case "classifier":
            del document["classifier"]
        case "resolution":
            document["resolution"] = None
        case "shape":
            document["input_shape"] = [40, 20]
        case "shape channels":
            document["input_shape"] = [40, 20, 1]
        case "kind":
            layer["name"] = "DepthConvLayer"
        case "no mid" | "endless mid":
            layer["mid_channels"] = None
            layer["expand_ratio"] = {"no mid": 1e-9, "endless mid": float("inf")}[change]
        case "se":
            layer["use_se"] = "no"
        case "input stem":
            document["input_stem"] = {"a": document.pop("first_conv")}
        case "image":
            document["resolution"] = 10**12
        case "work":
            document["resolution"] = 1 << 20
            document["first_conv"]["kernel_size"] = 999
        case "bn":
            document["bn"] = 1e-3
        case "no eps":
            del document["bn"]["eps"]
        case "eps" | "endless eps":
            document["bn"]["eps"] = {"eps": 0, "endless eps": float("inf")}[change]
    return document


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("channels", r"blocks\[2\] reads \d+ channels, but the layer before it has \d+"),
        ("kernel", r"kernel_size of blocks\[2\] must be odd \(got 4\)"),
        ("activation", r"act_func of blocks\[2\] .*\(got 'swish'\)"),
        ("stride", r"stride of blocks\[2\] must be an integer above 0"),
        ("groups", r"groups of blocks\[2\]"),
        ("mid", r"mid_channels of blocks\[2\]"),
        ("shortcut", r"blocks\[1\] has a shortcut, but its output"),
        ("conv shortcut", r"shortcut of blocks\[1\] must be null or an IdentityLayer"),
        ("block", r"blocks\[3\] must be an object"),
        ("blocks", "must have a list 'blocks'"),
        ("stem", "first_conv must be an object"),
        ("classifier", "classifier must be an object"),
        ("resolution", "has no 'resolution'.*--resolution"),
        ("shape", r"\[height, width, channels\] \(got \[40, 20\]\)"),
        ("shape channels", "has 1 channels, but its first layer reads 3"),
        ("kind", r"name of blocks\[2\] must be 'MBInvertedConvLayer' \(got 'DepthConvLayer'\)"),
        ("no mid", r"mid_channels of blocks\[2\] must be an integer above 0 \(got 0\)"),
        ("endless mid", r"expand_ratio of blocks\[2\] must be a number above 0 \(got inf\)"),
        ("se", r"use_se of blocks\[2\] must be true or false \(got 'no'\)"),
        ("input stem", r"must have a list 'input_stem' \(got dict\)"),
        ("image", r"resolution of ProxylessNASNets must be at most 1048576"),
        ("work", r"operator 0 \(conv\) has \d+ multiply-accumulates \(at most \d+\)"),
        ("bn", r"'bn' of ProxylessNASNets must be an object with an 'eps' \(got 0.001\)"),
        ("no eps", r"eps in 'bn' .* must be a finite number above 0 \(got None\)"),
        ("eps", r"a finite number above 0 \(got 0\)"),
        ("endless eps", r"a finite number above 0 \(got inf\)"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_in_one_line(change: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        architecture_from_json(broken(change))
    assert "\n" not in str(caught.value)


def test_networks_that_the_format_cannot_express_are_refused() -> None:
    blocks = (
        ConvBlock(8, 8, 3, 8, 3, 2),
        PoolBlock(4, 4, 8),
        ConvBlock(1, 1, 8, 16),
        DenseBlock(1, 1, 16, 2),
    )
    with pytest.raises(InputError, match="cannot be written as JSON"):
        architecture_to_json(Architecture((8, 8, 3), blocks, "net"))


# -- genes


def test_our_genes_are_read_back() -> None:
    space = SPACES["mcunet"]
    genes = tuple(space.sample(1, np.random.default_rng(4))[0].tolist())
    text = json.dumps(genes_to_json(space, genes))
    arch = read_architecture(text)
    assert arch.blocks == space.architecture(genes).blocks
    assert read_architecture(text, space).blocks == arch.blocks
    assert read_architecture(text, classes=7).classes == 7
    assert read_architecture(text, resolution=100).resolution == 100


def test_genes_without_wrapping_need_a_space() -> None:
    space = SPACES["mcunet"]
    text = json.dumps(space.to_dict(space.extremes()[0]))
    assert read_architecture(text, "mcunet", classes=10).macs > 0
    with pytest.raises(InputError, match="names no search space"):
        read_architecture(text)
    with pytest.raises(InputError, match="genes of space 'mcunet', not of 'ofa-resnet50'"):
        read_architecture(json.dumps(genes_to_json(space, (0,) * 49)), "ofa-resnet50")


def test_genes_of_once_for_all_are_read_in_a_space() -> None:
    document = {"wid": None, "ks": [3] * 20, "e": [6] * 20, "d": [4] * 5, "r": [192]}
    arch = read_architecture(json.dumps(document), "ofa-mbv3-w1.0")
    assert (arch.resolution, arch.classes) == (192, 1000)
    wide = {"wid": 0.5, "ks": [5] * 21, "e": [4] * 21, "d": [2] * 5, "image_size": 96}
    space = SPACES["mcunet"]
    values = space.to_dict(genes_from_ofa(wide, space))
    assert (values["width"], values["resolution"], values["k3.2"]) == (0.5, 96, 5)
    assert space.to_dict(genes_from_ofa({**wide, "wid": 1}, space))["width"] == 0.3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ks": [3] * 7}, "'ks' must be a list of 20 numbers .*got 7 numbers"),
        ({"e": None}, "'e' must be a list"),
        ({"d": [9] * 5}, "gene d1 .* must be one of 2, 3, 4"),
        ({"r": None}, "without a resolution"),
        ({"r": [99]}, "gene resolution"),
        ({"wid": 3}, "'wid' must be one of the widths"),
    ],
)
def test_wrong_genes_of_once_for_all_are_named(change: dict[str, Any], message: str) -> None:
    good = {"wid": None, "ks": [3] * 20, "e": [6] * 20, "d": [4] * 5, "r": [192]}
    with pytest.raises(InputError, match=message):
        genes_from_ofa({**good, **change}, SPACES["ofa-mbv3-w1.0"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nowhere.json", "no file nowhere.json"),
        ("{", "not valid JSON"),
        ('{"a":' * 9999, "not valid JSON"),
        ('{"resolution": ' + "9" * 5000 + "}", "not valid JSON"),
        ("\0.json", "cannot read"),
        ('{"space": "mars"}', "no search space 'mars'"),
        ('{"space": "mcunet", "genes": 3}', "'genes' .* must be an object"),
    ],
)
def test_unreadable_documents_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_architecture(text)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_files_that_windows_wrote_are_read(tmp_path: Path, encoding: str) -> None:
    network = sample("mcunet")
    path = tmp_path / "net.json"
    path.write_bytes(json.dumps(architecture_to_json(network), indent=1).encode(encoding))
    assert read_architecture(path).blocks == network.blocks


def test_files_that_are_no_text_or_no_object_are_refused(tmp_path: Path) -> None:
    for name, content in (("a.json", b"\xff\xfe\x00"), ("b.json", b"[1, 2]")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError):
            read_architecture(tmp_path / name)
    with pytest.raises(InputError, match="a space has no meaning"):
        read_architecture(json.dumps(architecture_to_json(sample("mcunet"))), "mcunet")
