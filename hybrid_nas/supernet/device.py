"""Where networks run: CPU or CUDA, always reproducibly."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

from hybrid_nas.errors import InputError

DEVICES = ("auto", "cpu", "cuda")

_Network = TypeVar("_Network", bound=nn.Module)


def choose_device(wanted: str = "auto") -> str:
    """``cpu`` or ``cuda``; ``auto`` takes CUDA where there is one.

    On CUDA the deterministic convolution algorithms are chosen, so that a seed decides the result
    there too.

    Raises:
        InputError: CUDA is asked for and not there, or `wanted` is none of ``auto, cpu, cuda``.
    """
    if wanted not in DEVICES:
        raise InputError(f"--device must be one of {', '.join(DEVICES)} (got {wanted!r})")
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return "cpu"
    if not torch.cuda.is_available():
        raise InputError("--device cuda: torch finds no CUDA device: give --device cpu or auto")
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    return "cuda"


def place(network: _Network, device: str) -> _Network:
    """`network` on `device` with channels last in memory, which convolutions run fastest on."""
    # torch's annotations of `to` lack memory_format
    placed: _Network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed
