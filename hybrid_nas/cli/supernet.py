"""``hybrid-nas supernet``: train weight-sharing networks, see how good and what they are.

Only flags here; `supernet_train` and `supernet_work` beside this module do what they say.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from hybrid_nas.cli.options import value_option
from hybrid_nas.errors import InputError
from hybrid_nas.supernet.recipe import MAX_SEED, TrainingRecipe
from hybrid_nas.threads import cores, wait_passively

_RECIPE = TrainingRecipe()

Data = Annotated[
    str,
    typer.Option("--data", metavar="SPEC", help="digits, an image folder, .npz or CIFAR folder."),
]
ImageSize = Annotated[
    str | None, typer.Option("--image-size", metavar="HxW", help="Resize the images to this.")
]
Group = Annotated[
    str | None,
    typer.Option("--group", metavar="REGEX", help="Finds the source group in a file's name."),
]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda or auto.")]
Threads = Annotated[
    int | None, typer.Option("--threads", min=1, help="CPU threads; all cores by default.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
Space = Annotated[
    str | None,
    typer.Option("--space", help="Search space of an OFA checkpoint, such as ofa-mbv3-w1.0."),
]
Supernet = Annotated[
    str | None,
    typer.Option(
        "--supernet",
        metavar="FILE|ID",
        help="A trained supernet, an OFA checkpoint with --space, or the id of a published one; "
        "the bundled one by default.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the group ``supernet`` with its commands."""
    group = typer.Typer(no_args_is_help=True, help="Train, evaluate and describe supernets.")
    group.command("train")(train)
    group.command("evaluate")(evaluate)
    group.command("info")(info)
    app.add_typer(group, name="supernet")


def read_numbers(text: Any) -> tuple[int | float, ...]:
    """Numbers above 0 between commas or spaces: ``"32,48"`` is (32, 48), ``"0.5 1"`` (0.5, 1)."""
    words = re.split(r"[,\s]+", str(text).strip())
    if not all(re.fullmatch(r"\d+(\.\d+)?", word) and float(word) > 0 for word in words):
        raise InputError(f"{text!r} is no list of numbers above 0: write it like 32,48,64")
    return tuple(float(word) if "." in word else int(word) for word in words)


def train(
    space: Annotated[
        str, typer.Option("--space", metavar="NAME|FILE", help="Search space to cover.")
    ],
    data: Data,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Supernet file to write.")],
    steps: Annotated[int, typer.Option("--steps", min=1, help="Optimiser steps.")] = _RECIPE.steps,
    batch: Annotated[int, typer.Option("--batch", min=2, help="Images per step.")] = _RECIPE.batch,
    rate: Annotated[
        float, typer.Option("--rate", help="Highest learning rate.")
    ] = _RECIPE.peak_rate,
    warm_share: Annotated[
        float,
        typer.Option(
            "--warm-share", min=0, max=1, help="Share of the steps that train the largest alone."
        ),
    ] = _RECIPE.warm_share,
    random_subnets: Annotated[
        int, typer.Option("--random-subnets", min=0, help="Random subnets per step.")
    ] = _RECIPE.random_subnets,
    resolutions: Annotated[
        Any, value_option("--resolutions", parse=read_numbers, metavar="N,N", help="Only these.")
    ] = None,
    widths: Annotated[
        Any, value_option("--widths", parse=read_numbers, metavar="X,X", help="Only these.")
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option("--init", metavar="FILE", help="Start from another task's supernet."),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option("--teacher", metavar="FILE", help="Cloud model (.pt, .onnx) to learn from."),
    ] = None,
    teacher_normalisation: Annotated[
        str,
        typer.Option(
            "--teacher-normalisation",
            metavar="NAME|MEAN/STD",
            help="What an .onnx teacher's float input was trained with: half, unit, imagenet, or "
            "numbers.",
        ),
    ] = "half",
    unlabelled: Annotated[
        str | None,
        typer.Option(
            "--unlabelled", metavar="FOLDER|NPZ", help="Images for which only the teacher answers."
        ),
    ] = None,
    unlabelled_share: Annotated[
        float, typer.Option("--unlabelled-share", help="Their share of every batch.")
    ] = 0.5,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=MAX_SEED, help="Decides the result.")
    ] = _RECIPE.seed,
    device: Device = "auto",
    threads: Threads = None,
    resume: Annotated[
        bool | None,
        typer.Option(
            "--resume/--restart",
            help="Insist on an unfinished training, or drop it; by default one that is there goes "
            "on.",
        ),
    ] = None,
    image_size: ImageSize = None,
    group: Group = None,
    json: Json = False,
) -> None:
    """Train a supernet for your data: the largest network first, then all of them together.

    Ctrl-C keeps the training so far beside the result; the same command goes on with it.
    """
    wait_passively()
    from hybrid_nas.cli.supernet_train import TrainFlags, run_train
    from hybrid_nas.cli.supernet_work import DataFlags

    run_train(
        TrainFlags(
            space=space,
            out=out,
            steps=steps,
            batch=batch,
            rate=rate,
            warm_share=warm_share,
            random_subnets=random_subnets,
            choices={
                name: numbers
                for name, numbers in (("resolution", resolutions), ("width", widths))
                if numbers is not None
            },
            init=init,
            teacher=teacher,
            teacher_normalisation=teacher_normalisation,
            unlabelled=unlabelled,
            unlabelled_share=unlabelled_share,
            seed=seed,
            resume=resume,
        ),
        DataFlags(data, image_size, group),
        device=device,
        threads=threads,
        json=json,
    )


def evaluate(
    supernet: Supernet = None,
    data: Data = "digits",
    split: Annotated[
        str, typer.Option("--split", help="train, fit, threshold, score or test.")
    ] = "score",
    random: Annotated[int, typer.Option("--random", min=0, help="Random subnets.")] = 8,
    images: Annotated[
        int | None, typer.Option("--images", min=1, help="Classify only so many.")
    ] = None,
    recalibrate: Annotated[
        bool,
        typer.Option(
            "--recalibrate/--no-recalibrate",
            help="Give each subnet batch-norm statistics of its own, or leave it those of the "
            "largest, with which most subnets are at chance.",
        ),
    ] = True,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Draws subnets and images.")] = 0,
    space: Space = None,
    device: Device = "auto",
    threads: Threads = None,
    image_size: ImageSize = None,
    group: Group = None,
    json: Json = False,
) -> None:
    """Accuracy, MACs and parameters of the largest, the smallest and some random subnets."""
    wait_passively()
    from hybrid_nas.cli.supernet_work import DataFlags, run_evaluate

    run_evaluate(
        supernet,
        DataFlags(data, image_size, group),
        space=space,
        split=split,
        random_subnets=random,
        images=images,
        recalibrate=recalibrate,
        seed=seed,
        device=device,
        threads=threads or cores(),
        json=json,
    )


def info(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="A supernet of ours; the bundled one by default."),
    ] = None,
    json: Json = False,
) -> None:
    """What a supernet file says about itself."""
    wait_passively()
    from hybrid_nas.cli.supernet_work import run_info

    run_info(file, json=json)
