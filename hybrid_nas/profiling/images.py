"""The firmware of the emulated boards that comes with the package, built from ``firmware/``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from hybrid_nas.errors import HybridNasError, InputError

DIRECTORY = Path(__file__).parent / "images"
_SCHEMA = "hybrid-nas/firmware-images/1"


@dataclass(frozen=True)
class Image:
    """One prebuilt firmware.

    Attributes:
        board: id of the board that it is for.
        path: ELF file.
        sha256: of that file, in hexadecimal.
        kernels: name, version and build hash of its kernels, as in its ``HELLO``.
        machine, icount_shift: QEMU's machine for it, and the 2^shift virtual ns per instruction
            that it is made to run with.
        compiler, command: what built it; they build the same bytes again.
    """

    board: str
    path: Path
    sha256: str
    kernels: str
    machine: str
    icount_shift: int
    compiler: str
    command: str


@cache
def images() -> MappingProxyType[str, Image]:
    """The images of the manifest by board id.

    Raises:
        HybridNasError: the manifest is missing or damaged.
    """
    path = DIRECTORY / "manifest.yaml"
    try:
        manifest: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        if manifest["schema"] != _SCHEMA:
            raise ValueError(f"schema {manifest['schema']!r}, expected {_SCHEMA!r}")
        found = {
            board: Image(
                board,
                DIRECTORY / entry["file"],
                entry["sha256"],
                entry["kernels"],
                entry["machine"],
                int(entry["icount_shift"]),
                manifest["compiler"],
                manifest["command"],
            )
            for board, entry in manifest["images"].items()
        }
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise HybridNasError(f"{path}: {error}; install the package again") from error
    return MappingProxyType(found)


def find_image(board: str) -> Image:
    """The image of a board, its bytes checked against the manifest.

    Raises:
        InputError: no image for that board.
        HybridNasError: the file is not the one that the manifest describes.
    """
    known = images()
    if board not in known:
        raise InputError(f"no firmware image for board {board!r}: there are {', '.join(known)}")
    image = known[board]
    try:
        digest = hashlib.sha256(image.path.read_bytes()).hexdigest()
    except OSError as error:
        raise HybridNasError(
            f"{image.path}: {error.strerror}; install the package again"
        ) from error
    if digest != image.sha256:
        raise HybridNasError(
            f"{image.path} is not the image of its manifest (sha256 {digest[:12]}, expected "
            f"{image.sha256[:12]}): install the package again, or rebuild it with "
            f"'{image.command}'"
        )
    return image


def image_path(board: str) -> Path:
    """The ELF file of a board; raises as `find_image` does."""
    return find_image(board).path
