"""Tiny finished runs whose pairs are exported."""

from __future__ import annotations

from tests.evaluation.conftest import alone_run, model_run, predictions_run, priced_run
from tests.search.conftest import tiny
from tests.training.conftest import any_run

__all__ = ["alone_run", "any_run", "model_run", "predictions_run", "priced_run", "tiny"]
