"""Guarantees: promises hold at their level, on populations whose figures are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from hybrid_nas.errors import InputError
from hybrid_nas.routing.guarantees import (
    Guarantee,
    Promise,
    ScoredInputs,
    bounds,
    calibrate,
    choose_start,
    parse_promise,
    promised_figure,
    set_aside,
)
from hybrid_nas.routing.guarantees.path import ALWAYS_SEND, KeepPath
from hybrid_nas.routing.thresholds import NEVER_SEND, sent

Random = np.random.Generator
Array = np.ndarray
N_CALIBRATIONS = 1000
CLOUD = 0.95


def highest_rate(delta: float) -> float:
    """What a rate of `delta` may come to in as many calibrations, by three standard errors."""
    return delta + 3.0 * float(np.sqrt(delta * (1.0 - delta) / N_CALIBRATIONS))


@dataclass(frozen=True)
class Population:
    """Scores at evenly spaced levels in 0 .. 1, each as likely; figures by summing over them.

    `wrong` gives the probability that the base is wrong at a score; the cloud is right with
    probability `CLOUD`, whatever the base does.
    """

    levels: int
    wrong: Callable[[Array], Array]

    def draw(self, n: int, random: Random) -> ScoredInputs:
        score = (random.integers(0, self.levels, n) + 0.5) / self.levels
        return ScoredInputs(score, random.random(n) >= self.wrong(score), random.random(n) < CLOUD)

    def figures(self, kind: str, thresholds: Array) -> Array:
        score = (np.arange(self.levels) + 0.5) / self.levels
        wrong = np.append(0.0, np.cumsum(self.wrong(score))) / self.levels
        at = np.searchsorted(score, thresholds, side="right")
        kept = at / self.levels
        figures: Array = {
            "queries": 1.0 - kept,
            "loss": wrong[at] * CLOUD,
            "risk": wrong[at] / np.maximum(kept, 1e-12),
            "accuracy": kept - wrong[at] + (1.0 - kept) * CLOUD,
        }[kind]
        return figures


CONTINUOUS, TIED = 20_000, 12


def rising(score: Array) -> Array:
    return 0.5 * score


def wavy(score: Array) -> Array:
    """Selective risk and accuracy rise and fall many times."""
    return 0.15 + 0.12 * np.sin(40.0 * score)


def calibrations(
    spec: str, draw: Callable[[Random], ScoredInputs], **settings: float
) -> list[Guarantee | None]:
    """Guarantees from many draws; None where a draw does not support the promise at all."""
    promise, random = parse_promise(spec), np.random.default_rng(5)
    found: list[Guarantee | None] = []
    for _ in range(N_CALIBRATIONS):
        try:
            found.append(calibrate(promise, draw(random), **settings))
        except InputError:
            found.append(None)
    return found


def breaks(promise: Promise, figures: Array) -> Array:
    beyond: Array = (
        figures < promise.level if promise.kind == "accuracy" else figures > promise.level
    )
    return beyond


@pytest.mark.parametrize("levels", [CONTINUOUS, TIED])
@pytest.mark.parametrize("n", [60, 203])
@pytest.mark.parametrize("spec", ["loss<=0.05", "queries<=0.3"])
def test_expected_figures_are_within_their_level(spec: str, n: int, levels: int) -> None:
    population = Population(levels, rising)
    found = calibrations(spec, lambda random: population.draw(n, random))
    promise = parse_promise(spec)
    figures = population.figures(promise.kind, np.array([g.threshold for g in found if g]))
    level = promise.level
    assert len(figures) == N_CALIBRATIONS
    error = figures.std() / np.sqrt(N_CALIBRATIONS)
    assert figures.mean() <= level + 3.0 * error
    if levels == CONTINUOUS:  # and what is promised is used up but for what n inputs leave open
        assert figures.mean() >= level - 2.0 / (n + 1) - 3.0 * error


@pytest.mark.parametrize(
    ("spec", "levels", "wrong"),
    [
        ("loss<=0.06@0.9", CONTINUOUS, rising),
        ("loss<=0.06@0.9", TIED, rising),
        ("queries<=0.3@0.9", CONTINUOUS, rising),
        ("queries<=0.3@0.9", TIED, rising),
        ("accuracy>=0.9@0.9", CONTINUOUS, rising),
        ("accuracy>=0.9@0.9", TIED, rising),
        ("accuracy>=0.88@0.9", CONTINUOUS, wavy),
        ("risk<=0.15@0.9", CONTINUOUS, rising),
        ("risk<=0.15@0.9", TIED, rising),
        ("risk<=0.25@0.9", CONTINUOUS, wavy),
    ],
)
def test_violations_stay_at_their_level(
    spec: str, levels: int, wrong: Callable[[Array], Array]
) -> None:
    population, promise = Population(levels, wrong), parse_promise(spec)
    settings = {"start": 0.3} if promise.kind == "risk" else {}
    found = calibrations(spec, lambda random: population.draw(203, random), **settings)
    figures = population.figures(promise.kind, np.array([g.threshold for g in found if g]))
    broken = breaks(promise, figures).sum() / N_CALIBRATIONS
    assert len(figures) > 0.4 * N_CALIBRATIONS
    assert broken <= highest_rate(0.1)
    if (
        levels == CONTINUOUS and wrong is rising and promise.kind != "risk"
    ):  # no more cautious than counts make it
        assert broken >= 0.04


@pytest.mark.parametrize("spec", ["accuracy>=0.951@0.9", "risk<=0.149@0.9"])
def test_a_figure_that_is_broken_everywhere_is_rarely_promised(spec: str) -> None:
    """200 thresholds that all just break it: testing each by itself would pass some of them."""
    promise = parse_promise(spec)
    share = 1.0 - CLOUD if promise.kind == "accuracy" else 0.15
    population = Population(CONTINUOUS, lambda score: np.full_like(score, share))
    settings = {"start": 0.3} if promise.kind == "risk" else {}
    found = calibrations(spec, lambda random: population.draw(203, random), **settings)
    assert np.mean([g is not None for g in found]) <= highest_rate(0.1)


def test_where_a_sequence_starts_must_come_from_other_inputs() -> None:
    """Starting where the calibration inputs themselves look best breaks the promise."""
    promise = parse_promise("risk<=0.149@0.9")
    population = Population(CONTINUOUS, lambda score: np.full_like(score, 0.15))
    random = np.random.default_rng(0)
    draws = [population.draw(203, random) for _ in range(N_CALIBRATIONS)]

    def promised(inputs: ScoredInputs, start: float | None) -> bool:
        try:
            calibrate(promise, inputs, start=start)
        except InputError:
            return False
        return True

    assert np.mean([promised(d, choose_start(promise, d)) for d in draws]) > 0.15
    assert np.mean([promised(d, None) for d in draws]) <= highest_rate(0.1)


@dataclass(frozen=True)
class GroupedPopulation:
    """Groups of 1 to 9 inputs that share a difficulty, and mostly their outcome; large ones are
    harder.
    """

    alike: float = 0.8

    def draw(self, n_groups: int, random: Random) -> ScoredInputs:
        difficulty = random.random(n_groups)
        sizes = 1 + np.floor(4.0 * difficulty + 5.0 * random.random(n_groups)).astype(int)
        member = np.repeat(np.arange(n_groups), sizes)
        shared = random.random(n_groups)[member]
        luck = np.where(random.random(len(member)) < self.alike, shared, random.random(len(member)))
        score = 0.7 * difficulty[member] + 0.3 * random.random(len(member))
        cloud_correct = random.random(len(member)) < CLOUD
        return ScoredInputs(score, luck >= 0.5 * score, cloud_correct, member)


@pytest.fixture(scope="module")
def crowd() -> ScoredInputs:
    """So many groups that their figures are the population's."""
    return GroupedPopulation().draw(100_000, np.random.default_rng(99))


def crowd_figures(kind: str, crowd: ScoredInputs, thresholds: Array) -> Array:
    """Figures of a random input of a random group, by sorting and summing."""
    assert crowd.groups is not None and crowd.cloud_correct is not None
    weight = 1.0 / np.bincount(crowd.groups)[crowd.groups]
    weight /= weight.sum()
    wrong, spoilt = ~crowd.base_correct, ~crowd.cloud_correct
    when_kept, when_sent = {
        "loss": (wrong & crowd.cloud_correct, np.zeros(crowd.n)),
        "queries": (np.zeros(crowd.n), np.ones(crowd.n)),
        "accuracy": (wrong, spoilt),
        "risk": (wrong, np.zeros(crowd.n)),
    }[kind]
    order = np.argsort(crowd.score)
    kept_sum = np.append(0.0, np.cumsum((weight * when_kept)[order]))
    sent_sum = np.append(0.0, np.cumsum((weight * when_sent)[order]))
    share = np.append(0.0, np.cumsum(weight[order]))
    at = np.searchsorted(crowd.score[order], thresholds, side="right")
    lost = kept_sum[at] + sent_sum[-1] - sent_sum[at]
    if kind == "risk":
        return lost / np.maximum(share[at], 1e-12)
    return 1.0 - lost if kind == "accuracy" else lost


@pytest.mark.parametrize(
    "spec",
    [
        "loss<=0.08@0.9",
        "queries<=0.4@0.9",
        "accuracy>=0.85@0.9",
        "risk<=0.25@0.9",
        "loss<=0.08",
        "queries<=0.4",
    ],
)
def test_promises_hold_for_dependent_inputs(spec: str, crowd: ScoredInputs) -> None:
    promise, population = parse_promise(spec), GroupedPopulation()
    settings = {"start": 0.5} if promise.kind == "risk" else {}
    found = [
        g
        for g in calibrations(spec, lambda r: population.draw(120, r), **settings)
        if g is not None
    ]
    assert len(found) > 0.3 * N_CALIBRATIONS
    assert {g.n_groups for g in found} == {120}
    figures = crowd_figures(promise.kind, crowd, np.array([g.threshold for g in found]))
    if promise.confidence is None:
        assert figures.mean() <= promise.level + 3.0 * figures.std() / np.sqrt(len(figures))
    else:
        assert breaks(promise, figures).sum() / N_CALIBRATIONS <= highest_rate(0.1)


def test_taking_dependent_inputs_as_independent_breaks_the_promise() -> None:
    """What groups are for: the same inputs without them, groups all of one size."""
    random, promise = np.random.default_rng(1), parse_promise("queries<=0.3@0.9")
    broken = {True: 0, False: 0}
    for _ in range(N_CALIBRATIONS):
        member = np.repeat(np.arange(40), 8)
        score = random.random(40)[member] + 1e-6 * random.random(320)
        right = np.ones(320, dtype=bool)
        for grouped in broken:
            inputs = ScoredInputs(score, right, right, member if grouped else None)
            broken[grouped] += 1.0 - calibrate(promise, inputs).threshold > 0.3
    assert broken[False] > 0.25 * N_CALIBRATIONS
    assert broken[True] <= highest_rate(0.1) * N_CALIBRATIONS


small_inputs = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(-3, 3), min_size=n, max_size=n),
        st.lists(st.booleans(), min_size=n, max_size=n),
        st.lists(st.booleans(), min_size=n, max_size=n),
        st.lists(st.integers(0, 6), min_size=n, max_size=n),
    )
)
Drawn = tuple[list[int], list[bool], list[bool], list[int]]


def scored(drawn: Drawn, *, grouped: bool) -> ScoredInputs:
    score, base, cloud, groups = (np.array(part) for part in drawn)
    return ScoredInputs(score / 4.0, base, cloud, groups if grouped else None)


@given(small_inputs, st.sampled_from(["loss", "queries", "risk", "accuracy"]), st.booleans())
def test_figures_are_what_summing_by_hand_gives(drawn: Drawn, kind: str, grouped: bool) -> None:
    inputs = scored(drawn, grouped=grouped)
    assert inputs.cloud_correct is not None
    for threshold in (-2.0, -0.25, 0.1, 0.5, 2.0):
        groups = drawn[3] if grouped else range(inputs.n)
        total = counted = 0.0
        for group in set(groups):
            rows = [i for i, g in enumerate(groups) if g == group]
            for i in rows:
                kept = inputs.score[i] <= threshold
                wrong, mended = not inputs.base_correct[i], bool(inputs.cloud_correct[i])
                total += {
                    "loss": kept and wrong and mended,
                    "queries": not kept,
                    "risk": kept and wrong,
                    "accuracy": not wrong if kept else mended,
                }[kind] / len(rows)
                counted += (kind != "risk" or kept) / len(rows)
        expected = total / counted if counted else 0.0
        assert promised_figure(kind, inputs, threshold) == pytest.approx(expected, abs=1e-9)


@given(small_inputs, st.floats(0.05, 0.6))
def test_conformal_risk_control_is_the_largest_set_that_its_inequality_allows(
    drawn: Drawn, alpha: float
) -> None:
    inputs = scored(drawn, grouped=False)
    assert inputs.cloud_correct is not None
    n, bad = inputs.n, ~inputs.base_correct & inputs.cloud_correct
    if n + 1 < 1.0 / alpha:
        with pytest.raises(InputError, match="at least"):
            calibrate(Promise("loss", alpha), inputs)
        return
    candidates = [ALWAYS_SEND, *np.unique(inputs.score).tolist()]
    allowed = [
        t
        for t in candidates
        if n / (n + 1) * (bad & (inputs.score <= t)).mean() + 1 / (n + 1) <= alpha + 1e-12
    ]
    found = calibrate(Promise("loss", alpha), inputs)
    expected = sent(inputs.score, max(allowed))
    assert (sent(inputs.score, found.threshold) == expected).all()


@given(small_inputs, st.floats(0.05, 0.9))
def test_the_query_threshold_is_the_conformal_quantile(drawn: Drawn, rate: float) -> None:
    inputs = scored(drawn, grouped=False)
    rank = int(np.ceil((inputs.n + 1) * (1.0 - rate) - 1e-9))
    if rank > inputs.n:
        return
    found = calibrate(Promise("queries", rate), inputs)
    quantile = np.sort(inputs.score)[rank - 1]
    assert (sent(inputs.score, found.threshold) == (inputs.score > quantile)).all()
    assert found.threshold >= quantile


@pytest.mark.parametrize(("lost", "trials"), [(0, 59), (3, 200), (40, 41), (7, 7)])
def test_counts_are_bounded_as_by_clopper_and_pearson(lost: int, trials: int) -> None:
    interval = binomtest(lost, trials, alternative="less").proportion_ci(0.95, method="exact")
    upper = bounds.clopper_pearson_upper(lost, trials, 0.05)
    assert upper == pytest.approx(interval.high, abs=1e-9)
    for tolerance in (0.5 * upper, min(0.999, 1.01 * upper)):
        p = bounds.binomial_p_value(np.array([float(lost)]), np.array([trials]), tolerance)[0]
        expected = binomtest(lost, trials, tolerance, alternative="less").pvalue
        assert p == pytest.approx(expected, rel=1e-6)


@given(small_inputs)
def test_wealth_along_the_path_is_the_product_over_groups(drawn: Drawn) -> None:
    inputs = scored(drawn, grouped=True)
    assert inputs.groups is not None
    kept, away = (~inputs.base_correct).astype(float), np.full(inputs.n, 0.25)
    path, stakes = KeepPath(inputs.score, inputs.groups), np.array([0.3, 1.1])
    found = path.log_products(kept, away, 0.1, stakes)
    for position, threshold in enumerate([ALWAYS_SEND, *np.unique(inputs.score)]):
        loss = np.where(inputs.score <= threshold, kept, away)
        means = [loss[inputs.groups == group].mean() for group in np.unique(inputs.groups)]
        expected = [np.prod([1.0 + stake * (0.1 - m) for m in means]) for stake in stakes]
        assert np.exp(found[position]) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("alike", [True, False])
def test_bets_bound_the_mean_of_groups(alike: bool) -> None:
    """A group is lost as a whole, or each of its inputs by itself."""
    random, mean, upper = np.random.default_rng(2), 0.2, []
    for _ in range(400):
        means = random.binomial(1 if alike else 10, mean, 150) / (1 if alike else 10)
        upper.append(bounds.betting_upper(means, np.ones(150), 0.1))
    assert np.mean(np.array(upper) < mean) <= 0.1 + 3.0 * np.sqrt(0.09 / 400)
    width = np.mean(upper) - mean
    # Independent inputs in groups are worth more: Clopper-Pearson on groups would give 0.046.
    assert width < (0.1 if alike else 0.035)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("spec", ["loss<=0.02", "loss<=0.02@0.9", "queries<=0.05@0.9"])
def test_the_smallest_number_named_is_the_smallest_that_works(spec: str, grouped: bool) -> None:
    promise = parse_promise(spec)
    smallest = bounds.smallest_n(promise.tolerance, promise.delta, grouped=grouped)

    def faultless(units: int) -> ScoredInputs:
        n = 2 * units if grouped else units
        groups = np.arange(n) // 2 if grouped else None
        right = np.ones(n, dtype=bool)
        return ScoredInputs(np.arange(float(n)), right, right, groups)

    calibrate(promise, faultless(smallest))
    with pytest.raises(InputError, match=rf"at least {smallest}\b"):
        calibrate(promise, faultless(smallest - 1))


def test_a_base_that_is_never_behind_keeps_everything() -> None:
    right = np.ones(200, dtype=bool)
    found = calibrate(
        parse_promise("loss<=0.05@0.95"), ScoredInputs(np.arange(200.0), right, right)
    )
    assert found.threshold == NEVER_SEND
    assert (found.coverage, found.accuracy, found.value) == (1.0, 1.0, 0.0)


def test_a_guarantee_says_what_was_found_and_what_is_promised() -> None:
    inputs = Population(CONTINUOUS, rising).draw(500, np.random.default_rng(3))
    found = calibrate(parse_promise("accuracy>=0.9@0.95"), inputs)
    assert inputs.cloud_correct is not None
    decided = sent(inputs.score, found.threshold)
    right = np.where(decided, inputs.cloud_correct, inputs.base_correct)
    lower = binomtest(int(right.sum()), 500, alternative="greater").proportion_ci(0.95, "exact").low
    assert found.accuracy == found.value == pytest.approx(right.mean())
    assert found.bound == pytest.approx(lower) and found.bound >= 0.9
    assert found.coverage == pytest.approx(1.0 - decided.mean())
    assert "at least 90 %" in found.reading and "500" in found.reading
    grouped = GroupedPopulation().draw(150, np.random.default_rng(3))
    reading = calibrate(parse_promise("queries<=0.5"), grouped).reading
    assert "150 groups" in reading and "expectation" in reading


def test_break_even_only_ever_sends_less() -> None:
    inputs = ScoredInputs(np.linspace(-1.0, 0.5, 100), np.ones(100, dtype=bool))
    promise = parse_promise("queries<=0.9")
    assert calibrate(promise, inputs).threshold < 0.0
    assert calibrate(promise, inputs, break_even=True).threshold == 0.0


def test_groups_stay_together_when_set_aside() -> None:
    groups = np.random.default_rng(0).integers(0, 50, 400)
    aside = set_aside(400, groups, 0.3, seed=1)
    assert len(np.unique(groups[aside])) == 15
    assert not set(groups[aside]) & set(groups[~aside])
    with pytest.raises(InputError, match="leaves one part empty"):
        set_aside(2, None, 0.1, seed=0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("loss<=0.01", Promise("loss", 0.01)),
        (" Loss <= 1% @ 95% ", Promise("loss", 0.01, 0.95)),
        ("accuracy>=0.95@0.9", Promise("accuracy", 0.95, 0.9)),
        ("queries<=30%", Promise("queries", 0.3)),
    ],
)
def test_promises_are_read(text: str, expected: Promise) -> None:
    assert parse_promise(text) == expected
    assert parse_promise(expected.text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("accuracy", "redirections"),
        ("loss=0.1", "expected one of"),
        ("gain<=0.1", "'gain' is none of"),
        ("loss>=0.1", "write loss<=0.1"),
        ("accuracy<=0.9@0.9", "write accuracy>=0.9"),
        ("loss<=small", "'small' is no share"),
        ("loss<=0", "above 0 and below 1"),
        ("loss<=120%", "above 0 and below 1"),
        ("loss<=nan", "above 0 and below 1"),
        ("loss<=0.1@1", "confidence 1 of"),
        ("risk<=0.1", "risk<=0.1@0.95"),
        ("accuracy>=0.9", "accuracy>=0.9@0.95"),
    ],
)
def test_what_is_no_promise_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=r"is no guarantee") as raised:
        parse_promise(text)
    assert message in str(raised.value)


def test_arrays_that_do_not_fit_are_refused() -> None:
    right = np.ones(5, dtype=bool)
    with pytest.raises(InputError, match="cloud_correct has 4 inputs and the send score 5"):
        ScoredInputs(np.arange(5.0), right, right[:4])
    with pytest.raises(InputError, match="NaN or infinity in row 2"):
        ScoredInputs(np.array([0.0, 1.0, np.nan, 1.0, 2.0]), right)
    with pytest.raises(InputError, match="no inputs"):
        ScoredInputs(np.array([]), right[:0])
    with pytest.raises(InputError, match="needs a cloud"):
        calibrate(parse_promise("loss<=0.1"), ScoredInputs(np.arange(5.0), right))
