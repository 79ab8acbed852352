"""The optimiser of every training here: SGD with Nesterov's momentum."""

from __future__ import annotations

from torch import nn
from torch.optim import SGD


def sgd(network: nn.Module, rate: float, *, momentum: float, weight_decay: float) -> SGD:
    """For all of a network's parameters; biases and batch norm are not decayed."""
    kernels = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": kernels, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return SGD(groups, lr=rate, momentum=momentum, nesterov=True)


def set_rate(optimiser: SGD, rate: float) -> None:
    """Learn at this rate from now on."""
    for group in optimiser.param_groups:
        group["lr"] = rate
