"""Final training of a pair of a run: open the run, build the pair, write what comes out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hybrid_nas.data.cloud import CloudModel
from hybrid_nas.errors import InputError
from hybrid_nas.quantise.fake_quant import FakeQuantNet
from hybrid_nas.quantise.float_graph import float_graph
from hybrid_nas.routing.designs import design
from hybrid_nas.routing.fitted import FittedRouter
from hybrid_nas.search.candidate import Candidate
from hybrid_nas.search.pair_folders import check_folder
from hybrid_nas.search.prices import Prices
from hybrid_nas.search.provenance import check_unchanged, hashes
from hybrid_nas.search.rundir import RunDirectory
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.supernet.cloud import SupernetCloud
from hybrid_nas.supernet.device import place
from hybrid_nas.supernet.distributed import ALONE, Team
from hybrid_nas.supernet.network_file import save_network
from hybrid_nas.training.belonging import about_candidate
from hybrid_nas.training.cloud_side import CloudSide
from hybrid_nas.training.int8_base import Int8Base, op_cuts, save_base
from hybrid_nas.training.progress import RoundFigures, TrainingState
from hybrid_nas.training.recipe import FinalRecipe
from hybrid_nas.training.router_turn import PairPlan
from hybrid_nas.training.trainer import PairTrainer

SCHEMA = "hybrid-nas/final-training/1"
LEAST_COVERAGE = 1e-4
BASE_FILE = "base.pt"
CLOUD_FILE = "cloud.pt"
"""In a trained pair's folder, when the cloud was trained with it, or chosen by the search."""


@dataclass(frozen=True)
class RunPair:
    """A pair of a finished run, with everything the run was made of.

    Attributes:
        directory: the run.
        number: the pair's id in ``pareto.json``.
    """

    directory: RunDirectory
    number: int

    @cached_property
    def setup(self) -> SearchSetup:
        """Data, supernet, cloud and costs of the run.

        Raises:
            InputError: one of them has changed since.
        """
        record = self.directory.read_settings()
        setup = SearchSetup(SearchSettings.from_dict(record["settings"]))
        check_unchanged(record["hashes"], hashes(setup))
        return setup

    @cached_property
    def document(self) -> dict[str, Any]:
        """The pair's entry in ``pareto.json``.

        Raises:
            InputError: there is none of that number, no front, or the folder is another pair's.
        """
        path = self.directory.pareto
        if not path.is_file():
            raise InputError(f"{self.directory.path} has no pareto.json: finish the search first")
        pairs = {pair["id"]: pair for pair in json.loads(path.read_text())["pairs"]}
        if self.number not in pairs:
            known = f"1 to {max(pairs)}" if pairs else "none"
            raise InputError(
                f"--pair {self.number}: {self.directory.path} has no such pair (there are {known})"
            )
        found: dict[str, Any] = pairs[self.number]
        check_folder(self.directory, self.number, found["trial"])
        return found

    @cached_property
    def candidate(self) -> Candidate:
        """Genes and router design, and the cloud's genes where it was chosen with them."""
        genes, cloud = self.setup.space.from_dict(self.document["base"]["genes"]), None
        if self.setup.cloud_costs is not None:
            cloud = self.setup.cloud_costs.space.from_dict(self.document["cloud"]["genes"])
        return Candidate(genes, self.document["router"]["kind"], cloud)

    @cached_property
    def cloud(self) -> CloudModel | None:
        """The cloud that this pair asks; None for an abstaining classifier."""
        return self.setup.clouds.model(self.candidate.cloud)

    @cached_property
    def prices(self) -> Prices:
        """What the run charged this pair, queries to its own cloud included."""
        return self.setup.scorer.prices_of(self.candidate)

    @property
    def planned_share(self) -> float | None:
        """The share to keep that the run's budget or bound on the loss planned, 0 .. 1, or None.

        Rounded up to four decimals, so that a budget still holds.
        """
        point = self.document.get("point")
        return None if point is None else math.ceil(1e4 * float(point["coverage"]) - 1e-6) / 1e4

    @property
    def coverage_in_force(self) -> float:
        """The coverage that the search meant the pair to run at.

        The one optimised; under a budget or a bound on the loss, what that planned for the pair, or
        next to nothing where everything is to be sent.
        """
        planned = self.planned_share
        if planned is None:
            return self.setup.settings.target_coverage
        return max(planned, LEAST_COVERAGE)

    def check_calibration(self) -> None:
        """Refuse guarantees where the search chose pairs by the ``threshold`` split.

        Under a bound on the loss its labels decide each candidate's coverage: the best of many is
        then luckier there than elsewhere, and what it calibrates would be broken too often.

        Raises:
            InputError: the run was under ``--max-loss``.
        """
        if self.setup.settings.regime == "loss":
            raise InputError(
                f"--guarantee: {self.directory.path} chose its pairs by the threshold split "
                "(--max-loss), which a guarantee must not be calibrated on; search without it, or "
                "give 'hybrid-nas route --guarantee' both models' outputs on other images"
            )

    @property
    def folder(self) -> Path:
        """Where the trained pair goes."""
        return self.directory.pair(self.number) / "trained"

    @property
    def cuts(self) -> tuple[int, ...]:
        """Where an early router may leave the base, see `Int8Base`."""
        return op_cuts(self.setup.space, self.candidate.genes)

    def int8_base(self, images: int, *, device: str = "cpu") -> Int8Base:
        """The base as the supernet has it, rounded to int8, calibrated on training images."""
        found = self.setup.scorer.runner.network(self.candidate.genes)
        architecture = self.setup.space.architecture(self.candidate.genes)
        network = place(FakeQuantNet(float_graph(found)), device)
        base = Int8Base(network, architecture, self.cuts)
        base.calibrate(self.setup.data, images)
        return base


@dataclass(frozen=True)
class FinalJob:
    """One final training.

    Attributes:
        pair: what is trained.
        recipe: settings.
        target: coverage to train for.
        device: ``cpu`` or ``cuda``.
        team: the processes that train together; the first alone touches files.
    """

    pair: RunPair
    recipe: FinalRecipe
    target: float
    device: str = "cpu"
    team: Team = ALONE

    @property
    def checkpoint(self) -> Path:
        """Where an unfinished training is kept."""
        return self.pair.folder / "training.pt"

    @cached_property
    def trainer(self) -> PairTrainer:
        """The trainer before its first step."""
        setup, candidate = self.pair.setup, self.pair.candidate
        settings, model = setup.settings, self.pair.cloud
        if model is None and self.recipe.train_cloud:
            raise InputError("--train-cloud: this run has no cloud")
        cloud = None
        if model is not None:
            cloud = CloudSide(model, setup.data, trains=self.recipe.train_cloud, device=self.device)
        chosen = [] if candidate.cloud is None else [list(candidate.cloud)]
        record = self.pair.directory.read_settings()["hashes"]
        plan = PairPlan(
            design=design(candidate.router),
            router_objective=settings.router_objective,
            coverages=tuple(sorted({*settings.coverages, self.target}, reverse=True)),
            target=self.target,
            origin={
                **{name: str(digest) for name, digest in record.items()},
                "pair": json.dumps([list(candidate.genes), candidate.router, *chosen]),
            },
        )
        base = self.pair.int8_base(self.recipe.calibration_images, device=self.device)
        return PairTrainer(base, setup.data, cloud, plan, self.recipe, self.team)

    def run(
        self,
        report: Callable[[TrainingState], None] | None = None,
        *,
        stop: Callable[[], bool] = lambda: False,
        restart: bool = False,
    ) -> dict[str, Any] | None:
        """Train alone, and write the pair; None if stopped early."""
        return self.write() if self.train(report, stop=stop, restart=restart) else None

    def train(
        self,
        report: Callable[[TrainingState], None] | None = None,
        *,
        stop: Callable[[], bool] = lambda: False,
        restart: bool = False,
    ) -> bool:
        """Train, from the checkpoint if there is one; whether that is done, or was stopped early.

        All processes of the team train; `write` is then for the first alone.
        """
        if self.team.leads:
            self.pair.folder.mkdir(parents=True, exist_ok=True)
            if self.checkpoint.exists() and not restart:
                self.trainer.restore(self.checkpoint)
        return self.trainer.run(self.checkpoint, report, stop=stop)

    def write(self) -> dict[str, Any]:
        """Write what `train` left, drop the checkpoint, and give ``training.json``'s content.

        ``base.pt`` goes first and comes last: a folder with one is whole, whenever this is killed.
        """
        trainer, folder, directory = self.trainer, self.pair.folder, self.pair.directory
        router = trainer.fit_router()
        (folder / BASE_FILE).unlink(missing_ok=True)
        cloud = self.pair.cloud
        is_new = self.recipe.train_cloud or self.pair.candidate.cloud is not None
        if is_new and isinstance(cloud, SupernetCloud):
            save_network(folder / CLOUD_FILE, cloud.network, cloud.info, cloud.genes)
        else:  # of an earlier training
            (folder / CLOUD_FILE).unlink(missing_ok=True)
        directory.write_json(folder / "router.json", router.to_dict())
        document = describe_training(trainer.rounds, trainer.best_round, self, router)
        directory.write_json(folder / "training.json", document)
        about = about_candidate(self.pair.setup.space.name, self.pair.candidate)
        save_base(trainer.base, folder / BASE_FILE, about)
        self.checkpoint.unlink(missing_ok=True)
        return document


def describe_training(
    rounds: list[RoundFigures], best: RoundFigures, job: FinalJob, router: FittedRouter
) -> dict[str, Any]:
    """``training.json``: what training did, and which state was kept."""
    return {
        "schema": SCHEMA,
        "pair": job.pair.number,
        "trial": job.pair.document["trial"],
        "coverage": job.target,
        "kept": "before" if best.round == 0 else "after",
        "kept_round": best.round,
        "judged_on": "the fit split, which trains routers alone; routers out of fold",
        "router": {
            "kind": router.design.kind,
            "method": router.method,
            "params": router.params,
            "deployed": router.deployed_name,
        },
        "rounds": [asdict(figures) for figures in rounds],
        "recipe": asdict(job.recipe),
    }
