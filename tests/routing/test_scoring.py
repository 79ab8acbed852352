"""Fitting and judging a candidate's router, as a search does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hybrid_nas.errors import InputError
from hybrid_nas.routing import (
    DESIGNS,
    FittedRouter,
    ModelOutputs,
    design,
    evaluate_pair,
    fit_pair_router,
    paired_gains,
)
from hybrid_nas.routing.metrics import clustered_stderr

Simulate = Callable[..., Any]
COVERAGES = (0.9, 0.7, 0.5)


def fitted(
    simulate: Simulate, kind: str = "linear-features", objective: str = "auto"
) -> FittedRouter:
    fit, threshold = simulate(1000, seed=1), simulate(600, seed=2)
    return fit_pair_router(
        design(kind), fit.base, fit.cloud_correct, threshold.base, COVERAGES, objective=objective
    )


@pytest.mark.parametrize("kind", DESIGNS)
def test_every_design_gives_a_router_within_its_cost(simulate: Simulate, kind: str) -> None:
    router = fitted(simulate, kind)
    test = simulate(2000, seed=3)
    score = evaluate_pair(router, test.base, test.cloud_correct)
    assert router.params <= design(kind).params(5, 5)
    assert router.flash_bytes <= max(design(kind).flash_bytes(5, 5), 4)
    assert router.sram_bytes <= design(kind).sram_bytes(5, 5)
    for coverage in COVERAGES:
        at = score.at[coverage]
        chance = at.coverage * score.base.value + (1 - at.coverage) * test.cloud_correct.mean()
        assert at.accuracy > chance
        assert at.accuracy <= score.baselines["oracle"][coverage]
        assert at.coverage > coverage - 0.05


def test_a_score_is_what_a_loop_over_inputs_counts(simulate: Simulate) -> None:
    router, test = fitted(simulate), simulate(400, seed=3, groups=100)
    result = evaluate_pair(router, test.base, test.cloud_correct)
    for coverage, threshold in router.thresholds.items():
        right, kept = [], 0
        for i, score in enumerate(router.send_score(test.base)):
            kept += score <= threshold
            right.append(test.cloud_correct[i] if score > threshold else test.base.correct[i])
        assert result.at[coverage].accuracy == pytest.approx(np.mean(right))
        assert result.at[coverage].coverage == pytest.approx(kept / 400)
        expected = clustered_stderr(np.array(right, dtype=float), test.base.groups)
        assert result.at[coverage].stderr == pytest.approx(expected)


def test_baselines_send_as_many_inputs_as_the_router_did(simulate: Simulate) -> None:
    """A router that is MSP itself must equal the MSP baseline, whatever its threshold does."""
    fit, test = simulate(500, seed=1), simulate(999, seed=3)
    msp = FittedRouter(design("confidence"), "msp", None, 5, 0, {})
    msp = msp.with_thresholds(msp.send_score(fit.base), COVERAGES)
    score = evaluate_pair(msp, test.base, test.cloud_correct)
    for coverage in COVERAGES:
        assert score.baselines["msp"][coverage] == pytest.approx(score.at[coverage].accuracy)


def test_the_coverage_is_a_floor_on_the_threshold_split(simulate: Simulate) -> None:
    router, threshold = fitted(simulate), simulate(600, seed=2)
    for coverage in COVERAGES:
        assert 1 - router.sent(threshold.base, coverage).mean() >= coverage


def test_inputs_of_negative_gain_stay_although_the_quota_has_room(simulate: Simulate) -> None:
    fit, threshold = simulate(1500, seed=1, spoil=6.0), simulate(800, seed=2, spoil=6.0)
    router = fit_pair_router(
        design("linear-features"), fit.base, fit.cloud_correct, threshold.base, (0.2,)
    )
    assert router.method == "signed-gain"
    assert router.thresholds[0.2] == 0.0
    assert 1 - router.sent(threshold.base, 0.2).mean() > 0.4


def test_fitting_ignores_the_labels_of_the_threshold_split(simulate: Simulate) -> None:
    fit, threshold = simulate(500, seed=1), simulate(300, seed=2)
    unlabelled = ModelOutputs(logits=threshold.base.logits, features=threshold.base.features)
    routers = [
        fit_pair_router(design("linear-features"), fit.base, fit.cloud_correct, t, COVERAGES)
        for t in (threshold.base, unlabelled)
    ]
    assert routers[0].to_dict() == routers[1].to_dict()


@pytest.mark.parametrize("name", ["oracle-label", "two-stage", "signed-gain"])
def test_an_objective_can_be_asked_for(simulate: Simulate, name: str) -> None:
    router = fitted(simulate, objective=name)
    assert router.method == name
    with pytest.raises(InputError, match="no objective"):
        fitted(simulate, objective="best-guess")


def test_an_abstaining_classifier_is_judged_on_what_it_keeps(simulate: Simulate) -> None:
    fit, threshold, test = (simulate(n, seed=s) for n, s in ((1000, 1), (600, 2), (3000, 3)))
    router = fit_pair_router(design("linear-features"), fit.base, None, threshold.base, COVERAGES)
    score = evaluate_pair(router, test.base, None)
    assert score.cloud is None
    accuracies = [score.at[c].accuracy for c in COVERAGES]
    assert score.base.value < accuracies[0] < accuracies[1] < accuracies[2]
    for coverage in COVERAGES:
        kept = ~router.sent(test.base, coverage)
        assert score.at[coverage].accuracy == pytest.approx(test.base.correct[kept].mean())
        bound = min(1.0, test.base.correct.mean() / kept.mean())
        assert score.baselines["oracle"][coverage] == pytest.approx(bound)
        # The simulated confidence is the true probability, which nothing beats but by chance.
        assert abs(score.baselines["msp"][coverage] - score.at[coverage].accuracy) < 0.01
    assert score.base.value < score.area < 1.0


def test_paired_gains_are_differences_of_the_scores(simulate: Simulate) -> None:
    router, test = fitted(simulate), simulate(2000, seed=3, groups=400)
    score = evaluate_pair(router, test.base, test.cloud_correct)
    gains = paired_gains(router, test.base, test.cloud_correct, resamples=500)
    for name in ("msp", "entropy", "margin", "max-logit"):
        for coverage in COVERAGES:
            gain = gains[name][coverage]
            difference = score.at[coverage].accuracy - score.baselines[name][coverage]
            assert gain.value == pytest.approx(difference)
            assert gain.low <= gain.value <= gain.high


@pytest.mark.parametrize("kind", ["confidence", "linear-features", "mlp8-features"])
def test_a_router_survives_json_exactly(simulate: Simulate, kind: str) -> None:
    router, test = fitted(simulate, kind), simulate(200, seed=3)
    router = router.with_thresholds(router.send_score(test.base), (*COVERAGES, 2.0 / 3.0))
    document = json.loads(json.dumps(router.to_dict(), allow_nan=False))
    again = FittedRouter.from_dict(document)
    assert again.to_dict() == router.to_dict()
    # the same numbers in another memory order: products may differ in the last bit
    score, again_score = router.send_score(test.base), again.send_score(test.base)
    np.testing.assert_allclose(again_score, score, rtol=0, atol=1e-12)
    assert again.thresholds == router.thresholds
    assert again.flash_bytes == router.flash_bytes


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "hybrid-nas/pareto/1"},
        {"design": "unknown"},
        {"method": "unknown"},
        {"method": "msp"},
        {"network": None},
        {"network": {}},
        {"thresholds": {"0.9": "high"}},
        {"thresholds": {"0.9": float("nan")}},
        {"thresholds": None},
        {"n_classes": "five"},
    ],
)
def test_a_damaged_document_is_refused(simulate: Simulate, change: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        FittedRouter.from_dict({**fitted(simulate, objective="signed-gain").to_dict(), **change})


def test_other_outputs_than_it_was_fitted_to_are_refused(simulate: Simulate) -> None:
    router, test = fitted(simulate, objective="signed-gain"), simulate(50)
    other = ModelOutputs(logits=test.base.logits, features=test.base.features[:, :2])
    with pytest.raises(InputError, match="gives 16 signals and the router reads 19"):
        router.send_score(other)
    with pytest.raises(InputError, match=r"no threshold for coverage 0\.3, only 0\.9, 0\.7, 0\.5"):
        router.sent(test.base, 0.3)


def test_coverages_are_checked_before_anything_is_fitted(simulate: Simulate) -> None:
    pair = simulate(100)
    with pytest.raises(InputError, match=r"coverage 1\.5"):
        fit_pair_router(design("linear-stats"), pair.base, pair.cloud_correct, pair.base, (1.5,))
