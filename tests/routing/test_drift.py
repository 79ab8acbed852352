"""The rate controller: its bound holds for any inputs, and it follows inputs that change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_nas.errors import InputError
from hybrid_nas.routing.drift import RateController, fit_controller, spread

Array = np.ndarray

steps = st.integers(1, 10_000)
controllers = st.builds(
    lambda low, width, start, up, down, bits: RateController(
        low + round(start * width), up, down, low, low + width, bits
    ),
    st.integers(-(10**6), 10**6),
    st.integers(0, 10**6),
    st.floats(0.0, 1.0),
    steps,
    steps,
    st.integers(-2, 20),
)


def as_firmware(controller: RateController, values: list[int]) -> list[bool]:
    """The loop that the documentation gives for the device."""
    threshold, decisions = controller.threshold, []
    for value in values:
        value = min(max(value, controller.low), controller.high)
        send = value > threshold
        threshold += controller.step_up if send else -controller.step_down
        assert -(2**31) <= threshold < 2**31
        decisions.append(send)
    return decisions


@given(controllers, st.lists(st.floats(-1e7, 1e7), min_size=1, max_size=300), st.data())
def test_the_rate_of_any_inputs_is_within_its_bound(
    controller: RateController, scores: list[float], data: st.DataObject
) -> None:
    sent = controller.run(np.array(scores)).sent
    begin = data.draw(st.integers(0, len(scores) - 1))
    stretch = sent[begin:]  # of any stretch, not only of the first
    assert abs(stretch.mean() - controller.target) <= controller.error_bound(len(stretch)) + 1e-12


@given(controllers, st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=100))
def test_it_decides_as_integer_arithmetic_does(
    controller: RateController, values: list[int]
) -> None:
    scores = np.ldexp(np.array(values, dtype=np.float64), -controller.fraction_bits)
    assert controller.run(scores).sent.tolist() == as_firmware(controller, values)


@given(st.sampled_from([1e-6, 0.25, 3.0, 4e9]), st.floats(-5.0, 5.0))
def test_scale_and_origin_of_the_scores_do_not_matter(scale: float, origin: float) -> None:
    random = np.random.default_rng(0)
    calibration, further = random.beta(1, 4, 500), random.beta(2, 3, 2000)
    plain = fit_controller(calibration, 0.3).run(further).sent
    moved = fit_controller(scale * (calibration + origin), 0.3).run(scale * (further + origin)).sent
    assert np.mean(plain != moved) < 0.01  # but for rounding at a threshold


@pytest.mark.parametrize("target", [0.02, 0.1, 0.5, 0.9])
def test_the_constants_hold_the_target(target: float) -> None:
    controller = fit_controller(np.random.default_rng(1).beta(1, 4, 1000), target)
    assert controller.target == pytest.approx(target, rel=0.02)
    assert controller.fixed(np.array([-9.0, 9.0])).tolist() == [controller.low, controller.high]


@pytest.mark.parametrize("target", [0.1, 0.3, 0.7])
def test_an_abrupt_change_is_forgotten(target: float) -> None:
    """Harder, then easier inputs: a fixed threshold's rate moves and stays; this one comes back."""
    random = np.random.default_rng(2)
    controller = fit_controller(random.beta(1, 4, 2000), target, memory=200)
    stream = np.concatenate(
        [random.beta(1, 4, 4000), random.beta(2, 3, 4000), random.beta(1, 9, 4000)]
    )
    fixed = controller.fixed(stream) > controller.threshold
    assert abs(fixed[4000:8000].mean() - target) > 0.08
    assert abs(fixed[8000:].mean() - target) > 0.04
    rates = controller.run(stream).rates(1000)
    settled = rates[[0, 1, 2, 3, 6, 7, 10, 11]]  # all but the first 2000 after each change
    assert np.abs(settled - target).max() < 0.04


def test_a_slow_change_is_followed_throughout() -> None:
    random, n = np.random.default_rng(3), 20_000
    controller = fit_controller(random.normal(0.0, 1.0, 2000), 0.3, memory=200)
    stream = random.normal(np.linspace(0.0, 2.0, n), 1.0)
    fixed = (controller.fixed(stream) > controller.threshold).reshape(-1, 1000).mean(axis=1)
    assert fixed[-1] > 0.8
    assert np.abs(controller.run(stream).rates(1000) - 0.3).max() < 0.05


def test_scores_beyond_everything_seen_still_meet_the_rate() -> None:
    controller = fit_controller(np.random.default_rng(4).random(500), 0.3)
    for beyond in (50.0, -50.0):
        assert controller.run(np.full(5000, beyond)).rates(1000)[-1] == pytest.approx(0.3, abs=0.01)


def test_the_rate_in_force_varies_as_the_documentation_says() -> None:
    """sqrt(q (1 - q) / (2 memory)), for uniform scores, where 1 - threshold is that rate."""
    random, memory = np.random.default_rng(5), 100
    controller = fit_controller(random.random(4000), 0.3, memory=memory)
    track = controller.run(random.random(200_000))
    rate = 1.0 - np.ldexp(track.threshold[5000:].astype(float), -controller.fraction_bits)
    assert rate.mean() == pytest.approx(0.3, abs=0.005)
    assert rate.std() == pytest.approx(np.sqrt(0.3 * 0.7 / (2 * memory)), rel=0.15)


def test_spread_is_the_inverse_density_and_copes_with_ties() -> None:
    assert spread(np.linspace(0.0, 4.0, 4001), 0.3) == pytest.approx(4.0, rel=1e-6)
    tied = np.repeat([0.0, 1.0], [900, 100])
    assert spread(tied, 0.5) > 0.0
    assert fit_controller(tied, 0.5).run(np.tile(tied, 20)).rates(5000)[-1] == pytest.approx(
        0.5, abs=0.01
    )


def test_the_document_holds_the_constants() -> None:
    controller = fit_controller(np.arange(100.0), 0.25)
    document = controller.to_dict()
    names = ("threshold", "step_up", "step_down", "low", "high", "fraction_bits")
    assert RateController(**{name: document[name] for name in names}) == controller


@pytest.mark.parametrize(
    ("score", "target", "memory", "message"),
    [
        (np.ones(9), 0.3, 200, "all send scores are 1"),
        (np.array([1.0, np.nan]), 0.3, 200, "finite"),
        (np.array([]), 0.3, 200, "at least one"),
        (np.arange(9.0), 0.0, 200, "query rate 0 is out of range"),
        (np.arange(9.0), 1.0, 200, "query rate 1 is out of range"),
        (np.arange(9.0), 0.3, 1, "memory of 1"),
    ],
)
def test_what_cannot_be_controlled_is_refused(
    score: Array, target: float, memory: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        fit_controller(score, target, memory=memory)


def test_constants_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="32 bits"):
        RateController(0, 10, 10, 0, 2**31 - 5, 0)
    with pytest.raises(InputError, match="no controller"):
        RateController(7, 10, 10, 0, 5, 0)
    with pytest.raises(InputError, match="NaN"):
        RateController(3, 1, 1, 0, 5, 0).run(np.array([1.0, np.nan]))
