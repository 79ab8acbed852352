"""What is evaluated: a run's pair in int8, trained or as the search left it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from hybrid_nas.data.cloud import CloudModel, cloud_outputs
from hybrid_nas.data.dataset import Dataset, ImageSet, Split
from hybrid_nas.errors import InputError
from hybrid_nas.quantise.fake_quant import FakeQuantNet
from hybrid_nas.quantise.float_graph import FloatOp, GraphOutputs, run_float
from hybrid_nas.routing.designs import design
from hybrid_nas.routing.fitted import FittedRouter
from hybrid_nas.routing.outputs import ModelOutputs
from hybrid_nas.routing.scoring import fit_pair_router
from hybrid_nas.supernet.cloud import SupernetCloud, open_supernet_cloud
from hybrid_nas.supernet.device import place
from hybrid_nas.training.belonging import check_trained_for
from hybrid_nas.training.int8_base import Int8Base, load_base, outputs_in_batches, read_about
from hybrid_nas.training.job import CLOUD_FILE, RunPair
from hybrid_nas.training.recipe import FinalRecipe
from hybrid_nas.typing import BoolArray


@dataclass(frozen=True, eq=False)
class Subject:
    """A pair ready to be judged.

    Attributes:
        pair: of which run, and its settings.
        base: computes what int8 will compute.
        router: with thresholds set on int8 scores of the ``threshold`` split.
        trained: whether final training made it.
        cloud: the pair's cloud, or as final training left it; None for an abstaining classifier.
    """

    pair: RunPair
    base: Int8Base
    router: FittedRouter
    trained: bool
    cloud: CloudModel | None
    _outputs: dict[Split, ModelOutputs] = field(default_factory=dict, repr=False)

    @property
    def data(self) -> Dataset:
        """The run's data set."""
        return self.pair.setup.data

    def outputs(self, split: Split) -> ModelOutputs:
        """What the int8 base says of a split; computed once."""
        if split not in self._outputs:
            self._outputs[split] = self.outputs_of(self.data.split(split), f"split {split}")
        return self._outputs[split]

    def outputs_of(self, images: ImageSet, what: str) -> ModelOutputs:
        """What the int8 base says of labelled images."""
        return self.base.outputs(images, f"the int8 base on {what}")

    def cloud_correct(self, split: Split) -> BoolArray | None:
        """Where the cloud is right on a split (n,); None without one."""
        if self.cloud is None:
            return None
        pred = cloud_outputs(self.cloud, self.data, split).pred
        right: BoolArray = pred == self.data.split(split).labels
        return right

    def cloud_correct_of(self, images: ImageSet) -> BoolArray:
        """Where it is right on other images."""
        assert self.cloud is not None
        right: BoolArray = self.cloud.predict(images).pred == images.labels
        return right


def open_subject(
    pair: RunPair, coverages: Sequence[float], *, untrained: bool = False, device: str = "cpu"
) -> Subject:
    """The pair as final training left it, or, if it did not run, as the supernet has it.

    The untrained base is rounded to int8; its router is fitted again to what int8 says. Thresholds
    are set on int8 scores either way.

    Raises:
        InputError: no such pair, something has changed since the run, a file is damaged, or what is
            there was trained for another pair.
    """
    trained = not untrained and (pair.folder / "base.pt").is_file()
    own_cloud = None
    if trained:
        router = _read_router(pair)
        if (pair.folder / CLOUD_FILE).is_file():
            own_cloud = open_supernet_cloud(pair.folder / CLOUD_FILE)
        _check_own(pair, router, own_cloud)
        architecture = pair.setup.space.architecture(pair.candidate.genes)
        base = load_base(pair.folder / "base.pt", architecture, pair.cuts)
        base = Int8Base(place(base.network, device).eval(), architecture, pair.cuts)
    else:
        base = pair.int8_base(FinalRecipe().calibration_images, device=device)
        router = _fit_router(pair, base, coverages)
    threshold = base.outputs(pair.setup.data.split("threshold"), "the int8 base on split threshold")
    router = router.with_thresholds(router.send_score(threshold), tuple(coverages))
    cloud = pair.cloud if own_cloud is None else own_cloud
    return Subject(pair, base, router, trained, cloud, {"threshold": threshold})


def float_outputs(base: Int8Base, images: ImageSet, source: str) -> ModelOutputs:
    """What the same weights say in float32, without any rounding."""
    ops = float_ops(base.network)

    def run(stored: Tensor) -> GraphOutputs:
        return run_float(ops, base.pixels(stored), base.cuts)

    return outputs_in_batches(run, images, source, base.network.ranges.device)


def float_ops(network: FakeQuantNet) -> tuple[FloatOp, ...]:
    """The operators of a quantised network with the weights that are behind the rounded ones."""
    return tuple(
        FloatOp(spec, network.weights[str(index)], network.biases[str(index)])
        if str(index) in network.weights
        else FloatOp(spec)
        for index, spec in enumerate(network.specs)
    )


def _check_own(pair: RunPair, router: FittedRouter, cloud: SupernetCloud | None) -> None:
    """Refuse a training of another pair, before its weights are found not to fit."""
    about, genes = read_about(pair.folder / "base.pt"), None if cloud is None else cloud.genes
    check_trained_for(pair.candidate, pair.number, pair.folder, about, router.design.kind, genes)


def _read_router(pair: RunPair) -> FittedRouter:
    path = pair.folder / "router.json"
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read ({type(error).__name__}): train the pair again, or give "
            "--untrained"
        ) from error
    return FittedRouter.from_dict(document)


def _fit_router(pair: RunPair, base: Int8Base, coverages: Sequence[float]) -> FittedRouter:
    setup, chosen = pair.setup, pair.candidate.cloud
    return fit_pair_router(
        design(pair.candidate.router),
        base.outputs(setup.data.split("fit"), "the int8 base on split fit"),
        setup.scorer.cloud_correct("fit", chosen),
        base.outputs(setup.data.split("threshold"), "the int8 base on split threshold"),
        tuple(coverages),
        objective=setup.settings.router_objective,
        cloud=setup.scorer.cloud_answers("fit", chosen),
        seed=setup.settings.seed,
    )
