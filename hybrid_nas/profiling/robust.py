"""Timing on a computer that does other things too.

What disturbs a timing only ever makes it longer, and mostly in one of two ways: the thread is taken
off its core in the middle of a run, or everything is slower for a while because a neighbour uses
the caches, the memory or the clock. Against the first, samples during which the thread was
switched out are dropped; against the second, things to be timed take turns, round after round, and
the best round counts. Within a round a low percentile is taken instead of the minimum, which a
single lucky sample would decide. Where every sample of a thing was disturbed (a long run on a
busy computer), its processor time is the next best.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hybrid_nas.hardware.latency_table import Measurement
from hybrid_nas.typing import BoolArray, FloatArray

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Rounds:
    """How often things are run.

    Attributes:
        rounds: turns that each thing gets.
        samples: timed runs in a turn.
        warm_up: runs before them that are not timed.
        percentile: of a turn's samples, in percent.
        pause_s: seconds between rounds, so that few things also see different moments.
    """

    rounds: int = 6
    samples: int = 30
    warm_up: int = 2
    percentile: float = 20.0
    pause_s: float = 0.0


@dataclass(frozen=True)
class Samples:
    """Timings of one thing; both attributes have the shape (rounds, samples).

    Attributes:
        us: microseconds: wall-clock time of quiet samples, processor time of the others.
        quiet: whether the thread kept its core from start to end.
    """

    us: FloatArray
    quiet: BoolArray


def switches() -> int:
    """How often this thread has been switched out against its will; 0 where that is unknown."""
    who: Any = getattr(resource, "RUSAGE_THREAD", None)  # Linux alone counts by thread
    return 0 if who is None else resource.getrusage(who).ru_nivcsw


def take_turns(
    things: Sequence[Callable[[], object]],
    rounds: Rounds,
    *,
    clock_ns: Callable[[], int] = time.perf_counter_ns,
    processor_ns: Callable[[], int] = time.thread_time_ns,
    switch_count: Callable[[], int] = switches,
) -> list[Samples]:
    """Run all `things` in every round, and time them.

    Args:
        things: what to run.
        rounds: how often.
        clock_ns: the wall clock, in nanoseconds.
        processor_ns: the thread's processor time, in nanoseconds.
        switch_count: changes when the thread was switched out.

    Returns:
        The samples of each thing.
    """
    shape = (len(things), rounds.rounds, rounds.samples)
    us, quiet = np.zeros(shape), np.zeros(shape, bool)
    for turn in range(rounds.rounds):
        if turn:
            time.sleep(rounds.pause_s)
        for number, run in enumerate(things):
            for _ in range(rounds.warm_up):
                run()
            for sample in range(rounds.samples):
                before, busy, start = switch_count(), processor_ns(), clock_ns()
                run()
                wall, busy = clock_ns() - start, processor_ns() - busy
                kept_core = switch_count() == before
                us[number, turn, sample] = (wall if kept_core else busy) / 1e3
                quiet[number, turn, sample] = kept_core
    return [Samples(*pair) for pair in zip(us, quiet, strict=True)]


def best_round(samples: Samples, percentile: float) -> Measurement:
    """The lowest of the rounds' percentiles, in microseconds.

    The spread is its distance to the second lowest, the usual estimate of how far a smallest
    observation lies from the end of its distribution (Robson and Whitlock, Biometrika 51, 1964).
    The count is that of the samples used: the quiet ones, or all where none was quiet.
    """
    used = samples.quiet if samples.quiet.any() else np.ones_like(samples.quiet)
    found = sorted(
        float(np.percentile(us[chosen], percentile))
        for us, chosen in zip(samples.us, used, strict=True)
        if chosen.any()
    )
    spread = found[1] - found[0] if len(found) > 1 else 0.0
    return Measurement(found[0], spread, int(used.sum()))
