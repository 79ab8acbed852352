"""One network of a supernet in a file of its own: what final training makes of a cloud model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.files import atomic_write
from hybrid_nas.spaces.space import Genes
from hybrid_nas.supernet.checkpoint import SupernetInfo, info_of, state_of, to_bytes
from hybrid_nas.supernet.standalone import StandaloneNet

SCHEMA = "hybrid-nas/network/1"


def save_network(path: Path, network: StandaloneNet, info: SupernetInfo, genes: Genes) -> None:
    """Write a calibrated network; `info` and `genes` say which one of which space it is."""
    document = {
        "schema": SCHEMA,
        "info": info.to_dict(),
        "genes": list(genes),
        "state_dict": {name: value.cpu() for name, value in network.state_dict().items()},
    }
    atomic_write(path, to_bytes(document))


def network_of(
    document: Mapping[str, Any], path: Path
) -> tuple[StandaloneNet, SupernetInfo, Genes]:
    """The network in the document of a file that `save_network` wrote, in evaluation mode.

    Raises:
        InputError: it is damaged or something else.
    """
    info = info_of(document, path, SCHEMA)
    try:
        genes = tuple(int(gene) for gene in document["genes"])
        network = StandaloneNet(info.load_space().architecture(genes))
        network.load_state_dict(state_of(document, path))
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
        raise InputError(f"{path} is a damaged network file: {error}") from error
    return network.eval(), info, genes
