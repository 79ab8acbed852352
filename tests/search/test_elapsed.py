"""The search's clock against a second by second count."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hybrid_nas.search.elapsed import elapsed_seconds

NOON = datetime(2024, 1, 1, 12)
spans = st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda s: (s[0], s[0] + s[1]))


@given(st.lists(spans, max_size=12))
def test_seconds_in_which_any_trial_was_open(given: list[tuple[int, int]]) -> None:
    times = [tuple(NOON + timedelta(seconds=s) for s in span) for span in given]
    found = elapsed_seconds([(begin, end) for begin, end in times])
    busy = [any(begin <= s < end for begin, end in given) for s in range(80)]
    expected = [sum(busy[: max(end for _, end in given[: k + 1])]) for k in range(len(given))]
    assert found.tolist() == expected
