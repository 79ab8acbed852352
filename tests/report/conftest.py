"""One fabricated run with its report, written once for all tests that only read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hybrid_nas.report import write_report
from tests.report.example_run import ask, make_run


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory with a report; not to be changed."""
    folder = make_run(tmp_path_factory.mktemp("runs") / "example", pairs=3, trials=60)
    write_report(folder)
    return folder


@pytest.fixture
def pareto(run_dir: Path) -> dict[str, Any]:
    """A fresh copy of that run's ``pareto.json``."""
    document: dict[str, Any] = json.loads((run_dir / "pareto.json").read_text())
    return document


@pytest.fixture
def asked(pareto: dict[str, Any]) -> dict[str, Any]:
    """The document of a run that was asked for at most a point below the cloud."""
    return ask(pareto, max_loss=0.01)
