"""The robust protocol on a simulated computer whose true times are known."""

from __future__ import annotations

import numpy as np
import pytest

from hybrid_nas.profiling.robust import Rounds, Samples, best_round, switches, take_turns

ROUNDS = Rounds(rounds=12, samples=20)


class Computer:
    """Clocks and a scheduler: runs take their time, but are slowed down and switched out.

    In two of three spells of 3 ms a neighbour slows everything down, by a factor of up to
    `slowest`. A run is switched out at random moments, after `slice_us` on average, for some ms.
    """

    _SPELL_NS = 3e6

    def __init__(self, seed: int, slowest: float, slice_us: float) -> None:
        self.now = self.busy = 0.0
        self.switched = 0
        self._rng = np.random.default_rng(seed)
        self._slowest, self._slice_ns = slowest, slice_us * 1e3
        self._slowdowns: dict[int, float] = {}

    def run(self, true_us: float) -> None:
        neighbour = self._rng.uniform(1, self._slowest) if self._rng.random() < 2 / 3 else 1.0
        slowdown = self._slowdowns.setdefault(int(self.now // self._SPELL_NS), neighbour)
        busy = true_us * 1e3 * slowdown * (1 + self._rng.exponential(0.003))
        losses = self._rng.poisson(busy / self._slice_ns)
        self.switched += losses
        self.busy += busy
        self.now += busy + self._rng.exponential(3e6, losses).sum()

    def measure(self, true_us: list[float], rounds: Rounds = ROUNDS) -> list[Samples]:
        return take_turns(
            [lambda us=us: self.run(us) for us in true_us],
            rounds,
            clock_ns=lambda: int(self.now),
            processor_ns=lambda: int(self.busy),
            switch_count=lambda: self.switched,
        )


@pytest.mark.parametrize("seed", range(5))
def test_true_times_are_found_under_noise_that_misleads_medians(seed: int) -> None:
    true_us = [30.0, 40.0, 200.0, 700.0]
    taken = Computer(seed, slowest=1.5, slice_us=3000).measure(true_us)
    found = np.array([best_round(samples, 20).value for samples in taken])
    medians = np.array([np.median(samples.us) for samples in taken])
    assert np.abs(found / true_us - 1).max() < 0.02
    assert np.abs(medians / true_us - 1).mean() > 0.05


def test_switched_samples_are_dropped() -> None:
    us = np.array([[1.0, 500.0, 1.0], [2.0, 2.0, 2.0]])
    quiet = np.array([[False, True, False], [True, True, False]])
    found = best_round(Samples(us, quiet), 20)
    assert (found.value, found.spread, found.count) == (2.0, 498.0, 3)


def test_a_thing_never_left_alone_gets_its_processor_time() -> None:
    computer = Computer(0, slowest=1.1, slice_us=500)  # switched out 40 times in every run
    samples = computer.measure([20_000.0])[0]
    assert not samples.quiet.any()
    found = best_round(samples, 20)
    assert found.value == pytest.approx(20_000, rel=0.1)
    assert found.count == ROUNDS.rounds * ROUNDS.samples


def test_value_spread_and_count_against_their_definition() -> None:
    rng = np.random.default_rng(0)
    us, quiet = rng.uniform(10, 20, (6, 30)), rng.random((6, 30)) < 0.7
    low = sorted(np.quantile(row[keep], 0.2) for row, keep in zip(us, quiet, strict=True))
    found = best_round(Samples(us, quiet), 20)
    assert found.value == pytest.approx(low[0])
    assert found.spread == pytest.approx(low[1] - low[0])
    assert found.count == quiet.sum()


def test_one_round_has_no_spread() -> None:
    found = best_round(Samples(np.array([[5.0, 6.0]]), np.array([[True, True]])), 0)
    assert (found.value, found.spread, found.count) == (5.0, 0.0, 2)


def test_things_take_turns_and_warm_up_runs_are_not_timed() -> None:
    calls: list[str] = []
    rounds = Rounds(rounds=2, samples=2, warm_up=1)
    things = [lambda name=name: calls.append(name) for name in "ab"]
    taken = take_turns(things, rounds)
    assert "".join(calls) == "aaabbbaaabbb"
    assert [samples.us.shape for samples in taken] == [(2, 2), (2, 2)]


def test_switches_only_ever_grow() -> None:
    first = switches()
    assert 0 <= first <= switches()
