"""Routers that decide before the base has answered: they read one stage's features only."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from hybrid_nas.errors import InputError
from hybrid_nas.routing import FittedRouter, ModelOutputs, design, evaluate_pair, fit_pair_router
from hybrid_nas.routing.designs import ALL_DESIGNS, DESIGNS, EARLY_DESIGNS
from tests.routing.conftest import Simulate, SimulatedPair


def with_stages(pair: SimulatedPair) -> ModelOutputs:
    """The first stage tells nothing; the second a blurred view of what decides who is right."""
    random = np.random.default_rng(5)
    noise = random.normal(size=(pair.base.n, 7))
    assert pair.base.features is not None
    blurred = pair.base.features + 0.5 * random.normal(size=pair.base.features.shape)
    return replace(pair.base, stage_features=(noise, blurred))


@pytest.mark.parametrize("kind", EARLY_DESIGNS)
def test_an_early_router_reads_its_stage_and_nothing_else(simulate: Simulate, kind: str) -> None:
    pair = simulate(600)
    outputs, shape = with_stages(pair), design(kind)
    router = fit_pair_router(shape, outputs, pair.cloud_correct, outputs, (0.7,))
    score = router.send_score(outputs)
    other = replace(outputs, logits=np.zeros((600, 5)), features=None, labels=None)
    np.testing.assert_array_equal(router.send_score(other), score)
    stages = list(outputs.stage_features)
    stages[2 - shape.cut] = np.zeros((600, 3))
    np.testing.assert_array_equal(
        router.send_score(replace(outputs, stage_features=tuple(stages))), score
    )
    assert router.n_features == outputs.stage_features[shape.cut - 1].shape[1]
    again = FittedRouter.from_dict(json.loads(json.dumps(router.to_dict())))
    np.testing.assert_allclose(again.send_score(outputs), score)


def test_without_scores_there_is_no_confidence_to_give_way_to(simulate: Simulate) -> None:
    """A stage that tells nothing makes a router that is worse than MSP, and stays what it is."""
    pair, test = simulate(800, spoil=0.0), simulate(4000, seed=1, spoil=0.0)
    figures = {}
    for kind in ("linear-stage1", "linear-stage2", "linear-features"):
        router = fit_pair_router(
            design(kind), with_stages(pair), pair.cloud_correct, with_stages(pair), (0.7,)
        )
        figures[kind] = evaluate_pair(router, with_stages(test), test.cloud_correct)
        assert router.network is not None
    gains = {
        kind: found.at[0.7].accuracy - found.baselines["msp"][0.7]
        for kind, found in figures.items()
    }
    assert gains["linear-stage1"] < gains["linear-stage2"] < gains["linear-features"]
    assert gains["linear-stage1"] < -0.05


def test_rows_of_stages_are_taken_and_checked(simulate: Simulate) -> None:
    outputs = with_stages(simulate(50))
    some = outputs.take(np.array([3, 1]))
    np.testing.assert_array_equal(some.stage_features[1], outputs.stage_features[1][[3, 1]])
    with pytest.raises(InputError, match="stage1 has 49 rows"):
        replace(outputs, stage_features=(np.zeros((49, 2)),))
    with pytest.raises(InputError, match="NaN"):
        replace(outputs, stage_features=(np.full((50, 2), np.nan),))
    with pytest.raises(InputError, match="features of stage 2"):
        fit_pair_router(
            design("linear-stage2"),
            replace(outputs, stage_features=outputs.stage_features[:1]),
            outputs.correct, outputs, (0.7,),
        )  # fmt: skip


def test_known_costs_of_early_routers() -> None:
    assert design("linear-stage2").params(10, 40) == 2 * 40 + 2
    assert design("linear-stage2").flash_bytes(10, 40) == 2 * 40 + 2 * 8 + 60
    assert design("linear-stage2").sram_bytes(10, 40) == 4 * 40
    assert design("mlp8-stage2").sram_bytes(10, 40) == 4 * (40 + 8)
    assert design("mlp8-stage1").macs(10, 40) == 40 * 8 + 8 * 2
    assert [shape.cut for shape in EARLY_DESIGNS.values()] == [1, 2, 1, 2]
    assert not any(shape.cut for shape in DESIGNS.values())
    assert set(ALL_DESIGNS) == set(DESIGNS) | set(EARLY_DESIGNS)
