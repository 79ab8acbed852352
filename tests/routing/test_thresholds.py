"""Thresholds: the target coverage is a floor, whatever the scores."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_nas.errors import InputError
from hybrid_nas.routing.thresholds import NEVER_SEND, fit_threshold, realised_coverage, sent

scores = st.lists(st.integers(-5, 5), min_size=1, max_size=60).map(lambda v: np.array(v) / 4.0)
coverages = st.floats(0.001, 1.0)


@given(scores, coverages, st.booleans())
def test_coverage_is_never_below_the_target(
    score: np.ndarray, coverage: float, break_even: bool
) -> None:
    threshold = fit_threshold(score, coverage, break_even=break_even)
    assert realised_coverage(score, threshold) >= coverage - 1e-9


@given(st.integers(1, 200), coverages)
def test_without_ties_the_quota_is_used_up(n: int, coverage: float) -> None:
    score = np.random.default_rng(n).permutation(n).astype(np.float64)
    quota = int(np.floor((1 - coverage) * n + 1e-9))
    assert sent(score, fit_threshold(score, coverage)).sum() == quota


@given(scores, coverages)
def test_inputs_tied_at_the_edge_are_treated_alike(score: np.ndarray, coverage: float) -> None:
    decided = sent(score, fit_threshold(score, coverage))
    for value in np.unique(score):
        assert len(set(decided[score == value])) == 1


def test_the_quota_survives_rounding() -> None:
    """(1 - 0.9) * 1000 is 99.99999999999997 in floating point."""
    assert sent(np.arange(1000.0), fit_threshold(np.arange(1000.0), 0.9)).sum() == 100


def test_the_threshold_lies_between_the_last_sent_and_the_first_kept_score() -> None:
    assert fit_threshold(np.array([0.0, 1.0, 3.0, 7.0]), 0.75) == 5.0


def test_negative_gains_stay_even_where_the_quota_has_room() -> None:
    gain = np.array([-0.4, -0.3, -0.2, 0.1])
    assert sent(gain, fit_threshold(gain, 0.25)).sum() == 3
    assert sent(gain, fit_threshold(gain, 0.25, break_even=True)).tolist() == [0, 0, 0, 1]


def test_coverage_1_never_sends_and_is_a_number_in_json() -> None:
    threshold = fit_threshold(np.arange(5.0), 1.0)
    assert not sent(np.array([1e300]), threshold).any()
    assert json.loads(json.dumps(threshold, allow_nan=False)) == NEVER_SEND


@pytest.mark.parametrize("coverage", [0.0, -0.1, 1.5, float("nan")])
def test_what_is_no_coverage_is_refused(coverage: float) -> None:
    with pytest.raises(InputError, match="out of range"):
        fit_threshold(np.arange(5.0), coverage)
