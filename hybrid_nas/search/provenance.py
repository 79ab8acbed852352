"""Where a run's results come from: versions, hashes, sizes as they were understood."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version
from typing import Any

from hybrid_nas import __version__
from hybrid_nas.errors import InputError
from hybrid_nas.hardware.latency_files import table_fingerprint
from hybrid_nas.hardware.latency_table import LatencyTable
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.supernet.sources import OpenedSupernet

_PACKAGES = ("torch", "ofa", "optuna", "numpy", "scipy", "scikit-learn", "onnxruntime")


def versions() -> dict[str, str]:
    """Versions of this program and of what its figures depend on."""
    return {
        "hybrid-nas": __version__,
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
        **{name: version(name) for name in _PACKAGES},
    }


def hashes(setup: SearchSetup) -> dict[str, str | None]:
    """Digests of everything that a result depends on."""
    opened: OpenedSupernet = setup.opened
    return {
        "data": setup.data.fingerprint,
        "supernet": opened.fingerprint,
        "space": opened.supernet.space.fingerprint,
        "cloud": setup.clouds.fingerprint,
        "latency_table": None if setup.table is None else table_fingerprint(setup.table),
    }


def describe_latency(table: LatencyTable | None) -> dict[str, Any]:
    """What kind of number a run's latencies are, where they come from, how far off they are."""
    if table is None:
        return {"table": None}
    identity, origin, error = table.identity, table.scaled_from, table.validation
    return {
        "table": table.name,
        "is": table.kind,
        "board": f"{identity.board}, {identity.core} at {identity.clock_hz / 1e6:g} MHz",
        "runtime": f"{identity.runtime} {identity.runtime_version}",
        "scaled_from": origin and f"{origin.unit} of {origin.board}, {origin.kernels}",
        "source": table.source,
        "mean_error": error and error.mean,
        "worst_error": error and error.worst,
        "error_of": error and f"{error.networks} networks; {error.how}",
    }


def check_unchanged(recorded: dict[str, Any], now: dict[str, str | None]) -> None:
    """Refuse to go on with a run whose inputs have changed.

    Raises:
        InputError: naming the first input that differs.
    """
    for name, digest in now.items():
        if recorded.get(name) != digest:
            raise InputError(
                f"the {name.replace('_', ' ')} of this run has changed since it began: its results "
                "would not compare; start a new run"
            )
