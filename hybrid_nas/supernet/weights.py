"""Copying tensors by name into a network, after a look at every name and shape."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from hybrid_nas.errors import InputError
from hybrid_nas.supernet.network import Supernet
from hybrid_nas.supernet.ofa_weights import today_keys
from hybrid_nas.supernet.standalone import StandaloneNet

HEAD = ("classifier.",)
"""Prefixes of the tensors that belong to a task's classes."""

_NAMED_IN_MESSAGES = 3


def load_weights(
    network: Supernet | StandaloneNet,
    state: Mapping[str, Tensor],
    source: str,
    *,
    skip: tuple[str, ...] = (),
) -> None:
    """Copy `state` into `network`, checking every key and shape first.

    Args:
        network: receives the weights.
        state: tensors by name, which may be names of older `ofa` versions.
        source: what to call them in messages.
        skip: prefixes of names that keep their present weights (a new classifier head).

    Raises:
        InputError: a key is missing or unknown, or a shape differs; nothing is copied then.
    """
    ours = network.state_dict()
    given = {name: t for name, t in today_keys(state, ours).items() if not name.startswith(skip)}
    wanted = {name: t for name, t in ours.items() if not name.startswith(skip)}
    problems = _differences(given, wanted)
    if problems:
        more = len(problems) - _NAMED_IN_MESSAGES
        listed = "; ".join(problems[:_NAMED_IN_MESSAGES])
        rest = f" (and {more} more)" if more > 0 else ""
        raise InputError(f"{source} does not fit {_title(network)}: {listed}{rest}")
    with torch.no_grad():
        for name in wanted.keys() & given.keys():
            wanted[name].copy_(given[name])


def _differences(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    missing = [f"missing {name}" for name in wanted.keys() - given.keys() if _counts(name)]
    unknown = [f"unknown {name}" for name in given.keys() - wanted.keys() if _counts(name)]
    shapes = [
        f"{name} is {tuple(given[name].shape)}, expected {tuple(wanted[name].shape)}"
        for name in wanted.keys() & given.keys()
        if given[name].shape != wanted[name].shape
    ]
    return sorted(missing) + sorted(unknown) + sorted(shapes)


def _counts(name: str) -> bool:
    """Whether a tensor matters; files of old torch versions have no batch counters."""
    return not name.endswith("num_batches_tracked")


def _title(network: nn.Module) -> str:
    if isinstance(network, Supernet):
        return f"space {network.space.name}"
    assert isinstance(network, StandaloneNet)
    return f"the architecture {network.architecture.name}".rstrip()
