"""The fast way to a subnet's outputs against the plain one, in torch, for every family."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from hybrid_nas.spaces.cuts import cut_blocks
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.supernet.calibrate import recalibrate
from hybrid_nas.supernet.network import Supernet
from hybrid_nas.supernet.onnx_graph import fold_batch_norm, to_onnx
from hybrid_nas.supernet.preprocess import normalise, prepare, scale
from hybrid_nas.supernet.runner import SubnetRunner, run_network
from hybrid_nas.supernet.standalone import run_chain

SPACES = [
    ("mcunet", (40, 40, 3), 40),
    ("mcunet", (49, 10, 1), 49),
    ("ofa-mbv3-w1.0", (48, 48, 3), 48),
    ("ofa-proxyless-w1.3", (48, 48, 3), 48),
    ("ofa-resnet50", (49, 49, 3), 49),
]


@pytest.mark.parametrize(("name", "shape", "resolution"), SPACES)
def test_onnxruntime_says_what_torch_says(
    name: str, shape: tuple[int, int, int], resolution: int
) -> None:
    choices: dict[str, list[float]] = {"resolution": [resolution]}
    if name == "mcunet":
        choices["width"] = [0.3, 0.5]
    torch.manual_seed(0)
    space = load_space(name, input_shape=shape, classes=7, choices=choices)
    supernet = Supernet(space).eval()
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, *shape), dtype=np.uint8)
    runner = SubnetRunner(supernet, images[:32], lambda _: images, stages=True)
    genes = tuple(space.sample(1, rng)[0].tolist())
    outputs, timings = runner.run(genes, ("a",))

    supernet.activate(genes)
    network = supernet.extract()
    recalibrate(network, [prepare(images[:32], supernet.input_size)])
    with torch.inference_mode():
        features, logits = network.run(prepare(images, supernet.input_size))
    scale = float(logits.abs().max())
    assert np.allclose(outputs["a"].logits, logits.numpy(), atol=1e-4 * scale)
    assert np.allclose(outputs["a"].features, features.numpy(), atol=1e-3)
    assert features.shape == (40, network.architecture.blocks[-1].cin)
    assert min(timings.forward_s, timings.recalibrate_s, timings.compile_s) > 0
    onnx.checker.check_model(to_onnx(network), full_check=True)
    cuts = cut_blocks(space, genes)
    assert len(outputs["a"].stages) == len(cuts) == 2
    with torch.inference_mode():
        x = prepare(images, supernet.input_size)
        for found, cut in zip(outputs["a"].stages, cuts, strict=True):
            before = run_chain(x, network.parts[:cut])[1]
            assert found.shape == (40, network.architecture.blocks[cut].cin)
            assert np.allclose(found, before.mean((2, 3)).numpy(), atol=1e-3)
    again = run_network(network, images)
    assert np.allclose(again.logits, outputs["a"].logits, atol=1e-4 * scale)
    assert again.stages == ()


def test_folding_is_the_formula() -> None:
    torch.manual_seed(1)
    conv, norm = torch.nn.Conv2d(3, 5, 3, bias=False), torch.nn.BatchNorm2d(5)
    torch.nn.init.uniform_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    norm.running_mean = torch.randn(5)
    norm.running_var = torch.rand(5) + 0.1
    weight, bias = fold_batch_norm(conv, norm)
    x = torch.randn(2, 3, 8, 8)
    with torch.inference_mode():
        expected = norm.eval()(conv(x))
        found = torch.nn.functional.conv2d(x, torch.from_numpy(weight), torch.from_numpy(bias))
    assert torch.allclose(expected, found, atol=1e-5)


def test_both_ways_of_preprocessing_give_the_same_numbers() -> None:
    """torch reads channels last and onnxruntime channels first; the arithmetic is one."""
    stored = np.arange(256, dtype=np.uint8).reshape(1, 4, 16, 4)
    pixels = torch.from_numpy(stored)
    first, last = scale(pixels), normalise(pixels)
    assert torch.equal(first, last)
    assert first.is_contiguous() and last.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(first.numpy(), (stored / 255 - 0.5) / 0.5, atol=1e-6)


def test_threads_change_no_bit() -> None:
    space = load_space("mcunet", input_shape=(32, 32, 3), classes=5, choices={"width": [0.3]})
    torch.manual_seed(0)
    supernet = Supernet(space).eval()
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (300, 32, 32, 3), dtype=np.uint8)
    genes = tuple(space.sample(1, rng)[0].tolist())
    found = [
        SubnetRunner(supernet, images[:256], lambda _: images, threads=threads).run(genes, ("a",))
        for threads in (1, 3)
    ]
    for one, three in zip(*([o["a"].features, o["a"].logits] for o, _ in found), strict=True):
        np.testing.assert_array_equal(one, three)
