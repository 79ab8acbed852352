"""Recalibrated batch norm: the averages of what passes through it."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from hybrid_nas.supernet.calibrate import calibration_batches, recalibrate
from hybrid_nas.supernet.network import Supernet
from hybrid_nas.supernet.preprocess import prepare


def norms_of(network: nn.Module) -> dict[str, nn.BatchNorm2d]:
    return {name: m for name, m in network.named_modules() if isinstance(m, nn.BatchNorm2d)}


def random_batches(n: int = 3, size: int = 16) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return [torch.randn(6, 3, size, size, generator=generator) for _ in range(n)]


def test_statistics_are_the_averages_of_each_batch_s_mean_and_variance(
    tiny_supernet: Supernet,
) -> None:
    """Brute force: record what every batch norm reads, then average with NumPy."""
    network = tiny_supernet.extract()
    batches = random_batches()
    seen: dict[str, list[np.ndarray]] = {name: [] for name in norms_of(network)}
    hooks = [
        norm.register_forward_pre_hook(
            lambda _m, inputs, name=name: seen[name].append(inputs[0].double().numpy())
        )
        for name, norm in norms_of(network).items()
    ]
    recalibrate(network, batches)
    for hook in hooks:
        hook.remove()
    for name, norm in norms_of(network).items():
        assert len(seen[name]) == len(batches)
        means = [x.mean((0, 2, 3)) for x in seen[name]]
        variances = [x.var((0, 2, 3), ddof=1) for x in seen[name]]
        np.testing.assert_allclose(norm.running_mean, np.mean(means, 0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(norm.running_var, np.mean(variances, 0), rtol=1e-4)
    assert not any(module.training for module in network.modules())


def test_statistics_agree_with_ofa_s_own_function(tiny_supernet: Supernet) -> None:
    """`ofa` takes the variance with divisor n, torch with n - 1; else they are the same."""
    from ofa.imagenet_classification.elastic_nn.utils import set_running_statistics

    batches = random_batches(size=12)
    tiny_supernet.activate(tuple(tiny_supernet.space.extremes()[0].tolist()))
    ours = tiny_supernet.extract()
    theirs = tiny_supernet.extract()
    values: dict[str, int] = {}
    for name, norm in norms_of(ours).items():
        norm.register_forward_pre_hook(
            lambda _m, inputs, name=name: values.update({name: inputs[0][:, 0].numel()})
        )
    recalibrate(ours, batches)
    set_running_statistics(theirs, [(batch, None) for batch in batches])
    for name, norm in norms_of(theirs).items():
        n = values[name]
        own = norms_of(ours)[name]
        assert torch.allclose(own.running_mean, norm.running_mean, rtol=1e-4, atol=1e-5)
        assert torch.allclose(own.running_var * (n - 1) / n, norm.running_var, rtol=1e-4)


def test_recalibrating_the_supernet_gives_the_subnet_s_statistics(tiny_supernet: Supernet) -> None:
    tiny_supernet.activate(tuple(tiny_supernet.space.extremes()[0].tolist()))
    batches = random_batches(size=12)
    alone = tiny_supernet.extract()
    recalibrate(alone, batches)
    recalibrate(tiny_supernet, batches)
    for name, norm in norms_of(tiny_supernet.extract()).items():
        assert torch.allclose(norm.running_mean, norms_of(alone)[name].running_mean, atol=1e-5)
        assert torch.allclose(norm.running_var, norms_of(alone)[name].running_var, atol=1e-5)


def test_recalibration_leaves_the_momentum_as_it_was(tiny_supernet: Supernet) -> None:
    before = [norm.momentum for norm in norms_of(tiny_supernet).values()]
    recalibrate(tiny_supernet, random_batches())
    assert [norm.momentum for norm in norms_of(tiny_supernet).values()] == before


def test_calibration_batches_are_of_equal_size_and_prepared_like_any_image() -> None:
    images = np.random.default_rng(0).integers(0, 256, (11, 16, 16, 3), dtype=np.uint8)
    batches = list(calibration_batches(images, (12, 12), batch=4))
    assert [len(batch) for batch in batches] == [4, 4]
    assert torch.equal(torch.cat(batches), prepare(images[:8], (12, 12)))
    assert [len(batch) for batch in calibration_batches(images, (12, 12), batch=64)] == [11]
