"""Supernet files: ours, and OFA's published checkpoints.

Ours is a ``.pt`` of plain tensors, numbers and strings: which space it covers, for which images
and classes, on which data it was trained, and the weights. Everything is read with
``weights_only=True``.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hybrid_nas.errors import InputError
from hybrid_nas.files import atomic_write
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.spaces.space import SearchSpace, Value
from hybrid_nas.supernet.naming import numbered_without_gaps
from hybrid_nas.supernet.network import Supernet
from hybrid_nas.supernet.ofa_weights import BN_EPS, set_bn_eps
from hybrid_nas.supernet.standalone import StandaloneNet
from hybrid_nas.supernet.weights import load_weights

SCHEMA = "hybrid-nas/supernet/1"
_BN_EPS = 1e-5
_REASON_CHARACTERS = 120


@dataclass(frozen=True)
class SupernetInfo:
    """What a checkpoint says about itself.

    Attributes:
        space: name of the space, or path of its YAML file.
        choices: narrowed resolutions and widths.
        input_shape: (height, width, channels) of the data it was trained on.
        classes: class names.
        data: name of the data set; `data_fingerprint` is its digest.
        recipe: settings of the training, for the record.
    """

    space: str
    choices: dict[str, list[Value]]
    input_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    data: str
    data_fingerprint: str
    recipe: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `info_of` reads them."""
        lists = {"input_shape": list(self.input_shape), "classes": list(self.classes)}
        return {**asdict(self), **lists}

    def load_space(self) -> SearchSpace:
        """The search space that the weights belong to."""
        return load_space(
            self.space,
            input_shape=self.input_shape,
            classes=len(self.classes),
            choices=self.choices,
        )


# -- reading and writing


def to_bytes(document: Mapping[str, Any]) -> bytes:
    """A document of tensors and plain values as torch writes it."""
    buffer = io.BytesIO()
    torch.save(dict(document), buffer)
    return buffer.getvalue()


def read_tensors(path: Path) -> dict[str, Any]:
    """A torch file's document, tensors and plain values only.

    Raises:
        InputError: the file is missing, truncated, or holds anything else.
    """
    if not path.is_file():
        raise InputError(f"no checkpoint at {path}")
    try:
        document = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes surface as almost any exception
        reason = " ".join(str(error).split())[:_REASON_CHARACTERS] or type(error).__name__
        raise InputError(
            f"{path} is no readable checkpoint (truncated, or not tensors only): {reason}"
        ) from error
    if not isinstance(document, dict):
        raise InputError(f"{path} must hold a dictionary (got {type(document).__name__})")
    return document


def state_of(document: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    """The tensors by name of a checkpoint's document: its ``state_dict``, or the document itself.

    Raises:
        InputError: there is anything but tensors.
    """
    state = document.get("state_dict", document)
    if not isinstance(state, dict) or not state:
        raise InputError(f"{path} has no tensors in it")
    strange = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if strange:
        raise InputError(f"{path} is no checkpoint of a network: {strange[0]!r} is not a tensor")
    return state


def save_supernet(path: Path, supernet: Supernet, info: SupernetInfo, *, half: bool = True) -> None:
    """Write a supernet.

    Args:
        path: is replaced in one go.
        supernet: its batch-norm statistics should be those of its largest network.
        info: what to write beside the weights.
        half: store kernels and matrices as float16, which halves the file. Biases and batch norm,
            which are few and of any size, stay float32.
    """
    weights = {
        name: tensor.cpu().half() if half and is_halved(tensor) else tensor.cpu()
        for name, tensor in supernet.state_dict().items()
    }
    document = {"schema": SCHEMA, "info": info.to_dict(), "state_dict": weights}
    atomic_write(path, to_bytes(document))


def is_halved(tensor: Tensor) -> bool:
    """Whether `save_supernet` stores this tensor as float16."""
    return tensor.is_floating_point() and tensor.ndim > 1


def read_info(path: Path) -> SupernetInfo:
    """What a supernet file of ours says about itself.

    Raises:
        InputError: the file is not ours, or damaged.
    """
    return info_of(read_tensors(path), path)


def load_supernet(path: Path, *, space: str | None = None) -> tuple[Supernet, SupernetInfo]:
    """A supernet of ours, in evaluation mode.

    Args:
        path: the file.
        space: where its space is now, if its YAML file has moved since.

    Raises:
        InputError: the file is not ours, damaged, or does not fit its space.
    """
    return supernet_of(read_tensors(path), path, space=space)


def supernet_of(
    document: Mapping[str, Any], path: Path, *, space: str | None = None
) -> tuple[Supernet, SupernetInfo]:
    """The same from a document that was read already; `path` names it in messages."""
    info = info_of(document, path)
    if space is not None:
        info = replace(info, space=space)
    try:
        supernet = Supernet(info.load_space())
    except InputError as error:
        raise InputError(f"the space of {path} cannot be had (--space): {error}") from error
    load_weights(supernet, state_of(document, path), str(path))
    return supernet.eval(), info


def info_of(document: Mapping[str, Any], path: Path, schema: str = SCHEMA) -> SupernetInfo:
    """What a file's document of that schema says about itself.

    Raises:
        InputError: it has another schema, or is damaged.
    """
    if document.get("schema") != schema:
        raise InputError(
            f"{path} is not a hybrid-nas supernet (schema {document.get('schema')!r}, expected "
            f"{schema!r}); OFA checkpoints need --space"
        )
    raw = document.get("info")
    try:
        height, width, channels = raw["input_shape"]  # type: ignore[index]
        return SupernetInfo(
            **{
                **raw,  # type: ignore[dict-item]
                "input_shape": (int(height), int(width), int(channels)),
                "classes": tuple(raw["classes"]),  # type: ignore[index]
            }
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is a damaged supernet file: its info is {raw!r:.80}") from error


# -- published files


def load_ofa_checkpoint(path: Path, space: SearchSpace) -> Supernet:
    """A supernet in `space` with the weights of a published OFA ``.pth`` file, as they are.

    Such a network reads images in ImageNet's normalisation: see
    `hybrid_nas.supernet.ofa_weights.read_our_images`.

    Raises:
        InputError: keys or shapes are not those of the space; the message names the first few.
    """
    supernet = Supernet(space)
    load_weights(supernet, state_of(read_tensors(path), path), str(path))
    set_bn_eps(supernet, BN_EPS.get(space.name, _BN_EPS))
    return supernet.eval()


def load_standalone(path: Path, network: StandaloneNet) -> None:
    """Copy a published checkpoint of one network, such as MCUNet's, into `network`.

    Args:
        path: the checkpoint; blocks that the network's JSON skips may have a number in it.
        network: receives the weights.

    Raises:
        InputError: keys or shapes are not those of the network.
    """
    state = numbered_without_gaps(state_of(read_tensors(path), path), network.state_dict())
    load_weights(network, state, str(path))
    network.eval()
