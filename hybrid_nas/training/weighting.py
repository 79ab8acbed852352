"""Which images final training looks at: those that a model will have to answer.

Kag et al., "Efficient Edge Inference by Selective Query" (ICLR 2023): given the router's decisions
r (1: sent), the base minimises sum (2 - r) loss and the cloud sum (1 + r) loss. Both see all
images, and twice as much of their own.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def weighted_loss(logits: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of the cross-entropies, for logits (n, c) and weights (n,).

    `truth` holds labels (n,), or probabilities (n, c).
    """
    losses = cross_entropy(logits, truth, reduction="none")
    return (weights * losses).sum() / weights.sum()


def weighted_soft_loss(logits: Tensor, teacher: Tensor, weights: Tensor) -> Tensor:
    """The same against a teacher's logits (n, c)."""
    return weighted_loss(logits, teacher.softmax(1), weights)


def base_weights(sent: Tensor) -> Tensor:
    """2 - r, float32 (n,), for decisions (n,) bool."""
    return 2.0 - sent.to(torch.float32)


def cloud_weights(sent: Tensor) -> Tensor:
    """1 + r, float32 (n,)."""
    return 1.0 + sent.to(torch.float32)
