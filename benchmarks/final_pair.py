"""Final training of a pair that no run directory knows of."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_nas.quantise.fake_quant import FakeQuantNet
from hybrid_nas.quantise.float_graph import float_graph
from hybrid_nas.routing.designs import design
from hybrid_nas.search.candidate import Candidate
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.training.cloud_side import CloudSide
from hybrid_nas.training.int8_base import Int8Base, op_cuts
from hybrid_nas.training.recipe import FinalRecipe
from hybrid_nas.training.router_turn import PairPlan
from hybrid_nas.training.trainer import PairTrainer


def pair_trainer(
    setup: SearchSetup,
    candidate: Candidate,
    coverages: Sequence[float],
    target: float,
    recipe: FinalRecipe,
) -> PairTrainer:
    """A trainer before its first step: the base as the supernet has it, rounded to int8."""
    space, genes = setup.space, candidate.genes
    network = FakeQuantNet(float_graph(setup.scorer.runner.network(genes)))
    base = Int8Base(network, space.architecture(genes), op_cuts(space, genes))
    base.calibrate(setup.data, recipe.calibration_images)
    model = setup.clouds.model(candidate.cloud)
    cloud = None if model is None else CloudSide(model, setup.data, trains=False, device="cpu")
    plan = PairPlan(
        design=design(candidate.router),
        router_objective=setup.settings.router_objective,
        coverages=tuple(coverages),
        target=target,
        origin={},
    )
    return PairTrainer(base, setup.data, cloud, plan, recipe)
