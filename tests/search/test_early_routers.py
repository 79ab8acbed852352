"""Searches whose routers decide before the base has answered."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.cost import CostModel
from hybrid_nas.routing.delays import FixedDelay
from hybrid_nas.routing.metrics import Estimate
from hybrid_nas.routing.query import Query, RadioEnergy, Uplink
from hybrid_nas.search.prices import Device, Prices
from hybrid_nas.search.run import run_search
from hybrid_nas.search.rundir import RunDirectory
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.spaces.blocks import Block
from hybrid_nas.spaces.cuts import cut_blocks
from tests.search.conftest import TinyInputs

DEVICE = Device(edge_ms=100.0, macs=1000, base_accuracy=0.6, saved_ms=70.0, saved_macs=800)


def test_a_sent_image_does_not_wait_for_the_rest_of_the_base(
    tiny: TinyInputs, tmp_path: Path
) -> None:
    directory = RunDirectory(tmp_path / "run")
    run_search(
        tiny.settings(routers=("linear-stage1",), router_objective="oracle-label"), directory
    )
    setup = SearchSetup(tiny.settings())
    pairs = json.loads(directory.pareto.read_text())["pairs"]
    trials = json.loads(directory.trials.read_text())["trials"]
    assert len(trials) == 8
    for trial in trials:
        genes = setup.space.from_dict(trial["genes"])
        cut = cut_blocks(setup.space, genes)[0]
        blocks = setup.space.architecture(genes).blocks
        rest = _latency_ms(setup.problem.costs, blocks[cut:])
        assert 0 < rest < trial["edge_latency_ms"]
        expected = trial["edge_latency_ms"] + 0.3 * (2000 - rest)
        assert trial["mean_latency_ms"] == pytest.approx(expected)
    for pair in pairs:
        saved = pair["cost"]["saved_latency_ms"]
        for found in (*pair["hybrid"].values(), *pair["test"].values()):
            sent = 1 - found["coverage"]
            expected = pair["cost"]["edge_latency_ms"] + sent * (2000 - saved)
            assert found["mean_latency_ms"] == pytest.approx(expected)


def _latency_ms(model: CostModel, blocks: tuple[Block, ...]) -> float:
    assert model.latency is not None
    ops = [op for block in blocks for op in block.lower()]
    correction = model.latency.table.correction
    return float(
        correction.scale * model.latency.ops(ops).ms.sum() + correction.per_op_ms * len(ops)
    )


def test_a_space_without_that_cut_refuses_the_router(tiny: TinyInputs) -> None:
    with pytest.raises(InputError, match="linear-stage2 reads features of stage cut 2"):
        _ = SearchSetup(tiny.settings(routers=("linear-stage2",))).problem


def test_the_soft_gain_needs_more_than_a_cloud_s_predictions(
    tiny: TinyInputs, tmp_path: Path
) -> None:
    settings = tiny.settings(router_objective="soft-gain", routers=("linear-stats",))
    with pytest.raises(InputError, match="soft-gain needs the class probabilities"):
        run_search(settings, RunDirectory(tmp_path / "run"))


def test_prices_take_off_what_is_saved() -> None:
    uplink = Uplink(delay=FixedDelay(1000.0), energy=RadioEnergy(per_query_mj=50.0))
    prices = Prices(Query(uplink), power_mw=200.0, cloud_macs=10_000, detailed=True)
    found = prices.at(Estimate(0.8, 0.01), 0.6, DEVICE)
    assert found.mean_latency_ms == pytest.approx(0.6 * 100 + 0.4 * (30 + 1000))
    assert found.mean_macs == pytest.approx(0.6 * 1000 + 0.4 * (200 + 10_000))
    assert found.mean_energy_mj == pytest.approx(0.6 * 20 + 0.4 * (6 + 50))
    assert found.p95_latency_ms == pytest.approx(1030)
    assert prices.at(Estimate(0.8, 0.01), 0.99, DEVICE).p95_latency_ms == 100.0
    late = replace(DEVICE, saved_ms=0.0, saved_macs=0)
    assert prices.at(Estimate(0.8, 0.01), 0.6, late).mean_latency_ms == pytest.approx(500)


def test_after_a_timeout_the_rest_of_the_base_runs_all_the_same() -> None:
    """Simulated image by image: kept, answered, or given up and answered by the whole base."""
    uplink = Uplink(delay=FixedDelay(300.0), outage=0.25, timeout_ms=800.0)
    prices = Prices(Query(uplink), detailed=True)
    random = np.random.default_rng(0)
    sent, answered = random.random(400_000) < 0.4, random.random(400_000) < 0.75
    took = np.where(sent, np.where(answered, 30.0 + 300.0, 30.0 + 800.0 + 70.0), 100.0)
    found = prices.at(Estimate(0.8, 0.01), 0.6, DEVICE)
    assert found.mean_latency_ms == pytest.approx(took.mean(), rel=5e-3)
    assert found.p95_latency_ms is not None
    assert found.p95_latency_ms >= np.quantile(took, 0.95) - 1e-9


def test_a_budget_affords_an_early_router_more_queries(tiny: TinyInputs) -> None:
    settings = tiny.settings(mean_latency_ms=400.0)
    prices = Prices.of(settings)
    early = prices.affordable_coverage(settings, DEVICE)
    late = prices.affordable_coverage(settings, replace(DEVICE, saved_ms=0.0))
    assert early < late
    assert prices.at(Estimate(0.8, 0.01), early, DEVICE).mean_latency_ms == pytest.approx(400.0)
