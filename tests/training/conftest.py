"""Tiny finished runs whose pairs are trained."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hybrid_nas.search.rundir import RunDirectory
from tests.evaluation.conftest import alone_run, model_run, predictions_run
from tests.search.conftest import tiny

__all__ = ["alone_run", "model_run", "predictions_run", "tiny"]


@pytest.fixture(params=["predictions_run", "model_run", "alone_run"])
def any_run(request: pytest.FixtureRequest, tmp_path: Path) -> RunDirectory:
    """A copy of each kind of run: cloud as a file, as a network, none."""
    return copy_of(request.getfixturevalue(request.param), tmp_path)


def copy_of(run: RunDirectory, folder: Path) -> RunDirectory:
    """A run that a test may change."""
    shutil.copytree(run.path, folder / "run")
    return RunDirectory(folder / "run")
