"""Supernet files: what is written is read back, and nothing else is accepted."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hybrid_nas.errors import InputError
from hybrid_nas.spaces.interchange import architecture_from_json
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.supernet.checkpoint import (
    SupernetInfo,
    load_standalone,
    load_supernet,
    read_info,
    read_tensors,
    save_supernet,
)
from hybrid_nas.supernet.network import Supernet
from hybrid_nas.supernet.standalone import StandaloneNet
from hybrid_nas.supernet.weights import load_weights
from tests.conftest import shared_data


@pytest.fixture
def info(tiny_file: Path) -> SupernetInfo:
    return SupernetInfo(
        space=str(tiny_file),
        choices={},
        input_shape=(16, 16, 3),
        classes=("a", "b", "c", "d"),
        data="quadrants",
        data_fingerprint="00",
        recipe={"steps": 3, "rate": 0.1},
    )


@pytest.fixture
def saved(tmp_path: Path, tiny_supernet: Supernet, info: SupernetInfo) -> Path:
    path = tmp_path / "tiny.pt"
    save_supernet(path, tiny_supernet, info)
    return path


def one_line(caught: pytest.ExceptionInfo[InputError], path: Path) -> bool:
    message = str(caught.value)
    return "\n" not in message and str(path) in message and caught.value.exit_status == 2


def test_a_supernet_is_read_back_as_written(
    saved: Path, tiny_supernet: Supernet, info: SupernetInfo
) -> None:
    """Kernels to half precision; biases and statistics, of any size, exactly."""
    loaded, found = load_supernet(saved)
    assert found == info == read_info(saved)
    assert loaded.space.fingerprint == tiny_supernet.space.fingerprint
    for name, tensor in tiny_supernet.state_dict().items():
        expected = tensor.half().float() if tensor.ndim > 1 else tensor
        assert torch.equal(loaded.state_dict()[name], expected), name
    assert not loaded.training


def test_half_precision_is_a_choice(
    tmp_path: Path, tiny_supernet: Supernet, info: SupernetInfo
) -> None:
    save_supernet(tmp_path / "whole.pt", tiny_supernet, info, half=False)
    loaded, _ = load_supernet(tmp_path / "whole.pt")
    whole = loaded.state_dict()
    assert all(torch.equal(whole[k], t) for k, t in tiny_supernet.state_dict().items())


def test_variances_beyond_half_precision_survive(
    tmp_path: Path, tiny_supernet: Supernet, info: SupernetInfo
) -> None:
    tiny_supernet.first_conv.bn.bn.running_var.fill_(1e6)
    save_supernet(tmp_path / "wide.pt", tiny_supernet, info)
    loaded, _ = load_supernet(tmp_path / "wide.pt")
    assert float(loaded.first_conv.bn.bn.running_var[0]) == 1e6


@pytest.mark.parametrize("kept", [0, 1, 10, 400, 0.5, 0.99])
def test_a_truncated_file_is_refused_in_one_line(saved: Path, kept: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(kept * len(content)) if kept < 1 else int(kept)])
    with pytest.raises(InputError, match="truncated") as caught:
        load_supernet(saved)
    assert one_line(caught, saved)


def test_damaged_bytes_never_end_in_another_exception(saved: Path) -> None:
    """Bits flipped anywhere: the file is refused, or (in a weight) read all the same."""
    content = saved.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), 4):
            damaged[place] ^= 1 << int(rng.integers(8))
        saved.write_bytes(bytes(damaged))
        try:
            load_supernet(saved)
        except InputError as error:
            assert "\n" not in str(error)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no checkpoint at .*nothing\.pt"):
        load_supernet(tmp_path / "nothing.pt")


class Bomb:
    """Unpickling it would run code."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("bomb-went-off"),))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_pickle_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, legacy: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bomb.pt"
    if legacy:
        path.write_bytes(pickle.dumps({"state_dict": Bomb()}))
    else:
        torch.save({"state_dict": Bomb()}, path)
    with pytest.raises(InputError) as caught:
        read_tensors(path)
    assert one_line(caught, path)
    assert not Path("bomb-went-off").exists()


@pytest.mark.parametrize(
    "document",
    [
        [1, 2],
        {"schema": "other"},
        {"schema": "hybrid-nas/supernet/1"},
        {"schema": "hybrid-nas/supernet/1", "info": {"input_shape": [1]}},
        {"schema": "hybrid-nas/supernet/1", "info": {"input_shape": [16, 16, 3], "classes": ["a"]}},
    ],
)
def test_other_documents_are_refused(tmp_path: Path, document: object) -> None:
    path = tmp_path / "other.pt"
    torch.save(document, path)
    with pytest.raises(InputError) as caught:
        load_supernet(path)
    assert one_line(caught, path)


def test_a_space_file_that_moved_can_be_named(
    saved: Path, tmp_path: Path, tiny_file: Path, tiny_supernet: Supernet
) -> None:
    document = read_tensors(saved)
    document["info"]["space"] = str(tmp_path / "gone.yaml")
    torch.save(document, saved)
    with pytest.raises(InputError, match=r"--space.*gone\.yaml"):
        load_supernet(saved)
    loaded, info = load_supernet(saved, space=str(tiny_file))
    assert loaded.space.fingerprint == tiny_supernet.space.fingerprint
    assert info.space == str(tiny_file)


def test_weights_of_other_shapes_are_named_and_nothing_is_copied(
    tiny_supernet: Supernet, tiny_file: Path
) -> None:
    wider = Supernet(
        load_space(str(tiny_file), input_shape=(16, 16, 3), classes=4, choices={"width": [1.0]})
    )
    before = {name: tensor.clone() for name, tensor in wider.state_dict().items()}
    with pytest.raises(InputError, match=r"FILE does not fit space tiny: .*expected.*more\)"):
        load_weights(wider, tiny_supernet.state_dict(), "FILE")
    assert all(torch.equal(before[name], t) for name, t in wider.state_dict().items())


def test_a_skipped_head_keeps_its_weights(tiny_supernet: Supernet, tiny_file: Path) -> None:
    torch.manual_seed(1)
    other = Supernet(load_space(str(tiny_file), input_shape=(16, 16, 3), classes=9))
    head = {name: t.clone() for name, t in other.state_dict().items() if "classifier" in name}
    assert head
    load_weights(other, tiny_supernet.state_dict(), "FILE", skip=("classifier.",))
    for name, tensor in other.state_dict().items():
        expected = head[name] if name in head else tiny_supernet.state_dict()[name]
        assert torch.equal(tensor, expected), name


def test_published_mcunet_weights_load_into_the_network_of_their_json() -> None:
    folder = shared_data("mcunet")
    described = json.loads((folder / "mcunet-in3.json").read_text())
    network = StandaloneNet(architecture_from_json(described))
    state = read_tensors(folder / "mcunet-in3.pth")["state_dict"]
    blank = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    load_standalone(folder / "mcunet-in3.pth", network)
    assert len(state) == len(network.state_dict())
    changed = [k for k, t in network.state_dict().items() if not torch.equal(t, blank[k])]
    assert {k for k in blank if k.endswith("weight")} <= set(changed)
    total = sum(float(t.double().sum()) for t in network.state_dict().values())
    assert total == pytest.approx(sum(float(t.double().sum()) for t in state.values()))
    with torch.inference_mode():
        logits = network(torch.zeros(1, 3, 176, 176))
    assert logits.shape == (1, 1000) and bool(logits.isfinite().all())


def test_published_weights_of_another_network_are_refused() -> None:
    folder = shared_data("mcunet")
    described = json.loads((folder / "mcunet-in1.json").read_text())
    network = StandaloneNet(architecture_from_json(described))
    with pytest.raises(InputError, match=r"mcunet-in3\.pth does not fit the architecture"):
        load_standalone(folder / "mcunet-in3.pth", network)


def built_by_ofa(described: dict[str, Any], path: Path) -> Any:
    """The network that the `ofa` package builds, its statistics drawn, saved at `path`."""
    import hybrid_nas.supernet.ofa_import  # noqa: F401

    # isort: split
    from ofa.imagenet_classification.networks import ProxylessNASNets

    torch.manual_seed(0)
    theirs = ProxylessNASNets.build_from_config(copy.deepcopy(described))
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.002, 0.05)  # beside which 1e-3 is not nothing
    torch.save({"state_dict": theirs.state_dict()}, path)
    return theirs.eval()


@pytest.mark.parametrize("name", ["proxyless-w0.3", "mbv2-w0.3"])
def test_published_json_with_skipped_blocks_and_another_eps_is_the_network_of_ofa(
    name: str, tmp_path: Path
) -> None:
    described = json.loads((shared_data("mcunet") / f"{name}.json").read_text())
    theirs = built_by_ofa(described, tmp_path / "net.pth")
    network = StandaloneNet(architecture_from_json(described))
    load_standalone(tmp_path / "net.pth", network)
    side = described["resolution"]
    image = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        found, wanted = network(image), theirs(image)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


def test_a_file_that_lacks_a_block_is_refused_by_the_names_in_it(tmp_path: Path) -> None:
    described = json.loads((shared_data("mcunet") / "mcunet-in1.json").read_text())
    network = StandaloneNet(architecture_from_json(described))
    kept = {k: t for k, t in network.state_dict().items() if not k.startswith("blocks.4.")}
    torch.save({"state_dict": kept}, tmp_path / "net.pth")
    with pytest.raises(InputError, match=r"missing blocks\.4\.conv"):
        load_standalone(tmp_path / "net.pth", network)
