"""From a finished training's checkpoint to a supernet file that others can use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from hybrid_nas.data.dataset import Dataset
from hybrid_nas.errors import InputError
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.spaces.space import Value
from hybrid_nas.supernet.calibrate import CALIBRATION_IMAGES, calibration_batches, recalibrate
from hybrid_nas.supernet.checkpoint import SupernetInfo, is_halved, read_tensors, save_supernet
from hybrid_nas.supernet.network import Supernet
from hybrid_nas.supernet.recipe import TrainingRecipe
from hybrid_nas.supernet.training import identity_of

_CALIBRATION_SEED = 0x5EED  # no pool of the training: those count from seed * 1,000,003


def describe_training(
    space: str,
    choices: Mapping[str, Sequence[Value]],
    data: Dataset,
    recipe: TrainingRecipe,
    origin: Mapping[str, str],
) -> SupernetInfo:
    """What a supernet file says about its training."""
    return SupernetInfo(
        space=space,
        choices={name: list(values) for name, values in choices.items()},
        input_shape=data.image_shape,
        classes=data.classes,
        data=data.name,
        data_fingerprint=data.fingerprint,
        recipe={**asdict(recipe), **origin},
    )


def write_trained(out: Path, supernet: Supernet, data: Dataset, info: SupernetInfo) -> None:
    """Round the weights to what is stored, give the largest network statistics of its own, write.

    Args:
        out: file to write.
        supernet: is changed in place.
        data: its training images decide the statistics.
        info: what to write beside the weights.
    """
    with torch.no_grad():
        for tensor in supernet.state_dict().values():
            if is_halved(tensor):
                tensor.copy_(tensor.half())
    supernet.activate(tuple(supernet.space.extremes()[1].tolist()))
    images = data.training_images(CALIBRATION_IMAGES, _CALIBRATION_SEED).images
    device = next(supernet.parameters()).device.type
    recalibrate(supernet, calibration_batches(images, supernet.input_size, device=device))
    save_supernet(out, supernet, info)


def export_trained(
    checkpoint: Path,
    out: Path,
    *,
    space: str,
    data: Dataset,
    choices: Mapping[str, Sequence[Value]] | None = None,
) -> SupernetInfo:
    """Turn the checkpoint of a finished training into a supernet file.

    Args:
        checkpoint: as `hybrid_nas.supernet.training.Trainer` saves it.
        out: file to write.
        space: name or path of the search space that was trained.
        data: what it was trained on.
        choices: narrowed resolutions and widths of the training.

    Returns:
        What the file says about itself.

    Raises:
        InputError: the training is not finished, or was one of another space or other data.

    Example:
        >>> export_trained(Path("supernet.pt.training"), Path("supernet.pt"),
        ...                space="mcunet-digits", data=DigitsDataset())
    """
    state = read_tensors(checkpoint)
    laid_out = load_space(
        space, input_shape=data.image_shape, classes=len(data.classes), choices=choices
    )
    identity = identity_of(state)
    for key, name, mine in (
        ("space", space, laid_out.fingerprint),
        ("data", data.name, data.fingerprint),
    ):
        if identity[key] != mine:
            raise InputError(f"{checkpoint} was made with another {key} than {name}")
    recipe = _recipe_of(identity["recipe"])
    if state["step"] < recipe.steps:
        raise InputError(
            f"{checkpoint} stands at step {state['step']} of {recipe.steps}: train to the end first"
        )
    supernet = Supernet(laid_out)
    supernet.load_state_dict(state["model"])
    info = describe_training(space, choices or {}, data, recipe, identity["origin"])
    write_trained(out, supernet, data, info)
    return info


def _recipe_of(settings: Mapping[str, Any]) -> TrainingRecipe:
    """The recipe; settings that this version no longer has are left out."""
    known = asdict(TrainingRecipe())
    return TrainingRecipe(**{name: value for name, value in settings.items() if name in known})
