"""Tiny finished runs to evaluate."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybrid_nas.search.complete import complete
from hybrid_nas.search.run import run_search
from hybrid_nas.search.rundir import RunDirectory
from tests.search.conftest import TinyInputs, tiny

__all__ = ["tiny"]


def make_run(tiny: TinyInputs, path: Path, **changes: object) -> RunDirectory:
    """A finished search of two candidates."""
    directory = RunDirectory(path)
    settings = tiny.settings(trials=2, routers=("linear-features",), **changes)
    run_search(complete(settings), directory)
    return directory


@pytest.fixture(scope="session")
def predictions_run(tiny: TinyInputs, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """Its cloud is a file of predictions, right on 90 % of the images."""
    return make_run(tiny, tmp_path_factory.mktemp("runs") / "predictions")


@pytest.fixture(scope="session")
def model_run(tiny: TinyInputs, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """Its cloud is a network: the largest of the supernet."""
    path = tmp_path_factory.mktemp("runs") / "model"
    return make_run(tiny, path, cloud=str(tiny.supernet), coverages=(0.7,))


FLAKY = {
    "schema": "hybrid-nas/uplink/1",
    "name": "flaky",
    "delay": {"ms": 100},
    "outage": 0.2,
    "timeout_ms": 1000,
    "energy": {"per_query_mj": 30, "per_byte_uj": 10},
}


@pytest.fixture(scope="session")
def priced_run(tiny: TinyInputs, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A query takes 200 ms, or 1000 in vain for one in five; 100 ms are allowed on average."""
    return make_run(
        tiny,
        tmp_path_factory.mktemp("runs") / "priced",
        uplink=FLAKY,
        power_mw=250.0,
        battery="1000mAh@3.7V",
        per_day=2000.0,
        sleep_mw=0.5,
        mean_latency_ms=100.0,
        coverages=(0.7,),
    )


@pytest.fixture(scope="session")
def alone_run(tiny: TinyInputs, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """It has no cloud."""
    path = tmp_path_factory.mktemp("runs") / "alone"
    return make_run(tiny, path, cloud="none", coverages=(0.7,))
