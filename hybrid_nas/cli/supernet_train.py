"""``supernet train`` behind its flags; imported late, for torch's sake."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from hybrid_nas.cli.output import console, emit_json
from hybrid_nas.cli.progress import progress_bar
from hybrid_nas.cli.supernet_work import DataFlags, print_subnets
from hybrid_nas.cli.team import stop_together, training_team
from hybrid_nas.data.cloud import open_cloud
from hybrid_nas.data.dataset import Dataset
from hybrid_nas.data.folder import FolderDataset
from hybrid_nas.data.image_files import DEEP_BITS
from hybrid_nas.data.normalisation import parse_normalisation
from hybrid_nas.data.stored import StoredDataset
from hybrid_nas.errors import InputError
from hybrid_nas.files import sha256_of_file
from hybrid_nas.spaces.space import Value
from hybrid_nas.supernet.checkpoint import load_supernet
from hybrid_nas.supernet.distributed import ALONE, Team, choose_team_device
from hybrid_nas.supernet.evaluation import evaluate_subnets
from hybrid_nas.supernet.job import TrainingJob
from hybrid_nas.supernet.recipe import TrainingRecipe
from hybrid_nas.supernet.unlabelled import UnlabelledImages, open_unlabelled
from hybrid_nas.units import describe_bytes

if TYPE_CHECKING:
    from rich.console import Console

    from hybrid_nas.supernet.training import Progress, Trainer

TRAIN_SCHEMA = "hybrid-nas/supernet-train/1"

_SHORT_EVALUATION_IMAGES = 1000
_SHORT_EVALUATION_RANDOM = 2


@dataclass(frozen=True)
class TrainFlags:
    """The flags of ``supernet train`` that decide its result."""

    space: str
    out: Path
    steps: int
    batch: int
    rate: float
    warm_share: float
    random_subnets: int
    choices: dict[str, tuple[Value, ...]]
    init: Path | None
    teacher: str | None
    teacher_normalisation: str
    unlabelled: str | None
    unlabelled_share: float
    seed: int
    resume: bool | None

    def recipe(self) -> TrainingRecipe:
        """The training's settings; short trainings warm up for a tenth of their steps."""
        if not 0 < self.rate < math.inf:
            raise InputError(f"--rate must be a number above 0 (got {self.rate:g})")
        return TrainingRecipe(
            steps=self.steps,
            batch=self.batch,
            peak_rate=self.rate,
            warm_share=self.warm_share,
            random_subnets=self.random_subnets,
            warm_up=min(TrainingRecipe().warm_up, max(1, self.steps // 10)),
            seed=self.seed,
        )

    def job(self, data: Dataset, device: str, team: Team = ALONE) -> TrainingJob:
        """The training, with teacher and unlabelled images opened."""
        teacher = None
        if self.teacher is not None:
            teacher = open_cloud(
                self.teacher, data, parse_normalisation(self.teacher_normalisation)
            )
        unlabelled = None
        if self.unlabelled is not None:
            if teacher is None:
                raise InputError("--unlabelled needs --teacher, which says what is on the images")
            flip = isinstance(data, StoredDataset) and data.flip
            bits = data.deep_bits if isinstance(data, FolderDataset) else DEEP_BITS
            unlabelled = open_unlabelled(
                self.unlabelled, data.image_shape, flip=flip, deep_bits=bits
            )
        return TrainingJob(
            self.space,
            data,
            self.recipe(),
            self.out,
            choices=self.choices,
            device=device,
            init=self.init,
            teacher=teacher,
            unlabelled=unlabelled,
            unlabelled_share=self.unlabelled_share,
            team=team,
        )


def run_train(
    flags: TrainFlags, where: DataFlags, *, device: str, threads: int | None, json: bool
) -> None:
    """``supernet train``."""
    text = console(json=json)
    trainer = None
    with training_team(text) as team:
        torch.set_num_threads(threads or team.threads)
        device = choose_team_device(team, device)
        data = where.open(text)
        job = flags.job(data, device, team)
        if team.any(team.leads and flags.resume is not False and job.is_done()):
            text.print(f"{job.out} has been trained with these settings already", markup=False)
        else:
            data.check_readable(("train", "score"))  # score is read when training has ended
            if job.unlabelled is not None:
                job.unlabelled.check_readable()
                _note_copies(job.unlabelled, data, text)
            trainer = _train(job, flags, text)
    if not team.leads:
        return
    if trainer is not None:
        job.finish(trainer)
    supernet, info = load_supernet(job.out)
    subnets = list(
        evaluate_subnets(
            supernet,
            data,
            random_subnets=_SHORT_EVALUATION_RANDOM,
            images=_SHORT_EVALUATION_IMAGES,
            device=device,
        )
    )
    if json:
        emit_json(
            {
                "schema": TRAIN_SCHEMA,
                "out": job.out,
                "fingerprint": sha256_of_file(job.out),
                "info": info,
                "subnets": subnets,
            }
        )
        return
    size = describe_bytes(job.out.stat().st_size)
    text.print(f"wrote {job.out}, {size}", markup=False)
    print_subnets(text, subnets, "score")


def _note_copies(unlabelled: UnlabelledImages, data: Dataset, text: Console) -> None:
    """Say so if images that a network is judged by are among those that it learns from."""
    if not isinstance(data, StoredDataset):
        return
    copies = unlabelled.copies_of(data.held_out_digests())
    if copies:
        text.print(
            f"note: {copies} of the {unlabelled.count} unlabelled images are held-out images of "
            f"{data.name}, byte for byte: leave them out, as accuracies on them will be too good",
            markup=False,
        )


def _train(job: TrainingJob, flags: TrainFlags, text: Console) -> Trainer:
    """Train to the end; the trainer that then stands there."""
    space = job.search_space
    largest = max(space.genes[0].choices)
    if largest > max(space.input_shape[:2]):
        text.print(
            f"note: resolutions up to {largest} enlarge images of {max(space.input_shape[:2])} "
            "pixels, which costs time and adds nothing: --resolutions narrows them",
            markup=False,
        )
    trainer = job.trainer(resume=flags.resume)
    threads = torch.get_num_threads()
    cores = "1 thread" if threads == 1 else f"{threads} threads"
    if job.team.size > 1:
        cores = f"{job.team.size} processes with {cores} each"
    text.print(
        f"{'going on with' if trainer.step else 'training'} {space.name} "
        f"({space.count():.3g} networks) on {job.data.name} from step {trainer.step} to "
        f"{job.recipe.steps}, on {job.device} {'in' if job.team.size > 1 else 'with'} {cores}",
        markup=False,
    )
    with (
        stop_together(job.team) as stop,
        progress_bar(text, "training", "steps", trainer.step) as show,
    ):
        done = trainer.run(
            job.checkpoint,
            lambda progress: show(progress.step, progress.steps, _figures(progress)),
            stop=stop,
        )
    if not done:
        command = "same command" + (" without --restart" if flags.resume is False else "")
        text.print(
            f"stopped after step {trainer.step}; {job.checkpoint} keeps it, and the {command} "
            "goes on from there",
            markup=False,
        )
        raise KeyboardInterrupt
    return trainer


def _figures(progress: Progress) -> str:
    return (
        f"loss {progress.loss:.3f}, accuracy {progress.accuracy:.1%}, "
        f"{progress.images_per_s:.0f} images/s"
    )
