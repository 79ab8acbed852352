"""Supernets by what the user writes after ``--supernet``.

That is nothing (the bundled one), a file of ours, a published OFA checkpoint as a file, or the id
of one, which is downloaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hybrid_nas.errors import InputError
from hybrid_nas.files import sha256_of_file
from hybrid_nas.resources import bundled
from hybrid_nas.spaces.loader import IMAGENET_CLASSES, IMAGENET_SHAPE, load_space
from hybrid_nas.supernet.checkpoint import (
    SCHEMA,
    SupernetInfo,
    load_ofa_checkpoint,
    read_tensors,
    supernet_of,
)
from hybrid_nas.supernet.download import PUBLISHED, fetch_published
from hybrid_nas.supernet.network import Supernet
from hybrid_nas.supernet.ofa_weights import read_our_images

IMAGENET = "ImageNet"


@dataclass(frozen=True)
class OpenedSupernet:
    """A supernet and where it came from.

    Attributes:
        supernet: in evaluation mode, on the CPU.
        info: what its file says about itself.
        path: the file.
        fingerprint: hex digest of the file.
    """

    supernet: Supernet
    info: SupernetInfo
    path: Path
    fingerprint: str


def bundled_supernet_path() -> Path:
    """The supernet that comes with the program."""
    return bundled("supernet.pt")


def bundled_cloud_path() -> Path:
    """The cloud model that comes with the program."""
    return bundled("cloud.pt")


def open_supernet(spec: str | None = None, *, space: str | None = None) -> OpenedSupernet:
    """Open a supernet.

    Args:
        spec: path of a file of ours or of a published OFA ``.pth``, or a published id such as
            ``ofa_mbv3_d234_e346_k357_w1.0``; None for the bundled one.
        space: search space of an OFA file; for one of ours, where its space's YAML file is now.

    Raises:
        InputError: no such file, not readable, or not weights of that space.
        HybridNasError: the download failed.
    """
    if spec is None:
        return _open_file(bundled_supernet_path(), space)
    path = Path(spec).expanduser()
    if path.exists():
        return _open_file(path, space)
    if spec in PUBLISHED:
        return _open_ofa(fetch_published(spec), space or PUBLISHED[spec].space)
    raise InputError(
        f"no supernet at {spec!r}: expected a file of ours, a published OFA checkpoint with "
        f"--space, or one of {', '.join(PUBLISHED)}"
    )


def _open_file(path: Path, space: str | None) -> OpenedSupernet:
    document = read_tensors(path)
    if document.get("schema") == SCHEMA:
        supernet, info = supernet_of(document, path, space=space)
        return OpenedSupernet(supernet, info, path, sha256_of_file(path))
    if space is None:
        raise InputError(
            f"{path} is not one of our supernets: if it is a published OFA checkpoint, name its "
            f"space with --space ({', '.join(sorted(p.space for p in PUBLISHED.values()))})"
        )
    return _open_ofa(path, space)


def _open_ofa(path: Path, space: str) -> OpenedSupernet:
    supernet = load_ofa_checkpoint(path, load_space(space))
    read_our_images(supernet)
    info = SupernetInfo(
        space=space,
        choices={},
        input_shape=IMAGENET_SHAPE,
        classes=tuple(map(str, range(IMAGENET_CLASSES))),
        data=IMAGENET,
        data_fingerprint="",
    )
    return OpenedSupernet(supernet, info, path, sha256_of_file(path))
