"""The end of a search: its rule by hand on two fronts, and the same answer whoever asks."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hybrid_nas.errors import InputError
from hybrid_nas.guided.pareto import front_mask, hypervolume
from hybrid_nas.search.candidate import Candidate
from hybrid_nas.search.pareto import RunningFront
from hybrid_nas.search.patience import Patience, stderr
from hybrid_nas.search.progress import Box
from hybrid_nas.search.run import run_search, settings_to_resume
from hybrid_nas.search.rundir import RunDirectory
from hybrid_nas.search.score import AtCoverage, PairFigures, WorkingPoint
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.search.worker import ScoredPair
from tests.search.conftest import TinyInputs


def pair(number: int, accuracy: float, latency_ms: float, error: float) -> ScoredPair:
    at = {0.7: AtCoverage(accuracy, error, 0.7, latency_ms)}
    figures = PairFigures(at, 0.5, 0.5, "msp", 0, 0, latency_ms, 1, 1, {})
    return ScoredPair(number, Candidate((), "confidence"), figures, (accuracy, latency_ms))


def pairs(values: list[tuple[float, float]], error: float) -> list[ScoredPair]:
    return [pair(k, *value, error) for k, value in enumerate(values)]


@pytest.fixture(scope="module")
def setup(tiny: TinyInputs) -> SearchSetup:
    return SearchSetup(tiny.settings(patience=10))


def patience(setup: SearchSetup, last: int = 10) -> Patience:
    return Patience(setup.problem, replace(setup.settings, patience=last))


def middle(setup: SearchSetup) -> tuple[float, float]:
    """Latencies in the box of the search."""
    box = Box.of(setup.problem, setup.settings)
    return float(box.ideal[1]), float(box.worst[1])


class TestRule:
    """One pair makes a front whose hypervolume is linear in its accuracy."""

    @pytest.mark.parametrize(("gain", "stops"), [(0.8, True), (3.0, False)])
    def test_a_gain_within_and_beyond_the_confidence(
        self, setup: SearchSetup, gain: float, stops: bool
    ) -> None:
        """The spread is the standard error itself: 1.645 of it is the border, but for 64 draws."""
        latency, error = sum(middle(setup)) / 2, 0.01
        values = [(0.6, latency)] * 5 + [(0.6 + gain * error, latency)] + [(0.1, latency)] * 9
        ended = patience(setup)(pairs(values, error))
        assert (ended is not None) == stops
        if ended is not None:
            assert "15 candidates scored, the last 10 without a gain" in ended

    def test_exact_scores_tell_every_gain(self, setup: SearchSetup) -> None:
        latency = sum(middle(setup)) / 2
        values = [(0.6, latency)] * 5 + [(0.6001, latency)] + [(0.1, latency)] * 9
        assert patience(setup)(pairs(values, 0.0)) is None
        assert patience(setup, 9)(pairs(values, 0.0)) is not None

    def test_never_without_patience_nor_too_early(self, setup: SearchSetup) -> None:
        same = pairs([(0.5, middle(setup)[1])] * 40, 0.01)
        assert patience(setup, 0)(same) is None
        assert patience(setup, 40)(same) is None
        assert patience(setup, 30)(same) is not None

    def test_another_process_gets_the_same_answer(self, setup: SearchSetup) -> None:
        """One that has looked after every trial, and one that comes in between two checks."""
        low, high = middle(setup)
        rng = np.random.default_rng(0)
        found = pairs([(float(a), float(b)) for a, b in zip(rng.beta(9, 3, 300),
                       rng.uniform(low, high, 300), strict=True)], 0.01)  # fmt: skip
        steady = patience(setup, 30)
        end = next(k for k in range(301) if steady(found[:k]))
        assert 30 < end <= 300
        assert patience(setup, 30)(found[: end + 2]) is not None
        assert all(patience(setup, 30)(found[:k]) is None for k in range(end - 6, end))


def test_errors_by_objective() -> None:
    at = AtCoverage(0.8, 0.02, 0.7, 5.0, loss=0.1, loss_stderr=0.03)
    figures = PairFigures({0.7: at}, 0.5, 0.5, "msp", 0, 0, 1.0, 1, 1, {})
    pointed = replace(figures, point=WorkingPoint(0.6, 0.0, replace(at, stderr=0.01)))
    names = ("accuracy", "auc", "mean-latency", "sram")
    assert [stderr(figures, name, 0.7) for name in names] == [0.02, 0.02, 0.0, 0.0]
    names = ("accuracy-in-budget", "loss", "mean-macs-within-loss")
    assert [stderr(pointed, name, 0.7) for name in names] == [0.01, 0.03, 0.0]


def test_a_search_ends_and_says_why_resumed_too(tiny: TinyInputs, tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "a")
    run_search(tiny.settings(trials=60, patience=3), directory)
    record = yaml.safe_load(directory.settings.read_text())
    scored = len(json.loads(directory.trials.read_text())["trials"])
    assert 3 < scored < 60
    assert record["ended"].startswith(f"{scored} candidates scored, the last 3 without a gain")
    again = run_search(settings_to_resume(directory, {}), directory, resume=True)
    assert again.ended == record["ended"]
    more = settings_to_resume(directory, {"patience": 0, "trials": scored + 1})
    assert run_search(more, directory, resume=True).ended == f"{scored + 1} candidates scored"


def test_negative_patience(tiny: TinyInputs) -> None:
    with pytest.raises(InputError, match="--patience must be at least 0"):
        tiny.settings(patience=-1)


@given(st.lists(st.tuples(*[st.integers(0, 5)] * 3), max_size=40))
def test_a_running_front_is_the_front(points: list[tuple[int, int, int]]) -> None:
    table = np.array(points, float).reshape(-1, 3)
    front = RunningFront(3)
    grown = [front.add(point) for point in table]
    expected = np.unique(table[front_mask(table)], axis=0)
    assert np.unique(front.losses, axis=0).tolist() == expected.tolist()
    assert len(front.losses) == len(expected)
    reference = np.full(3, 6.0)
    volumes = [hypervolume(table[:k], reference) for k in range(len(table) + 1)]
    assert grown == [b > a for a, b in pairwise(volumes)]
