"""The MCUNet zoo: multiply-accumulates and parameters as published, from the files themselves."""

from __future__ import annotations

import pytest

from benchmarks.published import load_networks, published
from tests.conftest import shared_data

NETWORKS = {
    name: entry
    for name, entry in published("mcunet_zoo")["networks"].items()
    if "macs_m" in entry and ("json" in entry or "blocks" in entry)
}


@pytest.mark.parametrize("name", NETWORKS)
def test_macs_and_parameters_are_the_published_ones(name: str) -> None:
    arch = load_networks("mcunet_zoo", shared_data("mcunet"))[name].arch
    assert arch is not None
    assert round(arch.macs / 1e6, 1) == NETWORKS[name]["macs_m"]
    assert round(arch.params / 1e6, 2) == NETWORKS[name]["params_m"]
