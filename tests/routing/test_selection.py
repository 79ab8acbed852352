"""Which method is chosen: the signed gain where it can win, a confidence where it cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hybrid_nas.errors import InputError
from hybrid_nas.routing import GainRouter, design
from hybrid_nas.routing.evidence import gather_evidence
from hybrid_nas.routing.objectives import OBJECTIVES
from hybrid_nas.routing.ranking import accuracy_curve
from hybrid_nas.routing.selection import select_router

Simulate = Callable[..., Any]
FEATURES = design("linear-features")


def evidence_of(pair: Any, shape: Any = FEATURES) -> Any:
    return gather_evidence(pair.base, shape, pair.base.correct, pair.cloud_correct)


def test_the_signed_gain_wins_where_the_cloud_spoils_what_the_base_had(simulate: Simulate) -> None:
    fit, test = evidence_of(simulate(2000, seed=1)), evidence_of(simulate(20_000, seed=2))
    best = simulate(20_000, seed=2).gain
    selection = select_router(fit, (0.7, 0.5))

    def accuracy(score: np.ndarray) -> float:
        return accuracy_curve(score, test.base_correct, test.cloud_correct).at(0.6)

    reached = {name: accuracy(selection.score(name, test)) for name in selection.scores}
    assert selection.choice.method == "signed-gain"
    assert reached["signed-gain"] > reached["msp"] + 0.02
    assert reached["signed-gain"] > reached["oracle-label"]
    assert reached["signed-gain"] > reached["two-stage"]
    assert reached["signed-gain"] > accuracy(best) - 0.005  # nothing ranks better than the truth


def test_a_confidence_is_kept_where_nothing_is_to_be_gained(simulate: Simulate) -> None:
    """The cloud fails at random here, so the base's true probability is the best ranking."""
    fell_back = 0
    for seed in range(12):
        selection = select_router(evidence_of(simulate(600, seed=seed, spoil=0.0)), (0.9, 0.7))
        fell_back += selection.choice.method in ("msp", "entropy", "margin", "max-logit")
        assert selection.choice.gain is not None
    assert fell_back >= 9


def test_the_gain_must_reach_the_standard_errors_asked_for(simulate: Simulate) -> None:
    evidence = evidence_of(simulate(600, seed=4))
    eager = select_router(evidence, (0.7,), min_z=0.0).choice
    assert eager.gain is not None
    z = eager.gain.value / eager.gain.stderr
    assert select_router(evidence, (0.7,), min_z=z + 1.0).choice.method == "msp"


def test_groups_count_as_one_observation_each(simulate: Simulate) -> None:
    """Twenty copies of an input tell no more than one: the standard error must know."""
    pair = simulate(1000, seed=3, groups=50)
    grouped = select_router(evidence_of(pair), (0.7,)).choice.gain
    apart = select_router(evidence_of(pair).regroup(None), (0.7,)).choice.gain
    assert grouped is not None
    assert apart is not None
    assert grouped.stderr > 1.3 * apart.stderr


def test_without_signals_the_choice_is_among_confidences(simulate: Simulate) -> None:
    selection = select_router(evidence_of(simulate(300), design("confidence")), (0.7,))
    assert selection.fitted is None
    assert set(selection.scores) == {"msp", "entropy", "margin", "max-logit"}


def test_the_same_seed_gives_the_same_router(simulate: Simulate) -> None:
    evidence = evidence_of(simulate(300), design("mlp8-features"))
    one, two = (select_router(evidence, (0.7,), hidden=8, seed=5) for _ in range(2))
    for name in one.scores:
        np.testing.assert_array_equal(one.scores[name], two.scores[name])


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("hidden", [0, 8])
def test_every_objective_makes_a_useful_estimator(
    simulate: Simulate, name: str, hidden: int
) -> None:
    pair, test = simulate(1500, seed=1), simulate(5000, seed=2)
    router = GainRouter(name, hidden=hidden)
    right = pair.base.correct, pair.cloud_correct
    assert router.fit(pair.base.features, *right, soft_gain=pair.gain) is router
    score = router.send_score(test.base.features)
    curve = accuracy_curve(score, test.base.correct, test.cloud_correct)
    chance = 0.6 * test.base.correct.mean() + 0.4 * test.cloud_correct.mean()
    assert curve.at(0.6) > chance + 0.06
    assert router.out_of_fold_score_.shape == (1500,)


def test_the_estimator_takes_the_penalty_it_is_given() -> None:
    x = np.random.default_rng(0).normal(size=(100, 3))
    router = GainRouter("gain-regression", l2=2.5).fit(x, x[:, 0] > 0, x[:, 1] > 0)
    assert router.penalties_ == {"gain": 2.5}
    with pytest.raises(InputError, match="each input needs"):
        router.fit(x, x[:50, 0] > 0, x[:, 1] > 0)
