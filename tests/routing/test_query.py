"""Prices of queries against simulation, SciPy, published figures and arithmetic by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hybrid_nas.errors import InputError
from hybrid_nas.routing.delays import Delay, FixedDelay, LogNormalDelay, MeasuredDelay
from hybrid_nas.routing.query import (
    Query,
    RadioEnergy,
    Transfer,
    Uplink,
    accuracy_with_timeouts,
    affordable_query_rate,
    hybrid_quantile_ms,
)

DRAWS = 200_000
SAMPLES = (120.0, 80.0, 450.0, 95.0, 2400.0, 130.0, 110.0)


def draw(delay: Delay, rng: np.random.Generator, n: int = DRAWS) -> np.ndarray:
    """Times drawn without the code under test."""
    match delay:
        case FixedDelay():
            return np.full(n, delay.ms)
        case LogNormalDelay():
            sigma = math.log(delay.p95_ms / delay.median_ms) / stats.norm.ppf(0.95)
            return delay.median_ms * np.exp(sigma * rng.standard_normal(n))
        case MeasuredDelay():
            return rng.choice(delay.samples_ms, n)
    raise AssertionError


EDGE_MS, QUERY_MS = 200.0, 2000.0
HYBRID = {1000.0: 70.8, 1400.0: 77.7, 1600.0: 79.5}
"""Mean latency in ms: top-1 accuracy of the hybrid. Kag et al. (ICLR 2023), microcontroller."""
CLOUD_ONLY = (2000.0, 79.9)


class TestMicrocontrollerTable:
    """Its points fit T = 200 ms + q * 2000 ms."""

    def test_the_latencies_are_those_of_whole_tenths_of_queries(self) -> None:
        rates = [affordable_query_rate(ms, EDGE_MS, QUERY_MS) for ms in HYBRID]
        assert rates == pytest.approx([0.4, 0.6, 0.7])

    def test_the_axis_is_the_mean_over_inputs(self) -> None:
        """Of ten inputs so many are sent: the plain average of what each of them takes."""
        query = Query(Uplink(delay=FixedDelay(1900.0)), cloud_ms=100.0)
        assert query.mean_ms == QUERY_MS
        for sent, mean_ms in zip((4, 6, 7), HYBRID, strict=True):
            times = [EDGE_MS + query.mean_ms] * sent + [EDGE_MS] * (10 - sent)
            assert np.mean(times) == mean_ms

    def test_cloud_only_is_one_query_without_a_base(self) -> None:
        """2000 ms: the hybrid within half a point of it saves a fifth and asks for 70 %."""
        latency_ms, accuracy = CLOUD_ONLY
        assert Query(Uplink(delay=FixedDelay(1900.0)), cloud_ms=100.0).mean_ms == latency_ms
        (cheaper,) = (ms for ms, found in HYBRID.items() if accuracy - found < 0.5)
        saved = 1 - cheaper / latency_ms
        rate = affordable_query_rate(cheaper, EDGE_MS, QUERY_MS)
        assert (saved, rate) == pytest.approx((0.2, 0.7))

    @given(st.floats(0.0, 5000.0), st.floats(0.0, 1000.0), st.floats(1.0, 5000.0))
    def test_a_budget_is_used_up_and_not_exceeded(
        self, budget: float, edge: float, query: float
    ) -> None:
        rate = affordable_query_rate(budget, edge, query)
        assert 0 <= rate <= 1
        if rate > 0:
            assert edge + rate * query <= budget * (1 + 1e-9)
        if 0 < rate < 1:
            assert edge + rate * query == pytest.approx(budget)


class TestDelays:
    def test_log_normal_is_scipys(self) -> None:
        delay = LogNormalDelay(300.0, 1200.0)
        reference = stats.lognorm(s=math.log(4) / stats.norm.ppf(0.95), scale=300.0)
        assert delay.mean_wait_ms(math.inf) == pytest.approx(reference.mean())
        for ms in (1.0, 200.0, 5000.0):
            assert delay.share_within(ms) == pytest.approx(reference.cdf(ms))
            waited = reference.expect(lambda t, ms=ms: min(t, ms), lb=0, ub=math.inf)
            assert delay.mean_wait_ms(ms) == pytest.approx(waited, rel=1e-5)
        assert delay.quantile_ms(0.95) == pytest.approx(1200.0)
        assert delay.share_within(0.0) == delay.mean_wait_ms(-1.0) == 0.0

    def test_a_heavy_tail_does_not_overflow(self) -> None:
        delay = LogNormalDelay(1.0, 1e30)
        assert 0 < delay.mean_wait_ms(1000.0) <= 1000.0

    @given(st.lists(st.floats(0, 1e4), min_size=1, max_size=20), st.floats(0.01, 1))
    def test_measured_times_are_numpys(self, samples: list[float], share: float) -> None:
        delay = MeasuredDelay(tuple(samples))
        expected = np.quantile(samples, share, method="inverted_cdf")
        assert delay.quantile_ms(share) == pytest.approx(expected)
        assert delay.share_within(expected) >= share - 1e-9
        assert delay.mean_wait_ms(50.0) == pytest.approx(np.minimum(samples, 50.0).mean())

    @pytest.mark.parametrize(
        "make",
        [
            lambda: FixedDelay(-1.0),
            lambda: FixedDelay(math.nan),
            lambda: LogNormalDelay(300.0, 300.0),
            lambda: LogNormalDelay(0.0, 300.0),
            lambda: MeasuredDelay(()),
            lambda: MeasuredDelay((1.0, math.inf)),
        ],
    )
    def test_what_is_no_time_is_refused(self, make: object) -> None:
        with pytest.raises(InputError):
            make()  # type: ignore[operator]


UPLINKS = [
    Uplink(delay=FixedDelay(300.0)),
    Uplink(delay=LogNormalDelay(300.0, 1500.0)),
    Uplink(delay=LogNormalDelay(300.0, 1500.0), outage=0.1, timeout_ms=1000.0),
    Uplink(delay=MeasuredDelay(SAMPLES), outage=0.03, timeout_ms=700.0),
    Uplink(transfer=Transfer.at(1e5), delay=MeasuredDelay(SAMPLES), timeout_ms=800.0),
    Uplink(transfer=Transfer.at(1e4), delay=FixedDelay(5.0), outage=0.5, timeout_ms=400.0),
]


@pytest.mark.parametrize("uplink", UPLINKS, ids=range(len(UPLINKS)))
def test_query_and_hybrid_against_simulation(uplink: Uplink) -> None:
    """Mean, availability, 95 % of queries and of all inputs, as drawn one by one."""
    rng = np.random.default_rng(1)
    query = Query(uplink, payload_bytes=2000, cloud_ms=40.0)
    times = query.transfer_ms + 40.0 + draw(uplink.delay, rng)
    lost = rng.random(DRAWS) < uplink.outage
    timeout = math.inf if uplink.timeout_ms is None else uplink.timeout_ms
    answered = ~lost & (times <= timeout)
    waited = np.where(lost, timeout, np.minimum(times, timeout))
    assert query.mean_ms == pytest.approx(waited.mean(), rel=0.01)
    assert query.availability == pytest.approx(answered.mean(), abs=0.004)
    assert query.quantile_ms(0.95) == pytest.approx(np.quantile(waited, 0.95), rel=0.03)
    for rate in (0.02, 0.3, 1.0):
        total = 25.0 + np.where(rng.random(DRAWS) < rate, waited, 0.0)
        expected = np.quantile(total, 0.95)
        assert hybrid_quantile_ms(25.0, rate, query) == pytest.approx(expected, rel=0.03)


def test_when_the_base_answers_on_a_timeout() -> None:
    """Every combination of answered and not, weighted by its probability."""
    base = np.array([1, 0, 1, 0, 0], bool)
    cloud = np.array([1, 1, 0, 1, 0], bool)
    sent = np.array([0, 1, 1, 1, 0], bool)
    answered_share = 0.8
    expected = 0.0
    for case in range(8):
        answered = np.zeros(5, bool)
        answered[sent] = [case >> k & 1 for k in range(3)]
        k = int(answered.sum())
        weight = answered_share**k * (1 - answered_share) ** (3 - k)
        expected += weight * np.where(answered, cloud, base).mean()
    hybrid = np.where(sent, cloud, base).mean()
    assert accuracy_with_timeouts(hybrid, base.mean(), answered_share) == pytest.approx(expected)


class TestTransfer:
    @given(st.integers(0, 400), st.integers(1, 50), st.floats(0.05, 1.0))
    def test_packets_one_after_the_other(self, n_bytes: int, size: int, duty: float) -> None:
        """A packet may start when the sent share of all time since the first start allows it."""
        now, left = 0.0, n_bytes
        while left > 0:
            left -= size
            end = now + 7.0
            now += 7.0 / duty
        expected = end if n_bytes else 0.0
        assert Transfer(size, 7.0, duty).ms(n_bytes) == pytest.approx(expected)

    @pytest.mark.parametrize("duty", [0.0, 1.5])
    def test_duty_cycles_are_shares(self, duty: float) -> None:
        with pytest.raises(InputError, match="duty_cycle"):
            Transfer(1, 1.0, duty)

    def test_a_bandwidth_is_above_zero(self) -> None:
        with pytest.raises(InputError, match="bits_per_s"):
            Transfer.at(0.0)


class TestEnergy:
    def test_the_parts_add_up(self) -> None:
        """5 mJ to wake up, 1000 bytes of 2 uJ, and 30 mW for the 500 ms after the last byte."""
        energy = RadioEnergy(per_query_mj=5.0, per_byte_uj=2.0, wait_mw=30.0)
        uplink = Uplink(transfer=Transfer.at(8e4), delay=FixedDelay(400.0), energy=energy)
        query = Query(uplink, payload_bytes=1000, cloud_ms=100.0)
        assert query.transfer_ms == pytest.approx(100.0)
        assert query.energy_mj == pytest.approx(5.0 + 2.0 + 15.0)

    def test_unknown_stays_unknown(self) -> None:
        assert Query(Uplink()).energy_mj is None

    def test_negative_energy_is_refused(self) -> None:
        with pytest.raises(InputError, match="per_byte_uj"):
            RadioEnergy(per_byte_uj=-1.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outage": 1.0}, "outage"),
        ({"outage": 0.1}, "needs a timeout_ms"),
        ({"timeout_ms": 0.0}, "timeout_ms"),
    ],
)
def test_uplinks_that_cannot_be(changes: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Uplink("mine", **changes)  # type: ignore[arg-type]
