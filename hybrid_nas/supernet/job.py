"""One training as the command line runs it: set up, go on from where it was, finish."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import torch

from hybrid_nas.data.cloud import CloudModel
from hybrid_nas.data.dataset import Dataset
from hybrid_nas.errors import InputError
from hybrid_nas.files import sha256_of_file
from hybrid_nas.spaces.loader import load_space, space_names
from hybrid_nas.spaces.space import SearchSpace, Value
from hybrid_nas.supernet.checkpoint import SupernetInfo, read_info, read_tensors, state_of
from hybrid_nas.supernet.distributed import ALONE, Team
from hybrid_nas.supernet.finish import describe_training, write_trained
from hybrid_nas.supernet.network import Supernet
from hybrid_nas.supernet.recipe import TrainingRecipe
from hybrid_nas.supernet.teacher import teacher_from_cloud
from hybrid_nas.supernet.training import Trainer
from hybrid_nas.supernet.unlabelled import DEFAULT_SHARE, UnlabelledImages
from hybrid_nas.supernet.weights import HEAD, load_weights


@dataclass(frozen=True)
class TrainingJob:
    """What to train, on what, and where the result goes.

    Attributes:
        space: name of the search space, or path of its YAML file.
        data: training images.
        recipe: settings.
        out: the supernet file to write.
        choices: narrowed resolutions and widths.
        device: ``cpu`` or ``cuda``.
        init: a checkpoint whose weights to start from, all but the classifier's.
        teacher: a cloud model to learn from as well.
        unlabelled: images for which only the teacher knows an answer.
        unlabelled_share: share of every batch that they take.
        team: the processes that train together; the first alone reads and writes checkpoints.
    """

    space: str
    data: Dataset
    recipe: TrainingRecipe
    out: Path
    choices: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    device: str = "cpu"
    init: Path | None = None
    teacher: CloudModel | None = None
    unlabelled: UnlabelledImages | None = None
    unlabelled_share: float = DEFAULT_SHARE
    team: Team = ALONE

    def __post_init__(self) -> None:
        if self.out.is_dir():
            raise InputError(f"--out {self.out} is a folder: give the name of a file in it")
        if self.init is not None and not self.init.is_file():
            raise InputError(f"--init: no checkpoint at {self.init}")
        if not 0 < self.unlabelled_share < 1:
            raise InputError(
                f"--unlabelled-share must lie between 0 and 1 (got {self.unlabelled_share:g})"
            )

    @property
    def checkpoint(self) -> Path:
        """Where the unfinished training is kept."""
        return self.out.with_name(f"{self.out.name}.training")

    @cached_property
    def search_space(self) -> SearchSpace:
        """The space, laid out for the data."""
        return load_space(
            self.space,
            input_shape=self.data.image_shape,
            classes=len(self.data.classes),
            choices=self.choices,
        )

    @cached_property
    def origin(self) -> dict[str, str]:
        """What decides the result beside space, data and recipe."""
        origin = {}
        if self.init is not None:
            origin["init"] = sha256_of_file(self.init)
        if self.teacher is not None:
            origin["teacher"] = self.teacher.fingerprint
        if self.unlabelled is not None:
            origin["unlabelled"] = self.unlabelled.fingerprint
            origin["unlabelled_share"] = f"{self.unlabelled_share:g}"
        return origin

    @property
    def info(self) -> SupernetInfo:
        """What the finished file will say about itself."""
        known = self.space in space_names()
        space = self.space if known else str(Path(self.space).resolve())
        return describe_training(space, self.choices, self.data, self.recipe, self.origin)

    def is_done(self) -> bool:
        """Whether `out` is there already, nothing is under way, and training would make it again.

        Raises:
            InputError: `out` holds something else, which must not be lost by accident.
        """
        if not self.out.exists() or self.checkpoint.exists():
            return False
        mend = "give another --out, or --restart to replace it"
        try:
            found = read_info(self.out)
            same_space = found.load_space().fingerprint == self.search_space.fingerprint
        except InputError as error:
            raise InputError(f"--out {self.out} is something else already: {mend}") from error
        settings = {**asdict(TrainingRecipe()), **found.recipe}
        if same_space and (found.data_fingerprint, settings) == (
            self.data.fingerprint,
            self.info.recipe,
        ):
            return True
        raise InputError(f"--out {self.out} was trained with other settings: {mend}")

    def trainer(self, *, resume: bool | None = None) -> Trainer:
        """The trainer, at the step where `checkpoint` left it; the checkpoint is there afterwards.

        Args:
            resume: True: there must be a checkpoint; False: one that is there is dropped; None: go
                on if there is one.

        Raises:
            InputError: the checkpoint is missing or another training's, or `init` does not fit.
        """
        torch.manual_seed(self.recipe.seed)
        supernet = Supernet(self.search_space)
        if self.init is not None:
            start_from(supernet, self.init)
        teacher = None
        if self.teacher is not None:
            teacher = teacher_from_cloud(self.teacher, self.data, device=self.device)
        trainer = Trainer(
            supernet,
            self.data,
            self.recipe,
            device=self.device,
            teacher=teacher,
            unlabelled=self.unlabelled,
            unlabelled_share=self.unlabelled_share,
            origin=self.origin,
            team=self.team,
        )
        if not self.team.leads:
            return trainer  # which begins where the leader's stands
        if resume is not False and self.checkpoint.exists():
            trainer.restore(self.checkpoint)
        elif resume:
            raise InputError(f"--resume: there is no unfinished training at {self.checkpoint}")
        else:
            trainer.save(self.checkpoint)  # what cannot be written shows before hours of work
        return trainer

    def finish(self, trainer: Trainer) -> SupernetInfo:
        """Write `out` and drop the checkpoint."""
        write_trained(self.out, trainer.supernet, self.data, self.info)
        self.checkpoint.unlink(missing_ok=True)
        return self.info


def start_from(supernet: Supernet, path: Path) -> None:
    """Copy the weights of another task's supernet, ours or OFA's, into `supernet`; not the head.

    Raises:
        InputError: it is of another space: layers are missing, or have other widths or channels.
    """
    state = state_of(read_tensors(path), path)
    try:
        load_weights(supernet, state, str(path), skip=HEAD)
    except InputError as error:
        raise InputError(
            f"--init: {error}; the space's layers and widths and the images' channels must be the "
            "same, resolution and classes may differ"
        ) from error
