"""How long a search took to get so far, from the times that its study has of every trial."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from hybrid_nas.typing import FloatArray

Span = tuple[datetime, datetime]


def elapsed_seconds(spans: Sequence[Span]) -> FloatArray:
    """Seconds of search after which each trial, and all before it, had been scored: (n,).

    The search's clock runs while at least one trial is being worked on, so that a pause between a
    kill and the resumption does not count, and several workers at once count once.

    Args:
        spans: begin and end of each trial, in the order of their numbers.

    >>> from datetime import datetime, timedelta
    >>> noon = datetime(2024, 1, 1, 12)
    >>> at = lambda s: noon + timedelta(seconds=s)
    >>> elapsed_seconds([(at(0), at(4)), (at(1), at(3)), (at(100), at(102))]).tolist()
    [4.0, 4.0, 6.0]
    """
    if not spans:
        return np.zeros(0)
    first = min(begin for begin, _ in spans)
    times = np.array([[(t - first).total_seconds() for t in span] for span in spans])
    order = np.argsort(times[:, 0], kind="stable")
    ends = np.maximum.accumulate(times[order, 1])
    pauses = np.maximum(times[order, 0] - np.append(0.0, ends[:-1]), 0.0)
    before = np.empty(len(spans))
    before[order] = np.cumsum(pauses)  # pauses that ended before a trial began
    return np.asarray(np.maximum.accumulate(times[:, 1] - before))
